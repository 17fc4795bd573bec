"""The registers of a `RegisterMap` behind an AXI4-Lite subordinate."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.axi import AXI4Lite, Response
from cosoc.gateware.layout.registers import Access, Register, RegisterMap


class RegisterPort(wiring.Signature):
    """The hardware's side of one register.

    Read-only: `value` is what software reads. Read-write: `value` is what software wrote; `written` is high for one cycle when the
    value is new. Write-one-to-clear: bits of `set` set bits of `value`, and win over a simultaneous clear.
    """

    def __init__(self, access: Access) -> None:
        members: dict[Access, dict[str, wiring.Member]] = {
            Access.READ_ONLY: {"value": In(32)},
            Access.READ_WRITE: {"value": Out(32), "written": Out(1)},
            Access.WRITE_ONE_TO_CLEAR: {"value": Out(32), "set": In(32)},
        }
        super().__init__(members[access])


class RegisterFile(wiring.Component):
    """All registers of a map, each as an attribute with its name.

    Byte strobes are honoured. Bits outside the fields of a register that has fields read as zero. Reads where no register is give
    0 and writes there do nothing, both with OKAY: a bus error would kill the process that probes an address.

    Args:
        registers: the map; it ends below `1 << address_bits`.
        address_bits: width of the bus addresses.

    Members:
        axi: the bus.
        clear: puts the registers that software writes back to their reset values; a transfer under way ends normally.
    """

    def __init__(self, registers: RegisterMap, *, address_bits: int) -> None:
        self._registers = registers
        super().__init__(
            {
                "axi": In(AXI4Lite(address_bits=address_bits)),
                "clear": In(1),
                **{register.name: Out(RegisterPort(register.access)) for register in registers},
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        write = Signal()
        word = Signal(len(self.axi.awaddr) - 2)
        data = Signal(32)
        mask = Signal(32)
        self._accept_writes(m, write, word, data, mask)
        for register in self._registers:
            selected = write & (word == register.offset // 4)
            if register.access is Access.READ_WRITE:
                self._store(m, register, selected, data, mask)
            elif register.access is Access.WRITE_ONE_TO_CLEAR:
                port = getattr(self, register.name)
                m.d.sync += port.value.eq((port.value & ~Mux(selected, data & mask, 0)) | port.set)
                with m.If(self.clear):
                    m.d.sync += port.value.eq(0)
        self._serve_reads(m)
        return m

    def _accept_writes(self, m: Module, write: Signal, word: Signal, data: Signal, mask: Signal) -> None:
        """Takes address and data in any order; `write` is high for one cycle when both are there."""
        axi = self.axi
        strobe = Signal(4)
        m.d.comb += [
            write.eq(~axi.awready & ~axi.wready & ~axi.bvalid),
            mask.eq(Cat(bit.replicate(8) for bit in strobe)),
            axi.bresp.eq(Response.OKAY),
        ]
        has_address, has_data = Signal(), Signal()
        m.d.comb += [axi.awready.eq(~has_address), axi.wready.eq(~has_data)]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [has_address.eq(1), word.eq(axi.awaddr[2:])]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [has_data.eq(1), data.eq(axi.wdata), strobe.eq(axi.wstrb)]
        with m.If(write):
            m.d.sync += axi.bvalid.eq(1)
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += [axi.bvalid.eq(0), has_address.eq(0), has_data.eq(0)]

    def _store(self, m: Module, register: Register, selected: Any, data: Signal, mask: Signal) -> None:
        """A register that software writes."""
        port = getattr(self, register.name)
        implemented = sum(((1 << item.width) - 1) << item.lsb for item in register.fields) or 0xFFFFFFFF
        value = Signal(32, init=register.reset, name=f"{register.name}_stored")
        m.d.comb += port.value.eq(value)
        m.d.sync += port.written.eq(selected)
        with m.If(self.clear):
            m.d.sync += [value.eq(register.reset), port.written.eq(0)]
        with m.Elif(selected):
            m.d.sync += value.eq(((value & ~mask) | (data & mask)) & implemented)

    def _serve_reads(self, m: Module) -> None:
        """One read at a time."""
        axi = self.axi
        m.d.comb += [axi.arready.eq(~axi.rvalid), axi.rresp.eq(Response.OKAY)]
        with m.If(axi.rready):
            m.d.sync += axi.rvalid.eq(0)
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [axi.rvalid.eq(1), axi.rdata.eq(0)]
            with m.Switch(axi.araddr[2:]):
                for register in self._registers:
                    with m.Case(register.offset // 4):
                        m.d.sync += axi.rdata.eq(getattr(self, register.name).value)
