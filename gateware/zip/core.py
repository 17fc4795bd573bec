"""The ZIP core: element-wise operations on two vectors of complex64, as streams, no bus."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO

from cosoc.gateware.peripheral.core import BEAT_BITS, CoreSignature
from cosoc.gateware.zip.commands import BEATS_BITS, CommandUnit
from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.lane import ZIPLane

_ELEMENT_BITS = BEAT_BITS // 2

_ROOM = 64
"""Beats on their way through the lanes and behind them: more than the lanes' latency, and the depth of a LUT's memory."""


class ZIPCore(wiring.Component):
    """`out[i] = a[i] op b[i]` over complex64 vectors of any length: add, subtract, multiply, divide, multiply by the conjugate.

    ::

        command --> CommandUnit --> read[0].request, read[1].request, write[0].request
                       | jobs
                       v
        read[0].data --+--> lanes --> results --> write[0].data
        read[1].data --+

    A beat of 128 bits carries elements 2k (lower half) and 2k + 1. With two lanes a beat of each operand enters in every cycle,
    with one lane in every second. The last element of an odd vector has an unspecified neighbour, whose result is not written.
    The lanes never stall: a beat enters only when there is room for its result in the FIFO behind them.

    Number format and order of operations: docs/architecture.md; bit-exact model: `golden.py`; durations: `cycles.py`;
    resources: `resources.py`.

    Commands overlap: transfers of the next ones are requested while earlier ones execute, and their data follows
    without a gap. A command that reads what earlier ones write waits for them. `out` may be `a` or `b`; an `out` that begins
    inside an operand may overwrite elements before they are read, and these results are unspecified.

    Errors, each without any transfer, the lowest code if there are several: `BAD_OPCODE`; `BAD_LENGTH` for no elements or more
    than 2^29 - 1; `MISALIGNED` for an address that is not a multiple of 16.

    Members: `CoreSignature` with read ports for `a` and `b` and one write port.
    """

    def __init__(self, config: ZIPConfig) -> None:
        self.config = config
        super().__init__(CoreSignature(readers=2, writers=1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.commands = commands = CommandUnit()
        m.submodules.results = results = SyncFIFO(width=BEAT_BITS, depth=_ROOM)
        a, b, out = self.read[0], self.read[1], self.write[0]
        wiring.connect(m, wiring.flipped(self.command), commands.command)
        wiring.connect(m, commands.completion, wiring.flipped(self.completion))
        for port, request in zip((a, b, out), commands.request, strict=True):
            wiring.connect(m, request, wiring.flipped(port.request))
        m.d.comb += [
            commands.written.eq(out.done.valid),
            out.data.valid.eq(results.r_rdy),
            out.data.payload.eq(results.r_data),
            results.r_en.eq(out.data.ready),
        ]

        # Beats of the current job that have entered, and places behind the lanes that are not promised to any beat.
        entered = Signal(BEATS_BITS)
        room = Signal(range(_ROOM + 1), init=_ROOM)
        ready = commands.job.valid & a.data.valid & b.data.valid & (room != 0)
        last_element = self._lanes(m, ready, commands.job.payload.operation, results)
        beat_enters = Signal()
        m.d.comb += beat_enters.eq(ready & last_element)
        m.d.comb += [a.data.ready.eq(beat_enters), b.data.ready.eq(beat_enters)]
        m.d.sync += room.eq(room - beat_enters + (results.r_rdy & results.r_en))
        with m.If(beat_enters):
            m.d.sync += entered.eq(entered + 1)
            with m.If(entered + 1 == commands.job.payload.beats):
                m.d.comb += commands.job.ready.eq(1)
                m.d.sync += entered.eq(0)
        return m

    def _lanes(self, m: Module, ready: Signal, operation: Signal, results: SyncFIFO) -> Signal:
        """Elements from the read ports to the FIFO; returns whether the last element of a beat is what enters now."""
        half = Signal()  # with one lane: the half of the beat that enters
        if self.config.lanes == 1:
            m.d.sync += half.eq(half ^ ready)
        last = half | (self.config.lanes == 2)
        outputs = []
        for i in range(self.config.lanes):
            m.submodules[f"lane{i}"] = lane = ZIPLane()
            a, b = (port.data.payload[i * _ELEMENT_BITS :][:_ELEMENT_BITS] for port in self.read)
            if self.config.lanes == 1:
                a, b = (Mux(half, port.data.payload[_ELEMENT_BITS:], port.data.payload[:_ELEMENT_BITS]) for port in self.read)
            m.d.comb += [lane.operation.eq(operation), lane.a.eq(a), lane.b.eq(b)]
            outputs.append(lane.o.as_value())
        # Which cycles carry the last element of a beat, as it comes out.
        valid = Signal(ZIPLane.latency)
        m.d.sync += valid.eq(Cat(ready & last, valid))
        if self.config.lanes == 1:
            lower = Signal(_ELEMENT_BITS, reset_less=True)
            m.d.sync += lower.eq(outputs[0])
            outputs.insert(0, lower)
        m.d.comb += [results.w_data.eq(Cat(outputs)), results.w_en.eq(valid[-1])]
        return last
