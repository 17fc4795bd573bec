"""Products of block floating point numbers (`block`) with fixed-point factors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.block import EXPONENT_BITS, PARTS, Factor, block_layout, is_redundant, round_parts, truncate
from cosoc.gateware.arith.block_golden import FACTOR_FRACTION_BITS
from cosoc.gateware.arith.float32 import Pipeline


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
        m.d.comb += [self.o[name].eq(value) for name, value in _normalized(pipeline, sums, self.a, self.bits).items()]
        assert pipeline.depth == self.latency
        return m


class BlockEighth(wiring.Component):
    """`o = a * exp(-2 pi i power / 8)` for the powers 0 .. 3, bit for bit what `BlockMultiply` gives, without a multiplier.

    Both parts of the product are sums of those of `a` times one constant, which is a sum of shifted operands.

    Stages: sums or parts of `a`, five times them, times the constant, shift, round.

    Args:
        bits: of a mantissa, 16..24.

    Members:
        a: a number.
        power: 0 .. 3.
        o: the product.
    """

    latency = 5

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"en": In(1), "a": In(block_layout(bits)), "power": In(2), "o": Out(block_layout(bits))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        re, im = self.a.re, self.a.im
        choices = {"re": (re, re + im, im, im - re), "im": (im, im - re, -re, -(re + im))}
        operands = {part: Signal(signed(self.bits + 2), name=part) for part in choices}
        with m.Switch(self.power):
            for power in range(4):
                with m.Case(power):
                    m.d.comb += [operands[part].eq(values[power]) for part, values in choices.items()]
        chosen = pipeline.stage(**operands, diagonal=self.power[0])
        multiples = pipeline.stage(
            **vars(chosen),
            five_re=chosen.re + (chosen.re << 2),
            five_im=chosen.im + (chosen.im << 2),
        )
        values = vars(multiples)
        sums = pipeline.stage(
            **{
                part: Mux(
                    multiples.diagonal,
                    _times_root_half(values[part], values[f"five_{part}"]),
                    values[part] << FACTOR_FRACTION_BITS,
                )[: self.bits + FACTOR_FRACTION_BITS + 2].as_signed()
                for part, _ in PARTS
            }
        )
        m.d.comb += [self.o[name].eq(value) for name, value in _normalized(pipeline, sums, self.a, self.bits).items()]
        assert pipeline.depth == self.latency
        return m


ROOT_HALF = 92682
"""The square root of 1/2 in units of 2^-17: 2 * (2^8 * (2^5 * 5 + 2^2 * 5 + 1) + 5)."""


def _times_root_half(value: Value, five: Value) -> Value:
    """`ROOT_HALF` times a value of which five times is known."""
    return ((five << 13) + (five << 10) + ((value << 8) + five)) << 1


def _normalized(pipeline: Pipeline, sums: SimpleNamespace, a: Any, bits: int) -> dict[str, Value]:
    """The last two stages of five: the product of `a` of which `sums` are the exact parts."""
    exponent = pipeline.delay(a.exponent, 3, "exponent")
    grown = ~(is_redundant(sums.re, 2) & is_redundant(sums.im, 2))
    truncated: dict[str, Value] = {}
    for part, _ in PARTS:
        choices = range(FACTOR_FRACTION_BITS, FACTOR_FRACTION_BITS + 2)
        truncated |= truncate(part, getattr(sums, part), grown, choices, bits)
    shifted = pipeline.stage(**truncated, exponent=(exponent + grown)[:EXPONENT_BITS])
    result = pipeline.stage(**round_parts(shifted, bits), exponent=shifted.exponent)
    return {**vars(result), "invalid": pipeline.delay(a.invalid, 5, "invalid")}
