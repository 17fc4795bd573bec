"""Complex block floating point: numbers whose two parts share an exponent; their sums, and what all operators on them share.

A number is `(re + i im) * 2**(exponent - 125 - bits)` with signed mantissas of `bits` bits. One that comes from an infinity or a
NaN is `invalid`, and so is every result of it. Bit-exact model: `block_golden`. Products: `block_multiply`; conversions:
`block_convert`. All operators are pipelines that advance in
cycles in which `en` is 1; `o` belongs to the operands `latency` enabled cycles ago.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.block_golden import FACTOR_FRACTION_BITS, GUARD_BITS
from cosoc.gateware.arith.float32 import Pipeline

EXPONENT_BITS = 10
EXPONENT_OFFSET = 64
"""What the field `exponent` holds above the number's exponent: sums can lower it below that of the smallest float32."""

FACTOR_BITS = FACTOR_FRACTION_BITS + 1

Factor = data.StructLayout({"re": signed(FACTOR_BITS), "im": signed(FACTOR_BITS)})
"""A fixed-point number of magnitude 1 in units of 2^-17."""

PARTS = (("re", "im"), ("im", "re"))
"""Each part, and the other one."""

FARTHEST = 31
"""Shifting mantissas to the right by this much leaves only the sign and the sticky bit; more changes nothing."""


def block_layout(bits: int) -> data.StructLayout:
    """A number with mantissas of `bits` bits."""
    return data.StructLayout({"re": signed(bits), "im": signed(bits), "exponent": EXPONENT_BITS, "invalid": 1})


def clamp_distance(distance: Value) -> Value:
    """A distance of which all from `FARTHEST` on are the same."""
    return Mux(distance[5:].any(), FARTHEST, distance[:5])


def is_redundant(value: Value, count: int) -> Value:
    """Whether `count` bits below the sign equal it."""
    top = value[-1 - count :]
    return top.all() | ~top.any()


def _round_up(floor: Value, guard: Value, sticky: Value) -> Value:
    """Whether rounding to nearest even adds one: not to the largest mantissa, which has no successor."""
    largest = floor[:-1].all() & ~floor[-1]
    return guard & (sticky | floor[0]) & ~largest


def truncate(part: str, value: Value, places: Value, choices: range, bits: int) -> dict[str, Value]:
    """The mantissa `value >> places` and what rounding needs to know; `choices` are the possible places, in order."""
    result: dict[str, Value] = {}
    for index, count in enumerate(choices):
        found = {part: value[count : count + bits], f"{part}_guard": value[count - 1], f"{part}_sticky": value[: count - 1].any()}
        result = {name: Mux(places == index, bit, result[name]) for name, bit in found.items()} if index else found
    return result


def round_parts(stage: Any, bits: int) -> dict[str, Value]:
    """Both mantissas of a stage of `truncate` values."""
    values = vars(stage)
    return {
        part: (values[part] + _round_up(values[part], values[f"{part}_guard"], values[f"{part}_sticky"]))[:bits]
        for part, _ in PARTS
    }


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
            **{f"a_{part}": Mux(turn, a[other], a[part]) for part, other in PARTS},
            **{f"b_{part}": Mux(keep, 0, Mux(turn, b[other], b[part])) for part, other in PARTS},
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
                for part, _ in PARTS
            },
            exponent=Mux(swap, first.b_exponent, first.a_exponent),
            distance=clamp_distance(Mux(swap, -first.distance, first.distance)[:EXPONENT_BITS]),
            **rest,
        )

        values = vars(ordered)
        aligned = pipeline.stage(
            **{f"small_{part}": self._aligned(values[f"small_{part}"], ordered.distance) for part, _ in PARTS},
            **{name: value for name, value in values.items() if name not in ("small_re", "small_im", "distance")},
        )
        values = vars(aligned)
        sums = pipeline.stage(
            **{part: self._sum(*(values[f"{name}_{part}"] for name in _SUM_OPERANDS)) for part, _ in PARTS},
            exponent=aligned.exponent,
            keep=aligned.keep,
            invalid=aligned.invalid,
        )

        redundant = [is_redundant(sums.re, count) & is_redundant(sums.im, count) for count in (1, 2, 3)]
        places = Mux(redundant[2], 0, Mux(redundant[1], 1, Mux(redundant[0], 2, 3)))
        places = Mux(sums.keep, 2, places)[:2]
        truncated: dict[str, Value] = {}
        for part, _ in PARTS:
            truncated |= truncate(part, getattr(sums, part), places, range(1, GUARD_BITS + 2), self.bits)
        exponent = (sums.exponent + places - 2)[:EXPONENT_BITS]
        normalized = pipeline.stage(**truncated, exponent=exponent, invalid=sums.invalid)
        result = pipeline.stage(**round_parts(normalized, self.bits), exponent=normalized.exponent, invalid=normalized.invalid)
        m.d.comb += [self.o[name].eq(value) for name, value in vars(result).items()]
        assert pipeline.depth == self.latency
        return m

    def _aligned(self, mantissa: Value, distance: Value) -> Value:
        """With guard bits, shifted to the right; the last one is set when a one was lost."""
        shifted = Cat(Const(0, FARTHEST + GUARD_BITS), mantissa).as_signed() >> distance
        lost = shifted[:FARTHEST].any()
        width = self.bits + GUARD_BITS
        return Cat(shifted[FARTHEST] | lost, shifted[FARTHEST + 1 : FARTHEST + width]).as_signed()

    def _sum(self, large: Value, small: Value, negate_large: Value, negate_small: Value) -> Value:
        """One adder: at most one operand is negated, by inverting it and a carry."""
        extended = Cat(Const(0, GUARD_BITS), large).as_signed()
        operands = Mux(negate_large, ~extended, extended) + Mux(negate_small, ~small, small)
        return (operands + (negate_large | negate_small))[: self.bits + GUARD_BITS + 1].as_signed()


_SUM_OPERANDS = ("large", "small", "negate_large", "negate_small")
