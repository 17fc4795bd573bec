"""Complex block floating point: numbers whose two parts share an exponent, on fixed-point adders and multipliers.

A number is `(re + i im) * 2**(exponent - 125 - bits)` with signed mantissas of `bits` bits. One that comes from an infinity or a
NaN is `invalid`, and so is every result of it. Bit-exact model: `block_golden`. All operators are pipelines that advance in
cycles in which `en` is 1; `o` belongs to the operands `latency` enabled cycles ago.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.block_golden import FACTOR_FRACTION_BITS, GUARD_BITS
from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.float32 import EXPONENT_MAX, SIGNIFICAND_BITS, Float32, Pipeline, Special, leading_zeros
from cosoc.gateware.arith.scale import SHIFT_BITS, encode_placed, place

EXPONENT_BITS = 10
EXPONENT_OFFSET = 64
"""What the field `exponent` holds above the number's exponent: sums can lower it below that of the smallest float32."""

FACTOR_BITS = FACTOR_FRACTION_BITS + 1

Factor = data.StructLayout({"re": signed(FACTOR_BITS), "im": signed(FACTOR_BITS)})
"""A fixed-point number of magnitude 1 in units of 2^-17."""

_PARTS = (("re", "im"), ("im", "re"))
"""Each part, and the other one."""

_FARTHEST = 31
"""Shifting mantissas to the right by this much leaves only the sign and the sticky bit; more changes nothing."""


def block_layout(bits: int) -> data.StructLayout:
    """A number with mantissas of `bits` bits."""
    return data.StructLayout({"re": signed(bits), "im": signed(bits), "exponent": EXPONENT_BITS, "invalid": 1})


def _clamped(distance: Value) -> Value:
    return Mux(distance[5:].any(), _FARTHEST, distance[:5])


def _redundant(value: Value, count: int) -> Value:
    """Whether `count` bits below the sign equal it."""
    top = value[-1 - count :]
    return top.all() | ~top.any()


def _round_up(floor: Value, guard: Value, sticky: Value) -> Value:
    """Whether rounding to nearest even adds one: not to the largest mantissa, which has no successor."""
    largest = floor[:-1].all() & ~floor[-1]
    return guard & (sticky | floor[0]) & ~largest


def _truncated(part: str, value: Value, places: Value, choices: range, bits: int) -> dict[str, Value]:
    """The mantissa `value >> places` and what rounding needs to know; `choices` are the possible places, in order."""
    result: dict[str, Value] = {}
    for index, count in enumerate(choices):
        found = {part: value[count : count + bits], f"{part}_guard": value[count - 1], f"{part}_sticky": value[: count - 1].any()}
        result = {name: Mux(places == index, bit, result[name]) for name, bit in found.items()} if index else found
    return result


def _rounded(stage: Any, bits: int) -> dict[str, Value]:
    """Both mantissas of a stage of `_truncated` values."""
    values = vars(stage)
    return {
        part: (values[part] + _round_up(values[part], values[f"{part}_guard"], values[f"{part}_sticky"]))[:bits]
        for part, _ in _PARTS
    }


class BlockFromFloat(wiring.Component):
    """Converts complex float32. The exponent is that of the larger part.

    Stages: compare exponents, distances, shift, round, negate.

    Args:
        bits: of a mantissa, 16..24.

    Members:
        i: complex float32.
        o: the number.
    """

    latency = 5

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"en": In(1), "i": In(Complex), "o": Out(block_layout(bits))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        parts = {part: Float32(self.i[part]) for part, _ in _PARTS}
        compared = pipeline.stage(
            re=parts["re"].scale,
            im=parts["im"].scale,
            im_larger=parts["re"].scale < parts["im"].scale,
            invalid=(parts["re"].exponent == EXPONENT_MAX) | (parts["im"].exponent == EXPONENT_MAX),
        )
        distances = {
            "re": Mux(compared.im_larger, compared.im - compared.re, 0)[:8],
            "im": Mux(compared.im_larger, 0, compared.re - compared.im)[:8],
        }
        measured = pipeline.stage(
            **{part: _clamped(distance) for part, distance in distances.items()},
            exponent=(Mux(compared.im_larger, compared.im, compared.re) + EXPONENT_OFFSET)[:EXPONENT_BITS],
            invalid=compared.invalid,
        )
        truncated: dict[str, Value] = {}
        for part, number in parts.items():
            significand = pipeline.delay(number.significand, 2, f"{part}_significand")
            shifted = (Cat(Const(0, _FARTHEST), significand) >> getattr(measured, part))[: _FARTHEST + SIGNIFICAND_BITS]
            below = _FARTHEST + SIGNIFICAND_BITS - (self.bits - 1)
            truncated |= _truncated(part, Cat(shifted, 0), Const(0), range(below, below + 1), self.bits)
        rounded = pipeline.stage(**_rounded(pipeline.stage(**truncated), self.bits))
        signs = {part: pipeline.delay(number.sign, 4, f"{part}_sign") for part, number in parts.items()}
        result = pipeline.stage(
            **{part: Mux(sign, -getattr(rounded, part), getattr(rounded, part))[: self.bits] for part, sign in signs.items()},
        )
        m.d.comb += [
            self.o.re.eq(result.re),
            self.o.im.eq(result.im),
            self.o.exponent.eq(pipeline.delay(measured.exponent, 3, "exponent")),
            self.o.invalid.eq(pipeline.delay(measured.invalid, 3, "invalid")),
        ]
        assert pipeline.depth == self.latency
        return m


