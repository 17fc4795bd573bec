"""One stage of the FFT pipeline: butterflies of half length h on one complex adder per sample and cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from cosoc.gateware.fft.delay import ControlLine, DelayLine
from cosoc.gateware.fft.formats import Format
from cosoc.gateware.fft.frame import Control


class Stage(wiring.Component):
    """Takes groups of 2h samples and gives, for each, the h sums and then the h differences of its halves.

    ::

        i --+--> D = h --+--> D = h --+
            |            |            |      sums:        middle + i
            |            |            |      differences: last - middle
            +----- i     + middle     + last

    A single-path delay commutator: the sum and the difference of a pair are computed h samples apart, so one adder does both.
    No loop contains an operator: any latency of the adder works, and frames of any length follow each other without a gap. A frame
    that has no butterflies here, because it is too short or its columns are interleaved more closely, passes
    unchanged. With P samples per cycle a stage with h < P has its pairs within a beat and needs no delay.

    In an odd stage (log2 h is odd) the second half of the differences is turned by -i, unless the frame skips the next stage.

    Latency: `latency` cycles with `en`.

    Args:
        log2_half: log2 of h.
        samples: P.
        number_format: of the samples.

    Members:
        en: the stage advances in cycles in which it is 1.
        i, o: samples, P per cycle.
        control_i, control_o: one enabled cycle ahead of them.
        control_early: `add_latency` enabled cycles ahead of `control_o`.
    """

    def __init__(self, *, log2_half: int, samples: int, number_format: Format) -> None:
        self.log2_half = log2_half
        self.samples = samples
        self.format = number_format
        beat = data.ArrayLayout(number_format.sample, samples)
        super().__init__(
            {
                "en": In(1),
                "i": In(beat),
                "control_i": In(Control),
                "o": Out(beat),
                "control_o": Out(Control),
                "control_early": Out(Control),
            }
        )

    @staticmethod
    def latency(log2_half: int, samples: int, number_format: Format) -> int:
        """Enabled cycles from a sample to the result in its place."""
        return (1 << log2_half) // samples + number_format.add_latency

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        depth = (1 << self.log2_half) // self.samples
        m.submodules.control_line = line = ControlLine(depth=depth)
        m.submodules.control_adders = adders = ControlLine(depth=self.format.add_latency)
        m.d.comb += [
            line.en.eq(self.en),
            line.i.eq(self.control_i),
            self.control_early.eq(line.o),
            adders.en.eq(self.en),
            adders.i.eq(line.o),
            self.control_o.eq(adders.o),
        ]
        here = (line.o.interleave_log2 <= self.log2_half) & (line.o.top > self.log2_half)
        next_too = line.o.interleave_log2 < self.log2_half
        active = self._register(m, here, "active")
        turns = self._register(m, here & next_too & (self.log2_half % 2 == 1), "turns")
        places = self._places(m, line.o)
        for lane, (middle, last) in enumerate(self._delayed(m, depth)):
            second_half, second_quarter = places[lane]
            difference = active & second_half
            if depth:
                a, b = Mux(difference, last, middle), Mux(difference, middle, self.i[lane])
            else:
                other = self.i[lane ^ 1 << self.log2_half]
                a, b = Mux(difference, other, self.i[lane]), Mux(difference, self.i[lane], other)
            m.submodules[f"add{lane}"] = adder = self.format.adder()
            m.d.comb += [
                adder.en.eq(self.en),
                adder.a.eq(a),
                adder.b.eq(b),
                adder.subtract.eq(difference),
                adder.turn.eq(turns & second_half & second_quarter),
                adder.keep.eq(~active),
                self.o[lane].eq(adder.o),
            ]
        return m

    def _delayed(self, m: Module, depth: int) -> list[tuple[Any, Any]]:
        """Each lane's sample h ago and 2h ago."""
        beat = data.ArrayLayout(self.format.sample, self.samples)
        m.submodules.middle = middle = DelayLine(width=beat.size, depth=depth)
        m.submodules.last = last = DelayLine(width=beat.size, depth=depth)
        m.d.comb += [middle.en.eq(self.en), middle.i.eq(self.i), last.en.eq(self.en), last.i.eq(middle.o)]
        return [(beat(middle.o)[lane], beat(last.o)[lane]) for lane in range(self.samples)]

    def _places(self, m: Module, control: Any) -> list[tuple[Any, Any]]:
        """For each lane whether the sample lies in the second half of its group, and there in the second half."""
        skip = exact_log2(self.samples)
        place: Any = Const(0, skip)
        if self.log2_half >= skip:
            count = Signal(self.log2_half + 1 - skip)
            place = Mux(control.first, 0, count)[: len(count)]
            with m.If(self.en):
                m.d.sync += count.eq(place + 1)

        def bit(number: int, lane: int) -> Any:
            if number < 0:
                return Const(0)
            if number < skip:
                return Const(lane >> number & 1)
            return place[number - skip]

        half = [self._register(m, bit(self.log2_half, lane), f"half{lane}") for lane in range(self.samples)]
        quarter = [self._register(m, bit(self.log2_half - 1, lane), f"quarter{lane}") for lane in range(self.samples)]
        return list(zip(half, quarter, strict=True))

    def _register(self, m: Module, value: Any, name: str) -> Signal:
        register = Signal(name=name, reset_less=True)
        with m.If(self.en):
            m.d.sync += register.eq(value)
        return register
