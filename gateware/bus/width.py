"""An AXI4 manager whose data are narrower than the beats of the DMA."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Const, Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.arbiter import ID_BITS
from cosoc.gateware.bus.axi import AXI4, MAX_BURST_BEATS
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES

_WriteBeat = data.StructLayout({"data": BEAT_BITS, "strobe": BEAT_BYTES, "last": 1})


def longest_burst(port_bits: int) -> int:
    """Beats of 16 bytes of the longest burst that a manager of so many bits can carry."""
    return MAX_BURST_BEATS * port_bits // BEAT_BITS


class WidthConverter(wiring.Component):
    """Carries every beat of 16 bytes as 2 or 4 narrower ones, in the burst of the same address.

    Bursts of the wide side are no longer than `longest_burst`, so each is one burst of the narrow side. It covers the same bytes,
    hence crosses no 4 KB boundary either. Data of reads with different IDs may come interleaved. Sustains one narrow beat per
    cycle in each direction. Two cycles of latency for the data of a write, and two for that of a read after its last part.

    Args:
        port_bits: width of the narrow side, 32 or 64.
        readers: IDs of reads, from 0.

    Members:
        wide: from an `Arbiter`, which takes every beat of a read at once.
        narrow: the manager.
    """

    def __init__(self, *, port_bits: int, readers: int) -> None:
        self._bits = port_bits
        self._ratio = BEAT_BITS // port_bits
        self._readers = readers
        super().__init__({"wide": In(AXI4(id_bits=ID_BITS)), "narrow": Out(AXI4(data_bits=port_bits, id_bits=ID_BITS))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._addresses(m)
        self._split(m)
        self._join(m)
        for name in ("id", "resp", "valid"):
            m.d.comb += getattr(self.wide, f"b{name}").eq(getattr(self.narrow, f"b{name}"))
        m.d.comb += self.narrow.bready.eq(self.wide.bready)
        return m

    def _addresses(self, m: Module) -> None:
        """The same bursts, of more beats."""
        ones = Const(self._ratio - 1, (self._ratio - 1).bit_length())
        for prefix in ("aw", "ar"):
            for name in ("id", "addr", "burst", "lock", "cache", "prot", "qos", "valid"):
                m.d.comb += getattr(self.narrow, prefix + name).eq(getattr(self.wide, prefix + name))
            m.d.comb += [
                # (len + 1) * ratio - 1
                getattr(self.narrow, f"{prefix}len").eq(Cat(ones, getattr(self.wide, f"{prefix}len"))),
                getattr(self.narrow, f"{prefix}size").eq((self._bits // 8).bit_length() - 1),
                getattr(self.wide, f"{prefix}ready").eq(getattr(self.narrow, f"{prefix}ready")),
            ]

    def _split(self, m: Module) -> None:
        """Beats of writes: one is sent in parts while the next one waits, so that no READY follows from another."""
        given = {"data": self.wide.wdata, "strobe": self.wide.wstrb, "last": self.wide.wlast}
        waiting, sending = Signal(_WriteBeat), Signal(_WriteBeat)
        waits, sends = Signal(), Signal()
        part = Signal(range(self._ratio))
        moves, free = Signal(), Signal()
        ends = part == self._ratio - 1
        m.d.comb += [
            self.wide.wready.eq(~waits),
            self.narrow.wvalid.eq(sends),
            self.narrow.wdata.eq(sending.data),
            self.narrow.wstrb.eq(sending.strobe),
            self.narrow.wlast.eq(sending.last & ends),
            moves.eq(sends & self.narrow.wready),
            free.eq(~sends | (moves & ends)),
        ]
        with m.If(~waits):
            m.d.sync += [waits.eq(self.wide.wvalid), *(waiting[name].eq(value) for name, value in given.items())]
        with m.If(moves):
            m.d.sync += [
                part.eq(part + 1),
                sending.data.eq(sending.data >> self._bits),
                sending.strobe.eq(sending.strobe >> self._bits // 8),
            ]
        with m.If(free):
            m.d.sync += [sends.eq(waits), sending.eq(waiting)]
            with m.If(waits):
                m.d.sync += waits.eq(0)

    def _join(self, m: Module) -> None:
        """Beats of reads: the first parts of a word wait, for each ID, until its last one comes; a bad part makes a bad word."""
        narrow, wide = self.narrow, self.wide
        part_layout = data.StructLayout({"data": self._bits, "error": 1})
        valid, identity, last, taken = Signal(), Signal(ID_BITS), Signal(), Signal(part_layout)
        m.d.comb += narrow.rready.eq(1)
        m.d.sync += [
            valid.eq(narrow.rvalid),
            identity.eq(narrow.rid),
            last.eq(narrow.rlast),
            taken.data.eq(narrow.rdata),
            taken.error.eq(narrow.rresp[1]),
        ]
        positions = Array(Signal(range(self._ratio), name=f"position{index}") for index in range(self._readers))
        position = Signal(range(self._ratio))
        m.d.comb += position.eq(positions[identity])
        with m.If(valid):
            m.d.sync += positions[identity].eq(position + 1)
        parts = []
        for index in range(self._ratio - 1):
            m.submodules[f"part{index}"] = early = memory.Memory(shape=part_layout, depth=1 << ID_BITS, init=[])
            write, read = early.write_port(), early.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(identity),
                write.data.eq(taken),
                write.en.eq(valid & (position == index)),
                read.addr.eq(identity),
            ]
            parts.append(read.data)
        parts.append(taken)
        m.d.sync += [
            wide.rvalid.eq(valid & (position == self._ratio - 1)),
            wide.rid.eq(identity),
            wide.rlast.eq(last),
            wide.rdata.eq(Cat(part.data for part in parts)),
            wide.rresp.eq(Cat(0, Cat(part.error for part in parts).any())),
        ]
