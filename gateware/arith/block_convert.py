"""Conversions between complex float32 and block floating point (`block`)."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.block import (
    EXPONENT_BITS,
    EXPONENT_OFFSET,
    FARTHEST,
    PARTS,
    block_layout,
    clamp_distance,
    round_parts,
    truncate,
)
from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.float32 import EXPONENT_MAX, SIGNIFICAND_BITS, Float32, Pipeline, Special, leading_zeros
from cosoc.gateware.arith.scale import SHIFT_BITS, encode_placed, place


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
        parts = {part: Float32(self.i[part]) for part, _ in PARTS}
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
            **{part: clamp_distance(distance) for part, distance in distances.items()},
            exponent=(Mux(compared.im_larger, compared.im, compared.re) + EXPONENT_OFFSET)[:EXPONENT_BITS],
            invalid=compared.invalid,
        )
        truncated: dict[str, Value] = {}
        for part, number in parts.items():
            significand = pipeline.delay(number.significand, 2, f"{part}_significand")
            shifted = (Cat(Const(0, FARTHEST), significand) >> getattr(measured, part))[: FARTHEST + SIGNIFICAND_BITS]
            below = FARTHEST + SIGNIFICAND_BITS - (self.bits - 1)
            truncated |= truncate(part, Cat(shifted, 0), Const(0), range(below, below + 1), self.bits)
        rounded = pipeline.stage(**round_parts(pipeline.stage(**truncated), self.bits))
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
        for part, _ in PARTS:
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
