"""Pipelined division of a float32 number by a wide one, and the square root of a wide number, rounded to float32."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.float32 import BIAS, SIGNIFICAND_BITS, Float32, Pipeline, Special, encode, leading_zeros
from cosoc.gateware.arith.norm import WIDE_BITS, Wide
from cosoc.gateware.shared import SharedComponent

_FRACTION = WIDE_BITS - 1
"""Bits of a remainder behind the point; three before it, with the sign, hold -4 up to 4."""

_REMAINDER_BITS = _FRACTION + 3

_DIGITS = SIGNIFICAND_BITS + 2
"""A quotient begins with its first or second digit; then a guard bit, and the last remainder tells the rest."""


class FloatDivide(SharedComponent):
    """`o = a / d`, or `o = sqrt(d)` if `root`, rounded once, to nearest even.

    Subnormal operands and results, signed zeros, infinities; NaN is 0x7FC00000, also for 0 / 0 and infinity / infinity.

    Both are the same non-restoring digit recurrence, one digit a stage, one adder: the remainder `s` becomes `2s - t` where it is
    not negative, else `2s + t'`. For a quotient `t = t' = d`; for a root with digits `q` so far and a next digit of weight w,
    `t = 2q + w` and `t' = 2q + 3w` (Ercegovac and Lang, Division and Square Root, 1994). The digit is 1 where the
    new remainder is not negative.

    Stages: count leading zeros, normalize, first remainder, 25 digits, last remainder, place of the result, shift, round.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a: encoded numerator.
        d: divisor, or what the root is taken of (then its sign does not count).
        root: takes the root.
        o: encoded result of the operands `latency` enabled cycles ago.
    """

    latency = 6 + _DIGITS

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(32), "d": In(Wide), "root": In(1), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        a, d = Float32(self.a), self.d
        counted = pipeline.stage(
            significand=a.significand,
            shift=leading_zeros(a.significand),
            scale=a.scale,
            divisor=d.significand,
            below=d.exponent,
            root=self.root,
            sign=~self.root & (a.sign ^ d.sign),
            special=self._special(a),
        )
        normal = pipeline.stage(**self._normalize(m, counted))
        first = pipeline.stage(
            remainder=(normal.minuend - Mux(normal.root, 1 << _FRACTION, normal.divisor))[:_REMAINDER_BITS],
            divisor=normal.divisor,
            root=normal.root,
        )
        digits, state = self._digits(pipeline, first)
        # A negative remainder is brought back: only whether it is zero matters.
        operand = Mux(state.root, _root_operand(digits[:-1], Const(0, 1), _DIGITS - 1), state.divisor)
        restored = Mux(state.remainder[-1], state.remainder + operand, state.remainder)[:_REMAINDER_BITS]
        last = pipeline.stage(rest=restored, digits=Cat(*reversed(digits)))
        waited = pipeline.depth - 2
        sign, special = pipeline.delay(normal.sign, waited, "sign"), pipeline.delay(normal.special, waited, "special")
        exponent = pipeline.delay(normal.exponent, waited, "exponent").as_signed()
        placed = pipeline.stage(**self._place(m, last, exponent), sign=sign, special=special)
        shifted = pipeline.stage(**_shift(placed))
        result = pipeline.stage(o=encode(**vars(shifted)))
        m.d.comb += self.o.eq(result.o)
        assert pipeline.depth == self.latency
        return m

    def _special(self, a: Float32) -> Value:
        d = self.d
        nan = d.nan | (~self.root & (a.is_nan() | (a.is_zero() & d.zero) | (a.is_infinity() & d.infinity)))
        infinity = Mux(self.root, d.infinity, a.is_infinity() | d.zero)
        zero = Mux(self.root, d.zero, a.is_zero() | d.infinity)
        return Mux(nan, Special.NAN, Mux(infinity, Special.INFINITY, Mux(zero, Special.ZERO, Special.NONE)))

    def _normalize(self, m: Module, counted: SimpleNamespace) -> dict[str, Value]:
        """The number that is divided, 1 up to 2, or that the root is taken of, 1 up to 4; the exponent of a result 1 up to 2."""
        numerator = Cat(Const(0, WIDE_BITS - SIGNIFICAND_BITS), (counted.significand << counted.shift)[:SIGNIFICAND_BITS])
        odd = counted.below[0]
        radicand = Mux(odd, counted.divisor << 1, counted.divisor)
        exponent = Signal(signed(11))
        quotient = counted.scale - BIAS - counted.shift - counted.below
        m.d.comb += exponent.eq(Mux(counted.root, (counted.below - odd) >> 1, quotient))
        return {
            "minuend": Mux(counted.root, radicand, numerator),
            "divisor": counted.divisor,
            "exponent": exponent,
            "root": counted.root,
            "sign": counted.sign,
            "special": counted.special,
        }

    def _digits(self, pipeline: Pipeline, first: SimpleNamespace) -> tuple[list[Value], SimpleNamespace]:
        """All digits, the first one first, and the state after the last."""
        state = SimpleNamespace(**vars(first), digits=Const(0, 0))
        digits: list[Value] = []
        for weight in range(1, _DIGITS):
            remainder = state.remainder
            negative = remainder[-1]
            digits = [*state.digits, ~negative]
            operand = Mux(state.root, _root_operand(digits, negative, weight), state.divisor)
            operand = Cat(operand, Const(0, 1))[:_REMAINDER_BITS] ^ (~negative).replicate(_REMAINDER_BITS)
            state = pipeline.stage(
                # The lowest bit of 2s is free for the one that a subtraction adds.
                remainder=(Cat(~negative, remainder) + operand)[:_REMAINDER_BITS],
                divisor=state.divisor,
                root=state.root,
                digits=Cat(digits),
            )
        return [*state.digits, ~state.remainder[-1]], state

    def _place(self, m: Module, last: SimpleNamespace, exponent: Value) -> dict[str, Value]:
        """Significand with guard bit, whether there is more, and how far a subnormal result goes to the right."""
        whole = last.digits[-1]
        scale = Signal(signed(12))  # of the result: the exponent field minus one, where that is not negative
        m.d.comb += scale.eq(exponent + (BIAS - 1) - ~whole)
        subnormal = scale < 0
        return {
            "bits": Mux(whole, last.digits[1:], last.digits[:-1]),
            "more": (whole & last.digits[0]) | last.rest.any(),
            "right": Mux(subnormal, Mux(scale < -(SIGNIFICAND_BITS + 1), SIGNIFICAND_BITS + 2, -scale)[:5], 0),
            "exponent": Mux(subnormal, 0, scale)[:10],
        }


def _root_operand(digits: list[Value], add: Value, weight: int) -> Value:
    """`2q + w` or, if `add`, `2q + 3w`, with w = 2^-weight and `digits` down to 2^-(weight - 1), the first one first."""
    return Cat(Const(0, _FRACTION - weight), Const(1, 1), add, *reversed(digits))


def _shift(placed: SimpleNamespace) -> dict[str, Value]:
    """The arguments of `encode`."""
    room = SIGNIFICAND_BITS + 2
    shifted = (Cat(Const(0, room), placed.bits) >> placed.right)[: room + SIGNIFICAND_BITS + 1]
    return {
        "significand": shifted[room + 1 :],
        "guard": shifted[room],
        "sticky": shifted[:room].any() | placed.more,
        "exponent": placed.exponent,
        "sign": placed.sign,
        "special": placed.special,
    }
