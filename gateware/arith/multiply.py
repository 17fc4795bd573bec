"""Pipelined float32 multiplication."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.float32 import (
    BIAS,
    SIGNIFICAND_BITS,
    Float32,
    Pipeline,
    Special,
    encode,
    leading_zeros,
    trailing_zeros,
)
from cosoc.gateware.shared import SharedComponent


class FloatMultiply(SharedComponent):
    """`o = a * b`, rounded to nearest even.

    Subnormal operands and results, signed zeros, infinities; NaN is 0x7FC00000.

    Stages: unpack; multiply, with a register before and two behind the product for the DSP slices; shift; round. Only one
    operand's leading zeros matter, since the product of two subnormal numbers is far below the smallest number. They are counted
    while the multiplier works. So are the trailing zeros of both: their sum is that of the product and tells whether
    the shift loses anything, which saves the wide sticky logic.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a, b: encoded operands.
        o: encoded result of the operands `latency` enabled cycles ago.
    """

    latency = 5

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(32), "b": In(32), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)

        a, b = Float32(self.a), Float32(self.b)
        scale = Signal(signed(10))
        m.d.comb += scale.eq(a.scale + b.scale - BIAS)
        unpacked = pipeline.stage(a=a.significand, b=b.significand, scale=scale, sign=a.sign ^ b.sign, special=self._special())

        a_subnormal = ~unpacked.a[-1]
        product = pipeline.stage(
            product=unpacked.a * unpacked.b,
            leading=leading_zeros(Mux(a_subnormal, unpacked.a, unpacked.b)),
            trailing=trailing_zeros(unpacked.a) + trailing_zeros(unpacked.b),
            scale=unpacked.scale,
            sign=unpacked.sign,
            special=unpacked.special,
        )

        m.d.comb += self.o.eq(_rounded(m, pipeline, product))
        assert pipeline.depth == self.latency
        return m

    def _special(self) -> Value:
        a, b = Float32(self.a), Float32(self.b)
        infinity = a.is_infinity() | b.is_infinity()
        zero = a.is_zero() | b.is_zero()
        nan = a.is_nan() | b.is_nan() | (infinity & zero)
        return Mux(nan, Special.NAN, Mux(infinity, Special.INFINITY, Mux(zero, Special.ZERO, Special.NONE)))


class FloatRootHalf(SharedComponent):
    """`o = a * c`, `c` the square root of 1/2 in float32: `FloatMultiply` with a constant, in logic instead of DSP slices.

    The significand of `c`, 0xB504F3, is `2^16 * (2^5 * 5 + 2^2 * 5 + 1) + 2^8 * 5 - 5 - 2^3`.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a: encoded operand.
        o: encoded result of the operand `latency` enabled cycles ago.
    """

    latency = 5

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(32), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        a = Float32(self.a)
        special = Mux(a.is_nan(), Special.NAN, Mux(a.is_infinity(), Special.INFINITY, Mux(a.is_zero(), Special.ZERO, Special.NONE)))
        scale = Signal(signed(10))
        m.d.comb += scale.eq(a.scale - 1)
        unpacked = pipeline.stage(
            a=a.significand, five=a.significand + (a.significand << 2), scale=scale, sign=a.sign, special=special
        )
        parts = pipeline.stage(
            high=(unpacked.five << 21) + (unpacked.five << 18) + (unpacked.a << 16),
            low=(unpacked.five << 8) - unpacked.five - (unpacked.a << 3),
            leading=leading_zeros(unpacked.a),
            trailing=trailing_zeros(unpacked.a),
            scale=unpacked.scale,
            sign=unpacked.sign,
            special=unpacked.special,
        )
        product = SimpleNamespace(**{**vars(parts), "product": (parts.high + parts.low)[: 2 * SIGNIFICAND_BITS]})
        m.d.comb += self.o.eq(_rounded(m, pipeline, product))
        assert pipeline.depth == self.latency
        return m


def _rounded(m: Module, pipeline: Pipeline, product: SimpleNamespace) -> Value:
    """The last three stages: an exact product of significands becomes an encoded number."""
    # Shift left until the product has at most one leading zero, but not below the smallest exponent: to the right then.
    subnormal = product.scale < product.leading
    right = Signal(signed(11))
    m.d.comb += right.eq(SIGNIFICAND_BITS - 1 - Mux(subnormal, product.scale, product.leading))
    exponent = Signal(9)
    m.d.comb += exponent.eq(Mux(subnormal, 0, product.scale - product.leading))
    measured = pipeline.stage(
        product=product.product,
        right=Mux(right > 63, 63, right)[:6],
        trailing=product.trailing,
        exponent=exponent,
        sign=product.sign,
        special=product.special,
    )

    # A `right` of 23 takes the product's upper bits: 24, a guard bit, and one more for the last normalization.
    window = (Cat(Const(0, 1), measured.product) >> measured.right)[: SIGNIFICAND_BITS + 2]
    normalize = ~window[-1] & (measured.exponent != 0)
    shifted = pipeline.stage(
        significand=Mux(normalize, window[1:-1], window[2:]),
        guard=Mux(normalize, window[0], window[1]),
        sticky=measured.trailing + normalize < measured.right,
        exponent=(measured.exponent - normalize)[:9],
        sign=measured.sign,
        special=measured.special,
    )

    return Value.cast(pipeline.stage(o=encode(**vars(shifted))).o)
