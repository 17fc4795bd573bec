"""From beats of memory to the pipeline's samples, frame by frame."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.config import MIN_LOG2
from cosoc.gateware.peripheral.core import BEAT_BITS

BEATS_BITS = 28
"""Of a count of beats: the bytes of a transfer have 32."""

FeedJob = data.StructLayout({"log2_length": 5, "inverse": 1, "beats": BEATS_BITS})
"""The input of one command: `beats` of two samples, a whole number of frames."""


class Feeder(wiring.Component):
    """Delivers the samples of one command after the other, and decides when the pipeline advances.

    Inside a frame the pipeline waits for every sample. Between frames it advances without, as long as frames are in it.
    The next command follows without a gap if it has the length and direction of the one before, and otherwise when the pipeline
    is empty.

    Args:
        max_log2: log2 of the longest transform.
        max_frames_inside: most frames that the pipeline can hold.

    Members:
        jobs: the commands' inputs, in order.
        beats: their data.
        blocked: the pipeline's result cannot be taken: it must not advance.
        frame_done: a frame leaves the pipeline in this cycle, if `en` is 1.
        en: the pipeline advances.
        sample, sample_valid: the pipeline's input.
        log2_length, inverse: the transform in the pipeline.
    """

    def __init__(self, *, max_log2: int, max_frames_inside: int) -> None:
        self.max_log2 = max_log2
        self.max_frames_inside = max_frames_inside
        super().__init__(
            {
                "jobs": In(stream.Signature(FeedJob)),
                "beats": In(stream.Signature(BEAT_BITS)),
                "blocked": In(1),
                "frame_done": In(1),
                "en": Out(1),
                "sample": Out(Complex),
                "sample_valid": Out(1),
                "log2_length": Out(range(max_log2 + 1), init=max_log2),
                "inverse": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        active = Signal()  # a command's samples are being delivered
        beats_left = Signal(BEATS_BITS)
        boundary, last, feeds, empty = Signal(), Signal(), Signal(), Signal()

        upper, beat_valid = self._unpack(m, feeds)
        m.d.comb += [
            self.sample_valid.eq(active & beat_valid),
            self.en.eq((self.sample_valid | (boundary & ~empty)) & ~self.blocked),
            feeds.eq(self.sample_valid & self.en),
            last.eq(feeds & upper & (beats_left == 1)),
        ]
        with m.If(feeds & upper):
            m.d.sync += beats_left.eq(beats_left - 1)

        job = self.jobs.payload
        same = (job.log2_length == self.log2_length) & (job.inverse == self.inverse)
        m.d.comb += self.jobs.ready.eq((~active | last) & (same | (empty & ~active)))
        with m.If(self.jobs.ready & self.jobs.valid):
            m.d.sync += [
                active.eq(1),
                beats_left.eq(job.beats),
                self.log2_length.eq(job.log2_length),
                self.inverse.eq(job.inverse),
            ]
        with m.Elif(last):
            m.d.sync += active.eq(0)

        self._count_frames(m, feeds, boundary, empty)
        return m

    def _unpack(self, m: Module, feeds: Signal) -> tuple[Signal, Signal]:
        """Two samples of each beat; returns whether the upper one is offered, and whether any is."""
        beat, beat_valid, upper = Signal(BEAT_BITS, reset_less=True), Signal(), Signal()
        m.d.comb += [
            self.beats.ready.eq(~beat_valid | (feeds & upper)),
            self.sample.eq(Mux(upper, beat[Complex.size :], beat[: Complex.size])),
        ]
        with m.If(feeds):
            m.d.sync += upper.eq(~upper)
        with m.If(self.beats.ready):
            m.d.sync += [beat_valid.eq(self.beats.valid), beat.eq(self.beats.payload)]
        return upper, beat_valid

    def _count_frames(self, m: Module, feeds: Signal, boundary: Signal, empty: Signal) -> None:
        """Follows the position in the frame and the number of frames in the pipeline."""
        position = Signal(self.max_log2)
        last_position = Signal(self.max_log2)
        with m.Switch(self.log2_length):
            for log2 in range(MIN_LOG2, self.max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += last_position.eq((1 << log2) - 1)
        with m.If(feeds):
            m.d.sync += position.eq((position + 1) & last_position)
        inside = Signal(range(self.max_frames_inside + 1))
        m.d.comb += [boundary.eq(position == 0), empty.eq(inside == 0)]
        m.d.sync += inside.eq(inside + (feeds & boundary) - (self.en & self.frame_done))
