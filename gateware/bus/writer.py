"""DMA writer: turns the transfers and the data of one write port into bursts on the bus."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.bursts import BURST_BITS, BurstAddress, BurstSplitter, ErrorReport, Window
from cosoc.gateware.bus.reader import QUEUED_BURSTS
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES, SEQUENCE_BITS, WritePort

WriteBeat = data.StructLayout({"data": BEAT_BITS, "strobe": BEAT_BYTES, "last": 1})

WriteResponse = data.StructLayout({"error": 1})

_Segment = data.StructLayout({"beats": BURST_BITS, "tail": BEAT_BYTES.bit_length() - 1, "last": 1, "swallow": 1})
"""Beats of the buffer that belong to one burst."""

_Pending = data.StructLayout({"last": 1, "sequence": SEQUENCE_BITS, "error": 8})
"""A burst whose response is awaited; one with an error awaits none."""


class DMAWriter(wiring.Component):
    """Writes what a core sends.

    A burst is issued only when all its data is in the buffer, so that a slow core never blocks the bus, and whatever is on the
    bus can always end. Sustains one beat per cycle, also across transfers.

    The data of failed transfers is swallowed: one outside the window or misaligned never reaches the bus.

    Args:
        depth: beats of the buffer; at least the longest burst.

    Members:
        core: the port that is served; `done` comes after the error report of the same transfer.
        window: allowed addresses, and the longest burst.
        aw, w, b: addresses and beats to the bus and responses from it, in order. Data never waits after its address.
        error: a report when a burst has failed.
        stop: no new bursts; those on the bus end.
        idle: nothing is on the bus.
    """

    def __init__(self, *, depth: int = 512) -> None:
        self._depth = depth
        super().__init__(
            {
                "core": In(WritePort()),
                "window": In(Window()),
                "aw": Out(stream.Signature(BurstAddress)),
                "w": Out(stream.Signature(WriteBeat)),
                "b": In(stream.Signature(WriteResponse)),
                "error": Out(ErrorReport),
                "stop": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=BEAT_BITS, depth=self._depth)
        m.submodules.segments = segments = fifo.SyncFIFOBuffered(width=_Segment.size, depth=QUEUED_BURSTS)
        m.submodules.pending = pending = fifo.SyncFIFOBuffered(width=_Pending.size, depth=QUEUED_BURSTS)
        wiring.connect(m, wiring.flipped(self.core.request), splitter.transfer)
        wiring.connect(m, wiring.flipped(self.core.data), beats.w_stream)
        wiring.connect(m, wiring.flipped(self.window), splitter.window)
        self._issue(m, splitter, beats, segments, pending)
        self._send(m, segments, beats)
        self._finish(m, pending)
        return m

    def _issue(self, m: Module, splitter: Any, beats: Any, segments: Any, pending: Any) -> None:
        """Commits a burst when its data is there: its address goes to the bus, its beats to `_send`, the rest to `_finish`."""
        burst = splitter.burst.payload
        segment = data.View(_Segment, segments.w_data)
        awaited = data.View(_Pending, pending.w_data)
        uncommitted = Signal(range(self._depth + 1))
        on_bus = Signal(range(QUEUED_BURSTS + 1))
        fails = Signal()
        issue = Signal()
        m.d.comb += [
            fails.eq(burst.error != Error.NONE),
            issue.eq(
                splitter.burst.valid
                & (uncommitted >= burst.beats)
                & segments.w_rdy
                & pending.w_rdy
                & ~self.stop
                & (~self.aw.valid | self.aw.ready)
            ),
            splitter.burst.ready.eq(issue),
            segments.w_en.eq(issue),
            segment.swallow.eq(fails),
            *(segment[name].eq(burst[name]) for name in ("beats", "tail", "last")),
            pending.w_en.eq(issue),
            *(awaited[name].eq(burst[name]) for name in ("last", "sequence", "error")),
            self.idle.eq(on_bus == 0),
        ]
        arrived = beats.w_en & beats.w_rdy
        m.d.sync += [
            uncommitted.eq(uncommitted + arrived - Mux(issue, burst.beats, 0)),
            on_bus.eq(on_bus + (issue & ~fails) - (self.b.valid & self.b.ready)),
        ]
        with m.If(~self.aw.valid | self.aw.ready):
            m.d.sync += [
                self.aw.valid.eq(issue & ~fails),
                self.aw.payload.address.eq(burst.address),
                self.aw.payload.beats.eq(burst.beats),
            ]

    def _send(self, m: Module, segments: Any, beats: Any) -> None:
        """Sends, or swallows, the beats of committed bursts."""
        segment = data.View(_Segment, segments.r_data)
        position = Signal.like(segment.beats)
        ends = Signal()
        moves = Signal()
        # Bytes of the transfer's last beat that count; a tail of 0 means all.
        tail_strobe = (Const(1, BEAT_BYTES + 1) << segment.tail)[:BEAT_BYTES] - 1
        m.d.comb += [
            ends.eq(position + 1 == segment.beats),
            self.w.valid.eq(segments.r_rdy & beats.r_rdy & ~segment.swallow),
            self.w.payload.data.eq(beats.r_data),
            self.w.payload.last.eq(ends),
            self.w.payload.strobe.eq(Mux(ends & segment.last & (segment.tail != 0), tail_strobe, -1)),
            moves.eq(segments.r_rdy & beats.r_rdy & (segment.swallow | self.w.ready)),
            beats.r_en.eq(moves),
            segments.r_en.eq(moves & ends),
        ]
        with m.If(moves):
            m.d.sync += position.eq(Mux(ends, 0, position + 1))

    def _finish(self, m: Module, pending: Any) -> None:
        """Takes responses, reports errors, and gives the core its tokens."""
        head = data.View(_Pending, pending.r_data)
        fails = Signal()
        m.d.comb += [
            fails.eq(head.error != Error.NONE),
            self.b.ready.eq(pending.r_rdy & ~fails),
            pending.r_en.eq(fails | self.b.valid),
            self.error.valid.eq(pending.r_rdy & (fails | (self.b.valid & self.b.payload.error))),
            self.error.sequence.eq(head.sequence),
            self.error.error.eq(Mux(fails, head.error, Error.WRITE_RESPONSE)),
            self.core.done.payload.eq(1),
        ]
        m.d.sync += self.core.done.valid.eq(pending.r_rdy & pending.r_en & head.last)
