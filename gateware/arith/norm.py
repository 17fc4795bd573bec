"""The squared norm of a complex float32 number with 27 bits and without overflow, and what a divider takes as divisor."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.float32 import BIAS, SIGNIFICAND_BITS, Float32, Pipeline, leading_zeros
from cosoc.gateware.shared import SharedComponent

WIDE_BITS = 27
"""Bits of a wide significand. A quotient of a float32 by such a number, and its square root, are never so close to the middle
between two float32 numbers that rounding them to 53 bits first would change the result: software computes them in double."""

Wide = data.StructLayout(
    {"significand": WIDE_BITS, "exponent": signed(10), "sign": 1, "zero": 1, "infinity": 1, "nan": 1},
)
"""`(-1)^sign * significand / 2^26 * 2^exponent`; the significand has its leading one unless one of the three flags is set."""

_EXTRA_BITS = WIDE_BITS - SIGNIFICAND_BITS


class WideNorm(SharedComponent):
    """`re = im = i.re^2 + i.im^2`, or, if `parts`, `re = i.re` and `im = i.im`, as `Wide` numbers.

    Both squares and their sum are cut to 27 bits, toward zero: the norm is at most 2 * 2^-26 of itself too small. Exponents have
    ten bits, so nothing overflows or vanishes: the norm of subnormal numbers is as accurate as any. An infinite part makes the
    norm infinite, a NaN makes it NaN, also both together.

    Stages: count leading zeros, normalize, multiply (two registers for the DSP slices), cut the squares, order, align, add, cut the
    sum, choose.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        i: an encoded complex number.
        parts: gives the parts instead of the norm.
        re, im: of the operand `latency` enabled cycles ago.
    """

    latency = 10

    def __init__(self) -> None:
        super().__init__({"en": In(1), "i": In(Complex), "parts": In(1), "re": Out(Wide), "im": Out(Wide)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        numbers = {part: Float32(getattr(self.i, part)) for part in ("re", "im")}
        flags = {f"{part}_flags": _flags(number) for part, number in numbers.items()}
        counted = pipeline.stage(
            **{part: number.significand for part, number in numbers.items()},
            **{f"{part}_shift": leading_zeros(number.significand) for part, number in numbers.items()},
            **{f"{part}_scale": number.scale for part, number in numbers.items()},
            **flags,
        )
        normal = pipeline.stage(**_normalize(m, counted))
        squares = pipeline.stage(re=normal.re * normal.re, im=normal.im * normal.im)
        squares = pipeline.stage(**vars(squares))
        exponents = {part: pipeline.delay(getattr(normal, f"{part}_exponent"), 2, f"{part}_exponent") for part in ("re", "im")}
        cut = pipeline.stage(
            **{
                part: Mux(getattr(squares, part)[-1], getattr(squares, part)[-27:], getattr(squares, part)[-28:-1])
                for part in exponents
            },
            **{f"{part}_exponent": _doubled(getattr(squares, part)[-1], exponent) for part, exponent in exponents.items()},
        )
        swap = cut.re_exponent < cut.im_exponent
        distance = Mux(swap, cut.im_exponent - cut.re_exponent, cut.re_exponent - cut.im_exponent)[:10]
        ordered = pipeline.stage(
            big=Mux(swap, cut.im, cut.re),
            small=Mux(swap, cut.re, cut.im),
            exponent=Mux(swap, cut.im_exponent, cut.re_exponent),
            distance=Mux(distance >= 31, 31, distance)[:5],
        )
        aligned = pipeline.stage(big=ordered.big, small=(ordered.small >> ordered.distance)[:WIDE_BITS], exponent=ordered.exponent)
        added = pipeline.stage(total=aligned.big + aligned.small, exponent=aligned.exponent)
        carry = added.total[-1]
        norm = pipeline.stage(
            significand=Mux(carry, added.total[1:], added.total[:-1]), exponent=(added.exponent + carry)[:10].as_signed()
        )
        self._choose(m, pipeline, normal, norm)
        assert pipeline.depth == self.latency
        return m

    def _choose(self, m: Module, pipeline: Pipeline, normal: SimpleNamespace, norm: SimpleNamespace) -> None:
        """The last stage: the norm, or the parts that have waited beside it."""
        since = pipeline.depth - 2
        parts = pipeline.delay(self.parts, pipeline.depth, "parts")
        values, flags = {}, {}
        for part in ("re", "im"):
            flags[part] = pipeline.delay(getattr(normal, f"{part}_flags"), since, f"{part}_flags")
            significand = Cat(Const(0, _EXTRA_BITS), pipeline.delay(getattr(normal, part), since, part))
            exponent = pipeline.delay(getattr(normal, f"{part}_exponent"), since, f"{part}_exponent").as_signed()
            values[f"{part}_significand"] = Mux(parts, significand, norm.significand)
            values[f"{part}_exponent"] = Mux(parts, exponent, norm.exponent)
        re, im = flags["re"], flags["im"]  # nan, infinity, zero, sign
        nan = re[0] | im[0]
        both = Cat(nan, (re[1] | im[1]) & ~nan, re[2] & im[2], Const(0, 1))
        chosen = pipeline.stage(**values, re_flags=Mux(parts, re, both), im_flags=Mux(parts, im, both))
        for part, output in (("re", self.re), ("im", self.im)):
            nan, infinity, zero, sign = getattr(chosen, f"{part}_flags")
            m.d.comb += [
                output.significand.eq(getattr(chosen, f"{part}_significand")),
                output.exponent.eq(getattr(chosen, f"{part}_exponent")),
                output.nan.eq(nan),
                output.infinity.eq(infinity),
                output.zero.eq(zero),
                output.sign.eq(sign),
            ]


def _flags(number: Float32) -> Value:
    return Cat(number.is_nan(), number.is_infinity(), number.is_zero(), number.sign)


def _normalize(m: Module, counted: SimpleNamespace) -> dict[str, Value]:
    """Significands with their leading one, and exponents that count from 2^0."""
    values: dict[str, Value] = {}
    for part in ("re", "im"):
        exponent = Signal(signed(10), name=f"{part}_exponent")
        shift = getattr(counted, f"{part}_shift")
        m.d.comb += exponent.eq(getattr(counted, f"{part}_scale") - BIAS - shift)
        values[part] = (getattr(counted, part) << shift)[:SIGNIFICAND_BITS]
        values[f"{part}_exponent"] = exponent
        values[f"{part}_flags"] = getattr(counted, f"{part}_flags")
    return values


def _doubled(carry: Value, exponent: Value) -> Value:
    return Cat(carry, exponent)[:10].as_signed()
