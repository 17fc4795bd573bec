"""An accelerator as a block on the bus: registers, command ring, DMA and core."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

from amaranth import Cat, ClockDomain, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.bus.arbiter import ID_BITS, Arbiter
from cosoc.gateware.bus.axi import AXI4, AXI4Lite
from cosoc.gateware.bus.reader import DMAReader
from cosoc.gateware.bus.width import WidthConverter, longest_burst
from cosoc.gateware.bus.writer import DMAWriter
from cosoc.gateware.layout.page import CAPABILITIES, ID_PREFIX, PAGE, VERSION
from cosoc.gateware.parameters import Config
from cosoc.gateware.peripheral.core import BEAT_BITS
from cosoc.gateware.peripheral.registers import RegisterFile
from cosoc.gateware.peripheral.ring import CommandRing
from cosoc.gateware.ports import manager_names

REGISTER_ADDRESS_BITS = 12
"""One page."""

_RING_READ_BEATS = 32
"""Buffer of the commands that are fetched ahead: four, and a part of the fifth."""

_RING_WRITE_BEATS = 4

_RING_BURST_BEATS = 7
"""A command is one burst: a slot never crosses a 4 KB boundary."""


@dataclass(frozen=True)
class _Manager:
    """One AXI4 manager, as its arbiter sees it, and the DMAs that share it; on manager 0, the last ones are the ring's."""

    axi: Any
    readers: list[Any]
    writers: list[Any]