class BlockAdd(wiring.Component):
    """`o = a + b`, `a - b` if `subtract`, `-i (a - b)` if `turn` too, or `a` if `keep`.

    Stages: distance of the exponents, order by exponent, align the smaller, add, normalize, round. A sum is shifted by one place
    to the right, or by at most two to the left; `keep` leaves `a` as it is.

    Args:
        bits: of a mantissa, 16..24.

    Members:
        a, b: operands.
        subtract, turn, keep: the operation; not `subtract` and `keep` together.
        o: the result.
    """

    latency = 6

    def __init__(self, bits: int) -> None:
        self.bits = bits
        number = block_layout(bits)
        operation = {"subtract": In(1), "turn": In(1), "keep": In(1)}
        super().__init__({"en": In(1), "a": In(number), "b": In(number), **operation, "o": Out(number)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        a, b, keep, turn = self.a, self.b, self.keep, self.turn
        first = pipeline.stage(
            **{f"a_{part}": Mux(turn, a[other], a[part]) for part, other in _PARTS},
            **{f"b_{part}": Mux(keep, 0, Mux(turn, b[other], b[part])) for part, other in _PARTS},
            # The imaginary part of a turned difference is b.re - a.re.
            negate_a_re=Const(0),
            negate_b_re=self.subtract,
            negate_a_im=self.subtract & turn,
            negate_b_im=self.subtract & ~turn,
            a_exponent=a.exponent,
            b_exponent=b.exponent,
            distance=a.exponent - b.exponent,
            keep=keep,
            invalid=a.invalid | (b.invalid & ~keep),
        )

        swap = (first.distance < 0) & ~first.keep
        operands = vars(first)
        rest = {"keep": first.keep, "invalid": first.invalid}
        ordered = pipeline.stage(
            **{
                f"{name}{operand}_{part}": Mux(swap, operands[f"{name}{b}_{part}"], operands[f"{name}{a}_{part}"])
                for operand, a, b in (("large", "a", "b"), ("small", "b", "a"))
                for name in ("", "negate_")
                for part, _ in _PARTS
            },
            exponent=Mux(swap, first.b_exponent, first.a_exponent),
            distance=_clamped(Mux(swap, -first.distance, first.distance)[:EXPONENT_BITS]),
            **rest,
        )

        values = vars(ordered)
        aligned = pipeline.stage(
            **{f"small_{part}": self._aligned(values[f"small_{part}"], ordered.distance) for part, _ in _PARTS},
            **{name: value for name, value in values.items() if name not in ("small_re", "small_im", "distance")},
        )
        values = vars(aligned)
        sums = pipeline.stage(
            **{part: self._sum(*(values[f"{name}_{part}"] for name in _SUM_OPERANDS)) for part, _ in _PARTS},
            exponent=aligned.exponent,
            keep=aligned.keep,
            invalid=aligned.invalid,
        )

        redundant = [_redundant(sums.re, count) & _redundant(sums.im, count) for count in (1, 2, 3)]
        places = Mux(redundant[2], 0, Mux(redundant[1], 1, Mux(redundant[0], 2, 3)))
        places = Mux(sums.keep, 2, places)[:2]
        truncated: dict[str, Value] = {}
        for part, _ in _PARTS:
            truncated |= _truncated(part, getattr(sums, part), places, range(1, GUARD_BITS + 2), self.bits)
        exponent = (sums.exponent + places - 2)[:EXPONENT_BITS]
        normalized = pipeline.stage(**truncated, exponent=exponent, invalid=sums.invalid)
        result = pipeline.stage(**_rounded(normalized, self.bits), exponent=normalized.exponent, invalid=normalized.invalid)
        m.d.comb += [self.o[name].eq(value) for name, value in vars(result).items()]
        assert pipeline.depth == self.latency
        return m

    def _aligned(self, mantissa: Value, distance: Value) -> Value:
        """With guard bits, shifted to the right; the last one is set when a one was lost."""
        shifted = Cat(Const(0, _FARTHEST + GUARD_BITS), mantissa).as_signed() >> distance
        lost = shifted[:_FARTHEST].any()
        width = self.bits + GUARD_BITS
        return Cat(shifted[_FARTHEST] | lost, shifted[_FARTHEST + 1 : _FARTHEST + width]).as_signed()

    def _sum(self, large: Value, small: Value, negate_large: Value, negate_small: Value) -> Value:
        """One adder: at most one operand is negated, by inverting it and a carry."""
        extended = Cat(Const(0, GUARD_BITS), large).as_signed()
        operands = Mux(negate_large, ~extended, extended) + Mux(negate_small, ~small, small)
        return (operands + (negate_large | negate_small))[: self.bits + GUARD_BITS + 1].as_signed()


_SUM_OPERANDS = ("large", "small", "negate_large", "negate_small")


class BlockMultiply(wiring.Component):
    """`o = a * b` with a fixed-point factor of magnitude 1: four multipliers and two adders, which DSP slices contain.

    Stages: operands, products, sums, shift, round. A result with a part that grew out of its mantissa is shifted to the right.

    Args:
        bits: of a mantissa, 16..24.

    Members:
        a: a number.
        b: the factor.
        o: the product.
    """

    latency = 5

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"en": In(1), "a": In(block_layout(bits)), "b": In(Factor), "o": Out(block_layout(bits))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        operands = pipeline.stage(re=self.a.re, im=self.a.im, b_re=self.b.re, b_im=self.b.im)
        products = pipeline.stage(
            re_re=operands.re * operands.b_re,
            im_im=operands.im * operands.b_im,
            re_im=operands.re * operands.b_im,
            im_re=operands.im * operands.b_re,
        )
        sums = pipeline.stage(re=products.re_re - products.im_im, im=products.re_im + products.im_re)
        exponent = pipeline.delay(self.a.exponent, 3, "exponent")
        grown = ~(_redundant(sums.re, 2) & _redundant(sums.im, 2))
        truncated: dict[str, Value] = {}
        for part, _ in _PARTS:
            choices = range(FACTOR_FRACTION_BITS, FACTOR_FRACTION_BITS + 2)
            truncated |= _truncated(part, getattr(sums, part), grown, choices, self.bits)
        shifted = pipeline.stage(**truncated, exponent=(exponent + grown)[:EXPONENT_BITS])
        result = pipeline.stage(**_rounded(shifted, self.bits), exponent=shifted.exponent)
        m.d.comb += [self.o[name].eq(value) for name, value in vars(result).items()]
        m.d.comb += self.o.invalid.eq(pipeline.delay(self.a.invalid, self.latency, "invalid"))
        assert pipeline.depth == self.latency
        return m


class FloatFromBlock(wiring.Component):
    """Converts to complex float32 and divides by `2**shift`, rounded to nearest even, which only subnormal results need.

    Stages: magnitude, leading zeros, normalize, and the three of `FloatScale`.

    Args:
        bits: of a mantissa, 16..24.

    Members:
        i: a number.
        shift: 0 .. 31.
        o: complex float32; both parts of an invalid number are NaN.
    """

    latency = 6

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"en": In(1), "i": In(block_layout(bits)), "shift": In(SHIFT_BITS), "o": Out(Complex)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for part, _ in _PARTS:
            pipeline = Pipeline(m, self.en)
            m.d.comb += self.o[part].eq(self._converted(m, pipeline, self.i[part]))
            assert pipeline.depth == self.latency
        return m

    def _converted(self, m: Module, pipeline: Pipeline, mantissa: Value) -> Value:
        exponent = Signal(signed(EXPONENT_BITS + 2))
        m.d.comb += exponent.eq(self.i.exponent - self.shift - (EXPONENT_OFFSET - 1))
        first = pipeline.stage(sign=mantissa[-1], magnitude=abs(mantissa)[: self.bits], exponent=exponent, invalid=self.i.invalid)
        counted = pipeline.stage(**vars(first), zeros=leading_zeros(first.magnitude), zero=first.magnitude == 0)
        scale = Signal(signed(EXPONENT_BITS + 2))
        m.d.comb += scale.eq(counted.exponent - counted.zeros)
        normal = (Cat(Const(0, SIGNIFICAND_BITS - self.bits), counted.magnitude) << counted.zeros)[:SIGNIFICAND_BITS]
        special = Mux(counted.invalid, Special.NAN, Mux(counted.zero, Special.ZERO, Special.NONE))
        normalized = pipeline.stage(sign=counted.sign, significand=normal, scale=scale, special=special)
        return encode_placed(pipeline, place(pipeline, **vars(normalized)))
