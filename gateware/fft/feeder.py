"""From words of memory to the pipeline's samples, frame by frame."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.config import MIN_LOG2
from cosoc.gateware.fft.frame import Frame
from cosoc.gateware.fft.jobs import Context, FeedJob, word_samples


class Feeder(wiring.Component):
    """Delivers the frames of one command after the other, and decides when the pipeline advances.

    Inside a frame the pipeline waits for every sample. Between frames it advances without, as long as results are in it. The first
    frame of a command follows the last one of the command before without a gap.

    Args:
        samples: of the pipeline, per cycle.
        max_log2: log2 of the longest frame.
        max_inside: most beats of the pipeline that are inside it.

    Members:
        jobs: the commands' frames, in order.
        words: their data.
        hold: the results may soon find no place: the pipeline must not advance from the next cycle on.
        result: a beat leaves the pipeline in this cycle, if `en` is 1.
        en, i, i_valid, i_first, i_frame: of the pipeline; all are registers.
    """

    def __init__(self, *, samples: int, max_log2: int, max_inside: int) -> None:
        self._samples = samples
        self._max_log2 = max_log2
        self._max_inside = max_inside
        super().__init__(
            {
                "jobs": In(stream.Signature(FeedJob)),
                "words": In(stream.Signature(data.ArrayLayout(Complex, word_samples(samples)))),
                "hold": In(1),
                "result": In(1),
                "en": Out(1),
                "i": Out(data.ArrayLayout(Complex, samples)),
                "i_valid": Out(1),
                "i_first": Out(1),
                "i_frame": Out(Frame),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        job = Signal(FeedJob, reset_less=True)  # frames: those behind this one
        active, first, last, goes, feeds = Signal(), Signal(init=1), Signal(), Signal(), Signal()
        inside = Signal(range(self._max_inside + 1))
        offered = Signal()
        m.d.comb += [
            offered.eq(active & self.words.valid),
            goes.eq(~self.hold & (offered | (first & (inside != 0)))),
            feeds.eq(offered & ~self.hold),
            self.jobs.ready.eq(~active | (feeds & last & (job.frames == 0))),
        ]
        self._present(m, job, feeds)
        m.d.sync += [
            self.en.eq(goes),
            self.i_valid.eq(feeds),
            self.i_first.eq(first),
            inside.eq(inside + feeds - (self.en & self.result)),
        ]
        position = Signal(self._max_log2)  # beats of the frame that have gone
        last_position = Signal(self._max_log2)
        with m.Switch(job.frame_log2):
            for log2 in range(MIN_LOG2, self._max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += last_position.eq((1 << log2) // self._samples - 1)
        m.d.comb += last.eq(position == last_position)
        with m.If(feeds):
            m.d.sync += [position.eq(Mux(last, 0, position + 1)), first.eq(last)]
            with m.If(last):
                m.d.sync += job.frames.eq(job.frames - 1)
        with m.If(self.jobs.ready):
            m.d.sync += [active.eq(self.jobs.valid), job.eq(self.jobs.payload), job.frames.eq(self.jobs.payload.frames - 1)]
        return m

    def _present(self, m: Module, job: Any, feeds: Signal) -> None:
        """The samples and the tag of a frame; of one sample per cycle, each word goes in two halves."""
        tag = Signal(Frame)
        m.d.comb += [tag.eq(job.frame), data.View(Context, tag.context).flush.eq(~job.packed | (job.frames == 0))]
        if self._samples == 1:
            upper = Signal()
            samples = Mux(upper, self.words.payload[1].as_value(), self.words.payload[0].as_value())
            m.d.comb += self.words.ready.eq(feeds & upper)
            with m.If(feeds):
                m.d.sync += upper.eq(~upper)
        else:
            samples = self.words.payload.as_value()
            m.d.comb += self.words.ready.eq(feeds)
        m.d.sync += [self.i.as_value().eq(samples), self.i_frame.eq(tag)]