class AcceleratorPeripheral(wiring.Component):
    """One accelerator behind an AXI4-Lite subordinate, one or two AXI4 managers and an interrupt.

    Each port of the core belongs to the manager that its signature tells, the ring to manager 0; every manager has an arbiter of
    its own, and a width converter when it has less than 128 bits.

    A soft reset (control.reset) stops new bursts, waits until those on the bus have ended, and then puts everything but the
    bus interfaces into its reset state.

    Counters: `cycles_starved` and `cycles_blocked` count a cycle once, however many ports of the core wait in it; `beats_read`
    and `beats_written` count the core's beats of 16 bytes on the buses of all managers, not the ring's.

    Args:
        accelerator: which one.
        config: its parameters.

    Members:
        aclk, aresetn: clock, and reset active low, of everything.
        s_axi: registers.
        m_axi: memory; a second manager is called `m_axi1`.
        interrupt: high while a reason is set and enabled.
    """

    def __init__(self, accelerator: Accelerator, config: Config) -> None:
        self._accelerator = accelerator
        self._config = config
        self._port_bits = accelerator.port_bits(config)
        axi = AXI4(data_bits=self._port_bits, id_bits=ID_BITS)
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axi": In(AXI4Lite(address_bits=REGISTER_ADDRESS_BITS)),
                **{name: Out(axi) for name in manager_names(accelerator.managers(config))},
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        core = self._accelerator.core(self._config)
        announced = self._accelerator.managers(self._config)
        if core.signature.managers != announced:
            raise ValueError(
                f"the core of {self._accelerator.title} has {core.signature.managers} managers, not {announced} as announced"
            )
        clear = Signal()
        cleared = ResetInserter(clear)
        m.submodules.registers = registers = RegisterFile(PAGE, address_bits=REGISTER_ADDRESS_BITS)
        m.submodules.core = cleared(core)
        readers = [DMAReader() for _ in core.read] + [DMAReader(depth=_RING_READ_BEATS)]
        writers = [DMAWriter() for _ in core.write] + [DMAWriter(depth=_RING_WRITE_BEATS)]
        ring = CommandRing(reports=len(readers) + len(core.write))
        m.submodules.ring = cleared(ring)
        for index, reader in enumerate(readers):
            m.submodules[f"reader{index}"] = cleared(reader)
        for index, writer in enumerate(writers):
            m.submodules[f"writer{index}"] = cleared(writer)
        wiring.connect(m, wiring.flipped(self.s_axi), registers.axi)

        managers = self._connect_managers(m, cleared, core, readers, writers)
        self._connect_core(m, core, ring, readers, writers)
        self._connect_windows(m, registers, readers, writers)
        self._connect_ring(m, registers, ring, clear)
        self._identify(m, registers)
        self._reset(m, registers, clear, readers, writers)
        self._count(m, registers, ring, core, readers, managers, clear)
        return m

    def _connect_managers(self, m: Module, cleared: Any, core: Any, readers: list[Any], writers: list[Any]) -> list[_Manager]:
        """An arbiter for each manager, with those DMAs that belong to it; the last reader and writer are the ring's."""
        signature = core.signature
        managers = []
        for index, name in enumerate(manager_names(signature.managers)):
            own_readers = [dma for dma, at in zip(readers, (*signature.reader_managers, 0), strict=True) if at == index]
            own_writers = [dma for dma, at in zip(writers, (*signature.writer_managers, 0), strict=True) if at == index]
            arbiter = Arbiter(readers=len(own_readers), writers=len(own_writers))
            m.submodules[f"arbiter{index}"] = cleared(arbiter)
            for reader, address, beats in zip(own_readers, arbiter.ar, arbiter.r, strict=True):
                wiring.connect(m, reader.ar, address)
                wiring.connect(m, reader.r, beats)
            for position, writer in enumerate(own_writers):
                for channel in ("aw", "w", "b"):
                    wiring.connect(m, getattr(writer, channel), getattr(arbiter, channel)[position])
            manager = wiring.flipped(getattr(self, name))
            if self._port_bits == BEAT_BITS:
                wiring.connect(m, arbiter.axi, manager)
            else:
                converter = WidthConverter(port_bits=self._port_bits, readers=len(own_readers))
                m.submodules[f"width{index}"] = converter
                wiring.connect(m, arbiter.axi, converter.wide)
                wiring.connect(m, converter.narrow, manager)
            managers.append(_Manager(arbiter.axi, own_readers, own_writers))
        return managers

    def _connect_core(self, m: Module, core: Any, ring: Any, readers: list[Any], writers: list[Any]) -> None:
        """Every port of the core to its DMA, the last DMAs to the ring, and all reports of errors to the ring."""
        wiring.connect(m, ring.command, core.command)
        wiring.connect(m, core.completion, ring.completion)
        for port, reader in zip([*core.read, ring.fetch], readers, strict=True):
            wiring.connect(m, port, reader.core)
        for port, writer in zip([*core.write, ring.write_back], writers, strict=True):
            wiring.connect(m, port, writer.core)
        for report, source in zip(ring.report, [*readers, *writers[:-1]], strict=True):
            m.d.comb += report.eq(source.error)
        m.d.comb += ring.write_back_error.eq(writers[-1].error)

    def _connect_windows(self, m: Module, registers: Any, readers: list[Any], writers: list[Any]) -> None:
        """The core's transfers stay inside the window of the page; the ring is bound by nothing."""
        beats, longest = registers.burst_beats.value, longest_burst(self._port_bits)
        for dma in (*readers[:-1], *writers[:-1]):
            m.d.comb += [
                dma.window.base.eq(Cat(registers.window_base_lo.value, registers.window_base_hi.value)),
                dma.window.limit.eq(Cat(registers.window_limit_lo.value, registers.window_limit_hi.value)),
                dma.window.burst_beats.eq(Mux(beats > longest, longest, beats)),
            ]
        for dma in (readers[-1], writers[-1]):
            m.d.comb += [dma.window.limit.eq(-1), dma.window.burst_beats.eq(_RING_BURST_BEATS)]

    def _connect_ring(self, m: Module, registers: Any, ring: Any, clear: Signal) -> None:
        """The ring's registers and the interrupt."""
        error_code = Signal(8)
        with m.If(ring.failed):
            m.d.sync += error_code.eq(ring.error)
        with m.If(clear):
            m.d.sync += error_code.eq(0)
        m.d.comb += [
            ring.run.eq(_bit(registers.control.value, "control", "run")),
            ring.base.eq(Cat(registers.ring_base_lo.value, registers.ring_base_hi.value)),
            ring.slots_log2.eq(registers.ring_log2.value),
            ring.tail.eq(registers.ring_tail.value),
            ring.doorbell.eq(registers.ring_tail.written),
            registers.ring_head.value.eq(ring.head),
            registers.error_code.value.eq(error_code),
            _bit(registers.status.value, "status", "busy").eq(ring.busy),
            _bit(registers.interrupt_status.set, "interrupt_status", "completion").eq(ring.completed),
            _bit(registers.interrupt_status.set, "interrupt_status", "error").eq(ring.failed),
            self.interrupt.eq(
                _bit(registers.control.value, "control", "interrupt_enable") & registers.interrupt_status.value.any()
            ),
        ]

    def _identify(self, m: Module, registers: Any) -> None:
        """Who this is and what it can do."""
        capabilities = astuple(self._config)
        if len(capabilities) > CAPABILITIES:
            raise ValueError(f"{type(self._config).__name__} has {len(capabilities)} fields; the page has room for {CAPABILITIES}")
        m.d.comb += [
            registers.id.value.eq(ID_PREFIX | self._accelerator.kind),
            registers.version.value.eq(VERSION),
            registers.layout_hash.value.eq(self._accelerator.layout_hash()),
            registers.config_hash.value.eq(self._config.hash()),
            *(getattr(registers, f"capability{i}").value.eq(value) for i, value in enumerate(capabilities)),
        ]

    def _reset(self, m: Module, registers: Any, clear: Signal, readers: list[Any], writers: list[Any]) -> None:
        """Soft reset: `clear` for one cycle when nothing is on the bus any more; another write to control cannot call it off."""
        resetting = Signal()
        with m.If(registers.control.written & _bit(registers.control.value, "control", "reset")):
            m.d.sync += resetting.eq(1)
        with m.If(clear):
            m.d.sync += resetting.eq(0)
        m.d.comb += [
            _bit(registers.status.value, "status", "resetting").eq(resetting),
            clear.eq(resetting & Cat(dma.idle for dma in (*readers, *writers)).all()),
            registers.clear.eq(clear),
        ]
        for dma in (*readers, *writers):
            m.d.comb += dma.stop.eq(resetting)

    def _count(
        self, m: Module, registers: Any, ring: Any, core: Any, readers: list[Any], managers: list[_Manager], clear: Signal
    ) -> None:
        """The performance counters."""
        starved = Cat(port.data.ready & ~port.data.valid & reader.active for port, reader in zip(core.read, readers, strict=False))
        blocked = Cat((port.request.valid & ~port.request.ready) | (port.data.valid & ~port.data.ready) for port in core.write)
        beats_read, beats_written = [], []
        for index, manager in enumerate(managers):
            axi, writers = manager.axi, manager.writers
            beat = axi.rvalid & axi.rready
            if index == 0:
                # The ring's own DMAs are the last ones.
                beat &= axi.rid != len(manager.readers) - 1
                writers = writers[:-1]
            beats_read.append(beat)
            beats_written.append(Cat(writer.w.valid & writer.w.ready for writer in writers).any())
        amounts = {
            "cycles_busy": ring.busy,
            "cycles_starved": starved.any(),
            "cycles_blocked": blocked.any(),
            "beats_read": sum(beats_read),
            "beats_written": sum(beats_written),
        }
        for name, amount in amounts.items():
            counter = Signal(64, name=name)
            m.d.sync += counter.eq(Mux(clear, 0, counter + amount))
            m.d.comb += [
                getattr(registers, f"{name}_lo").value.eq(counter[:32]),
                getattr(registers, f"{name}_hi").value.eq(counter[32:]),
            ]


def _bit(value: Any, register: str, name: str) -> Any:
    """The field of one bit of a register's value."""
    return next(value[item.lsb] for item in PAGE[register].fields if item.name == name)
