"""Pipelined float32 addition and subtraction."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.float32 import SIGNIFICAND_BITS, Float32, Pipeline, Special, encode, leading_zeros
from cosoc.gateware.shared import SharedComponent

_MAX_DISTANCE = SIGNIFICAND_BITS + 3
"""Alignment by this much leaves only the sticky bit; more changes nothing."""


class FloatAdd(SharedComponent):
    """`o = a + b`, or `a - b` if `subtract`, rounded to nearest even.

    Subnormal operands and results, signed zeros, infinities; an exact zero of unlike numbers is +0; NaN is 0x7FC00000.

    Stages: order by magnitude, align the smaller, add or subtract, count leading zeros, normalize, round.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a, b: encoded operands.
        subtract: negates `b`.
        o: encoded result of the operands `latency` enabled cycles ago.
    """

    latency = 6

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(32), "b": In(32), "subtract": In(1), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)

        a, b = Float32(self.a), Float32(self.b)
        unlike = a.sign ^ b.sign ^ self.subtract
        swap = a.magnitude < b.magnitude
        cancels = unlike & (a.magnitude == b.magnitude)
        big_scale, small_scale = Mux(swap, b.scale, a.scale), Mux(swap, a.scale, b.scale)
        ordered = pipeline.stage(
            big=Mux(swap, b.significand, a.significand),
            small=Mux(swap, a.significand, b.significand),
            scale=big_scale,
            distance=(big_scale - small_scale)[:8],
            unlike=unlike,
            sign=Mux(swap, b.sign ^ self.subtract, a.sign) & ~cancels,
            special=self._special(unlike, cancels),
        )

        distance = Mux(ordered.distance > _MAX_DISTANCE, _MAX_DISTANCE, ordered.distance[:5])
        below = SIGNIFICAND_BITS + 1  # bits that the alignment can push below the round bit
        shifted = (Cat(Const(0, _MAX_DISTANCE), ordered.small) >> distance)[: _MAX_DISTANCE + SIGNIFICAND_BITS]
        aligned = pipeline.stage(
            big=Cat(Const(0, 3), ordered.big),
            small=Cat(shifted[:below].any(), shifted[below:]),
            scale=ordered.scale,
            unlike=ordered.unlike,
            sign=ordered.sign,
            special=ordered.special,
        )

        # A number whose leading one would need an exponent below the smallest stays subnormal: a one at the place of
        # the smallest exponent ends the count of leading zeros.
        total_bits = SIGNIFICAND_BITS + 4
        added = pipeline.stage(
            total=Mux(aligned.unlike, aligned.big - aligned.small, aligned.big + aligned.small)[:total_bits],
            end=Cat(aligned.scale == total_bits - 1 - place for place in range(total_bits)),
            scale=aligned.scale,
            sign=aligned.sign,
            special=aligned.special,
        )

        # The carry is the leading bit.
        shift = leading_zeros(added.total | added.end)
        counted = pipeline.stage(total=added.total, shift=shift[:5], scale=added.scale, sign=added.sign, special=added.special)

        normal = (counted.total << counted.shift)[:total_bits]
        normalized = pipeline.stage(
            exponent=(counted.scale - counted.shift)[:8],
            significand=normal[4:],
            guard=normal[3],
            sticky=normal[:3].any(),
            sign=counted.sign,
            special=counted.special,
        )
        result = pipeline.stage(o=encode(**vars(normalized)))
        m.d.comb += self.o.eq(result.o)
        assert pipeline.depth == self.latency
        return m

    def _special(self, unlike: Value, cancels: Value) -> Value:
        a, b = Float32(self.a), Float32(self.b)
        nan = a.is_nan() | b.is_nan() | (a.is_infinity() & b.is_infinity() & unlike)
        infinity = a.is_infinity() | b.is_infinity()
        return Mux(nan, Special.NAN, Mux(infinity, Special.INFINITY, Mux(cancels, Special.ZERO, Special.NONE)))
