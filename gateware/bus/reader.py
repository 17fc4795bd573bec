"""DMA reader: turns the transfers of one read port into bursts on the bus, and their beats into the port's data."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.bursts import BURST_BITS, BurstAddress, BurstSplitter, ErrorReport, Window
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BITS, SEQUENCE_BITS, ReadPort

ReadBeat = data.StructLayout({"data": BEAT_BITS, "error": 1})

_Burst = data.StructLayout({"beats": BURST_BITS, "sequence": SEQUENCE_BITS, "error": 8})
"""A burst whose beats the core has not taken yet."""

QUEUED_BURSTS = 32
"""Bursts that a reader or writer has on the bus at most."""


class DMAReader(wiring.Component):
    """Reads what a core asks for.

    A burst is issued only when the buffer has room for all of it, so that every beat from the bus is taken at once and a slow
    core never blocks the others. Sustains one beat per cycle, also across transfers.

    Failed transfers deliver zeros: one outside the window or misaligned never reaches the bus; of one that memory answers with
    an error, the failed beats are zero.

    Args:
        depth: beats of the buffer; at least the longest burst.

    Members:
        core: the port that is served.
        window: allowed addresses, and the longest burst.
        ar, r: addresses to and beats from the bus, in order.
        error: a report when the core takes the first bad beat of a transfer.
        stop: no new bursts; those on the bus end.
        idle: nothing is on the bus.
        active: a burst has beats that the core has not taken.
    """

    def __init__(self, *, depth: int = 512) -> None:
        self._depth = depth
        super().__init__(
            {
                "core": In(ReadPort()),
                "window": In(Window()),
                "ar": Out(stream.Signature(BurstAddress)),
                "r": In(stream.Signature(ReadBeat, always_ready=True)),
                "error": Out(ErrorReport),
                "stop": In(1),
                "idle": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=ReadBeat.size, depth=self._depth)
        m.submodules.bursts = bursts = fifo.SyncFIFOBuffered(width=_Burst.size, depth=QUEUED_BURSTS)
        wiring.connect(m, wiring.flipped(self.core.request), splitter.transfer)
        wiring.connect(m, wiring.flipped(self.window), splitter.window)
        m.d.comb += [beats.w_data.eq(self.r.payload), beats.w_en.eq(self.r.valid)]
        popped = Signal()
        m.d.comb += popped.eq(beats.r_en & beats.r_rdy)
        self._issue(m, splitter, bursts, popped)
        self._deliver(m, bursts, beats)
        return m

    def _issue(self, m: Module, splitter: Any, bursts: Any, popped: Signal) -> None:
        """Sends bursts to the bus while there is room for their beats; remembers each for `_deliver`."""
        burst = splitter.burst.payload
        reserved = Signal(range(self._depth + 1))
        on_bus = Signal(range(self._depth + 1))
        queued = data.View(_Burst, bursts.w_data)
        fails = Signal()
        free = Signal()
        issue = Signal()
        m.d.comb += [
            fails.eq(burst.error != Error.NONE),
            free.eq((reserved + burst.beats <= self._depth) & (~self.ar.valid | self.ar.ready)),
            issue.eq(splitter.burst.valid & bursts.w_rdy & ~self.stop & (fails | free)),
            splitter.burst.ready.eq(issue),
            *(queued[name].eq(burst[name]) for name in ("beats", "sequence", "error")),
            bursts.w_en.eq(issue),
            self.idle.eq(~self.ar.valid & (on_bus == 0)),
        ]
        sent = Mux(issue & ~fails, burst.beats, 0)
        m.d.sync += [reserved.eq(reserved + sent - popped), on_bus.eq(on_bus + sent - self.r.valid)]
        with m.If(~self.ar.valid | self.ar.ready):
            m.d.sync += [
                self.ar.valid.eq(issue & ~fails),
                self.ar.payload.address.eq(burst.address),
                self.ar.payload.beats.eq(burst.beats),
            ]

    def _deliver(self, m: Module, bursts: Any, beats: Any) -> None:
        """Gives the core the beats of the oldest burst."""
        burst = data.View(_Burst, bursts.r_data)
        beat = data.View(ReadBeat, beats.r_data)
        position = Signal.like(burst.beats)
        fails = Signal()
        moves = Signal()
        m.d.comb += [
            fails.eq(burst.error != Error.NONE),
            self.core.data.valid.eq(bursts.r_rdy & (fails | beats.r_rdy)),
            self.core.data.payload.eq(Mux(fails | beat.error, 0, beat.data)),
            moves.eq(self.core.data.valid & self.core.data.ready),
            beats.r_en.eq(moves & ~fails),
            bursts.r_en.eq(moves & (position + 1 == burst.beats)),
            self.active.eq(bursts.r_rdy),
            self.error.valid.eq(moves & (fails | beat.error)),
            self.error.sequence.eq(burst.sequence),
            self.error.error.eq(Mux(fails, burst.error, Error.READ_RESPONSE)),
        ]
        with m.If(moves):
            m.d.sync += position.eq(Mux(bursts.r_en, 0, position + 1))
