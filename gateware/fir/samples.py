"""Between beats of 128 bits and samples of 64: on the way in and on the way out."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import BEAT_BITS

SAMPLE_BITS = BEAT_BITS // 2

_DEPTH = 32
_MARGIN = 8
"""Results that can still come when the writer has said that it is full, with some to spare."""


class SampleReader(wiring.Component):
    """The samples of a transfer, lower half of each beat first.

    Members:
        beat: data of a read port.
        sample: its samples.
        last: the sample that is offered is the last of its transfer: the rest of the beat is dropped with it.
    """

    def __init__(self) -> None:
        super().__init__({"beat": In(stream.Signature(BEAT_BITS)), "sample": Out(stream.Signature(SAMPLE_BITS)), "last": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        upper = Signal()
        m.d.comb += [
            self.sample.valid.eq(self.beat.valid),
            self.sample.payload.eq(self.beat.payload.word_select(upper, SAMPLE_BITS)),
            self.beat.ready.eq(self.sample.ready & (upper | self.last)),
        ]
        with m.If(self.sample.valid & self.sample.ready):
            m.d.sync += upper.eq(~upper & ~self.last)
        return m


class ResultWriter(wiring.Component):
    """A FIFO of results and their way into beats.

    Members:
        start: a command begins, with `count` results; up to `queued` before the results of the first are out.
        result, write: a result comes in; only when there is `room`, or within some cycles after there was.
        beat: data of a write port; the upper half of the last beat is zero if the number of results is odd.
    """

    def __init__(self, *, count_bits: int, queued: int) -> None:
        self._queued = queued
        super().__init__(
            {
                "start": In(1),
                "count": In(count_bits),
                "result": In(SAMPLE_BITS),
                "write": In(1),
                "room": Out(1),
                "beat": Out(stream.Signature(BEAT_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=SAMPLE_BITS, depth=_DEPTH)
        m.d.comb += [fifo.w_data.eq(self.result), fifo.w_en.eq(self.write)]
        m.d.sync += self.room.eq(fifo.level < _DEPTH - _MARGIN)

        m.submodules.counts = counts = SyncFIFOBuffered(width=len(self.count), depth=self._queued)
        m.d.comb += [counts.w_data.eq(self.count), counts.w_en.eq(self.start)]
        left = Signal.like(self.count)  # results of the command
        lower = Signal(SAMPLE_BITS, reset_less=True)
        half = Signal()  # `lower` holds the first half of a beat
        last = Signal()
        m.d.comb += [
            last.eq(left == 1),
            counts.r_en.eq((left == 0) | (fifo.r_en & last)),
            self.beat.valid.eq(fifo.r_rdy & (left != 0) & (half | last)),
            self.beat.payload.eq(Mux(half, Cat(lower, fifo.r_data), fifo.r_data)),
            fifo.r_en.eq(fifo.r_rdy & (left != 0) & (self.beat.ready | ~(half | last))),
        ]
        with m.If(fifo.r_en):
            m.d.sync += [left.eq(left - 1), lower.eq(fifo.r_data), half.eq(~half & ~last)]
        with m.If(counts.r_en & counts.r_rdy):
            m.d.sync += left.eq(counts.r_data)
        return m
