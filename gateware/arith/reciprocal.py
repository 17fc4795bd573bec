"""Pipelined, correctly rounded float32 reciprocal."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.float32 import BIAS, FRACTION_BITS, SIGNIFICAND_BITS, Float32, Pipeline, Special, encode
from cosoc.gateware.shared import SharedComponent

_DIGITS = SIGNIFICAND_BITS + 1
"""Digits of the quotient: the significand and the guard bit."""

_DIGITS_PER_STAGE = 2
"""Two subtractions of 25 bits follow each other within a cycle of 300 MHz on UltraScale+."""


class FloatReciprocal(SharedComponent):
    """`o = 1 / a`, rounded to nearest even.

    Subnormal operands and results, signed zeros, infinities; NaN is 0x7FC00000.

    The significand 1 <= m < 2 divides by restoring digit recurrence, two bits a stage, without DSP slices: `r = 2r - m` where
    that is not negative, else `2r`. Only the two largest binades of subnormal operands have a finite reciprocal, and results are
    subnormal by at most two bits, so both normalizations are short. A result lies exactly between two numbers only if m is 1.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a: encoded operand.
        o: encoded result of the operand `latency` enabled cycles ago.
    """

    latency = 2 + -(-_DIGITS // _DIGITS_PER_STAGE)

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(32), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)

        a = Float32(self.a)
        normal = a.exponent != 0
        divisor = Signal(SIGNIFICAND_BITS)
        scale = Signal(signed(9))  # biased exponent of the divisor
        with m.If(normal | a.fraction[-1]):
            m.d.comb += divisor.eq(Mux(normal, a.significand, a.significand << 1))
            m.d.comb += scale.eq(a.exponent)
        with m.Else():
            m.d.comb += divisor.eq(a.significand << 2)
            m.d.comb += scale.eq(-1)
        # A power of two would give the quotient 1; half of the numerator keeps it below, as all others are.
        exact = divisor[:-1] == 0
        state = pipeline.stage(
            divisor=divisor,
            remainder=Mux(exact, 1 << FRACTION_BITS - 1, 1 << FRACTION_BITS),
            quotient=Const(0, 0),
            scale=(2 * BIAS - 1 - scale + exact).as_signed(),
            exact=exact,
            sign=a.sign,
            special=self._special(a),
        )

        for first in range(0, _DIGITS, _DIGITS_PER_STAGE):
            remainder, quotient = state.remainder, state.quotient
            for _ in range(first, min(first + _DIGITS_PER_STAGE, _DIGITS)):
                remainder, digit = _step(m, remainder, state.divisor)
                quotient = Cat(digit, quotient)
            state = pipeline.stage(**(vars(state) | {"remainder": remainder, "quotient": quotient}))

        # scale is 1 or more for a normal result, 0 or -1 for one that is subnormal by one or two bits.
        right = Mux(state.scale == 0, 1, Mux(state.scale == -1, 2, 0))
        shifted = (Cat(Const(0, 2), state.quotient) >> right)[: _DIGITS + 2]
        result = pipeline.stage(
            o=encode(
                sign=state.sign,
                exponent=Mux(state.scale > 0, state.scale - 1, 0)[:8],
                significand=shifted[3:],
                guard=shifted[2],
                sticky=shifted[:2].any() | ~state.exact,
                special=state.special,
            )
        )
        m.d.comb += self.o.eq(result.o)
        assert pipeline.depth == self.latency
        return m

    @staticmethod
    def _special(a: Float32) -> Value:
        # 2^-128 and below has a reciprocal above the largest number.
        overflow = (a.exponent == 0) & (a.fraction <= 1 << FRACTION_BITS - 2)
        special = Mux(overflow, Special.INFINITY, Mux(a.is_infinity(), Special.ZERO, Special.NONE))
        return Mux(a.is_nan(), Special.NAN, special)


def _step(m: Module, remainder: Value, divisor: Value) -> tuple[Value, Value]:
    """The next remainder and digit of the recurrence."""
    difference = Signal(SIGNIFICAND_BITS + 2)
    m.d.comb += difference.eq((remainder << 1) - divisor)
    digit = ~difference[-1]
    return Mux(digit, difference, remainder << 1)[:SIGNIFICAND_BITS], digit
