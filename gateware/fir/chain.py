"""The multipliers of the FIR core: a systolic chain in which sums and samples move the same way."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.add import FloatAdd
from cosoc.gateware.arith.complex import Complex, ComplexMultiply
from cosoc.gateware.arith.float32 import Pipeline

_MINUS_ZERO = 0x80000000
"""Added to any number, it gives that number: what stands for a term that is left out."""


class TapChain(wiring.Component):
    """`o = partial + h[0] x[n] + h[1] x[n-1] + ...`, every operation rounded in this order; one sample per enabled cycle.

    ::

        x ------+---- delay ----+---- delay ----+-- ..
                |               |               |
               h[0]            h[1]            h[2]
                |               |               |
        partial + ------------- + ------------- + -- .. --> o

    A sum takes the adders' latency from one multiplier to the next; the samples take one cycle more, so that each
    multiplier has the sample before.

    Args:
        multipliers: taps.

    Members:
        en: the chain advances in cycles in which it is 1.
        x, partial: a sample, and what its sum begins with.
        terms: samples of the frame up to this one, at most `multipliers`; a tap takes part if it comes before that.
        valid: the sum of this sample is a result.
        o, o_valid: the sum of the sample `latency` enabled cycles ago, and whether it is a result; taken in cycles with `en`.
        bank: which of two sets of taps the sum takes.
        load, tap, place, load_bank: a tap for a place of a set that no sum in the chain takes.
    """

    def __init__(self, multipliers: int) -> None:
        self.multipliers = multipliers
        self.latency = chain_latency(multipliers)
        super().__init__(
            {
                "en": In(1),
                "x": In(Complex),
                "partial": In(Complex),
                "terms": In(range(multipliers + 1)),
                "valid": In(1),
                "o": Out(Complex),
                "o_valid": Out(1),
                "bank": In(1),
                "load": In(1),
                "tap": In(Complex),
                "place": In(range(multipliers)),
                "load_bank": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        banks = [[Signal(Complex, name=f"tap{k}_{bank}", reset_less=True) for bank in (0, 1)] for k in range(self.multipliers)]
        for k, taps in enumerate(banks):
            for bank, tap in enumerate(taps):
                with m.If(self.load & (self.place == k) & (self.load_bank == bank)):
                    m.d.sync += tap.eq(self.tap)

        total = data.View(Complex, pipeline.delay(self.partial, ComplexMultiply.latency + 1, "partial"))
        sample, terms, bank = self.x, self.terms, self.bank
        for k, taps in enumerate(banks):
            if k:
                sample = data.View(Complex, pipeline.delay(sample, FloatAdd.latency + 1, f"x{k}"))
                terms = pipeline.delay(terms, FloatAdd.latency, f"terms{k}")
                bank = pipeline.delay(bank, FloatAdd.latency, f"bank{k}")
            m.submodules[f"multiply{k}"] = multiply = ComplexMultiply()
            m.submodules[f"add_re{k}"] = add_re = FloatAdd()
            m.submodules[f"add_im{k}"] = add_im = FloatAdd()
            m.d.comb += [multiply.en.eq(self.en), multiply.a.eq(sample), multiply.b.eq(Mux(bank, taps[1], taps[0]))]
            left_out = pipeline.delay(terms <= k, ComplexMultiply.latency, f"left_out{k}")
            for part, adder in (("re", add_re), ("im", add_im)):
                term = pipeline.delay(Mux(left_out, _MINUS_ZERO, multiply.o[part]), 1, f"term{k}_{part}")
                m.d.comb += [adder.en.eq(self.en), adder.a.eq(total[part]), adder.b.eq(term)]
            summed = Signal(Complex, name=f"sum{k}")
            m.d.comb += [summed.re.eq(add_re.o), summed.im.eq(add_im.o)]
            total = summed

        flags = Signal(self.latency)
        with m.If(self.en):
            m.d.sync += flags.eq(Cat(self.valid, flags))
        m.d.comb += [self.o.eq(total), self.o_valid.eq(flags[-1])]
        return m


def chain_latency(multipliers: int) -> int:
    """Enabled cycles from a sample to its sum."""
    return ComplexMultiply.latency + 1 + multipliers * FloatAdd.latency
