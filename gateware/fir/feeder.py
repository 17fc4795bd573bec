"""What the chain needs to know of each sample: its place in the frame, and the sample that the delay puts in its place."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.fir.config import FIRConfig
from cosoc.gateware.fir.samples import SAMPLE_BITS


class SampleFeeder(wiring.Component):
    """Counts the samples of frames and delays them.

    Members:
        start: a command begins; `taps`, `length`, `delay` and `decimation` are its fields from then on.
        sample, partial, accept: a sample, what its sum begins with, and that both are taken.
        kept: the result of the next sample is kept.
        x, terms, valid, en: for the chain, one cycle after `accept`; `valid` if `kept` and `want`.
        want: results are still wanted.
        flush: the chain advances without a sample.
    """

    def __init__(self, config: FIRConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "taps": In(range(config.multipliers + 1)),
                "length": In(32),
                "delay": In(16),
                "decimation": In(16),
                "sample": In(SAMPLE_BITS),
                "partial": In(SAMPLE_BITS),
                "accept": In(1),
                "want": In(1),
                "flush": In(1),
                "kept": Out(1),
                "x": Out(SAMPLE_BITS),
                "sum": Out(SAMPLE_BITS),
                "terms": Out(range(config.multipliers + 1)),
                "valid": Out(1),
                "en": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(32)  # samples of the frame
        lead = Signal(16)  # samples until the delayed ones are of this frame
        until = Signal(16)  # samples until one whose result is kept
        terms = Signal(range(self.config.multipliers + 1))  # of the sample before
        m.d.comb += self.kept.eq(until == 0)

        here = Signal.like(terms)
        m.d.comb += here.eq(Mux(lead == 0, Mux(terms == self.taps, terms, terms + 1), 0))
        m.d.sync += self.en.eq(self.accept | self.flush)
        with m.If(self.accept):
            m.d.sync += [
                self.sum.eq(self.partial),
                self.terms.eq(here),
                terms.eq(here),
                lead.eq(Mux(lead == 0, 0, lead - 1)),
                until.eq(Mux(self.kept, self.decimation, until) - 1),
                left.eq(left - 1),
            ]
        m.d.sync += self.valid.eq(self.accept & self.kept & self.want)
        with m.If(self.start | (self.accept & (left == 1))):
            m.d.sync += [left.eq(self.length), lead.eq(self.delay), until.eq(0), terms.eq(0)]
        self._delay(m)
        return m

    def _delay(self, m: Module) -> None:
        """The samples of all frames in a ring; what it holds of earlier frames has no terms."""
        ring = memory.Memory(shape=SAMPLE_BITS, depth=self.config.max_taps, init=[])
        m.submodules.ring = ring
        write, read = ring.write_port(), ring.read_port()
        place = Signal(ceil_log2(self.config.max_taps))
        newest = Signal(SAMPLE_BITS, reset_less=True)
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(self.sample),
            write.en.eq(self.accept),
            read.addr.eq(place - self.delay),
            read.en.eq(self.accept),
            # The ring does not have a sample in the cycle in which it comes.
            self.x.eq(Mux(self.delay == 0, newest, read.data)),
        ]
        with m.If(self.accept):
            m.d.sync += [place.eq(place + 1), newest.eq(self.sample)]
