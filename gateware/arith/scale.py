"""Division of float32 numbers by powers of two."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.float32 import SIGNIFICAND_BITS, Float32, Pipeline, Special, encode
from cosoc.gateware.shared import SharedComponent

SHIFT_BITS = 5

_FARTHEST = SIGNIFICAND_BITS + 1
"""Shifting by this much leaves only the sticky bit; more changes nothing."""


class FloatScale(SharedComponent):
    """`o = a / 2**shift`, rounded to nearest even, which only subnormal results need. NaN is 0x7FC00000.

    Stages: subtract from the exponent, shift what becomes subnormal, round.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a: encoded operand.
        shift: 0 .. 31.
        o: encoded result of the operands `latency` enabled cycles ago.
    """

    latency = 3

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(32), "shift": In(SHIFT_BITS), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        a = Float32(self.a)
        special = Mux(a.is_nan(), Special.NAN, Mux(a.is_infinity(), Special.INFINITY, Special.NONE))
        scale = Signal(signed(10))
        m.d.comb += scale.eq(a.scale - self.shift)
        placed = place(pipeline, sign=a.sign, significand=a.significand, scale=scale, special=special)
        m.d.comb += self.o.eq(encode_placed(pipeline, placed))
        assert pipeline.depth == self.latency
        return m


def place(pipeline: Pipeline, *, sign: Value, significand: Value, scale: Value, special: Value) -> SimpleNamespace:
    """The first of three stages that round a significand of 24 bits and any signed biased exponent: how far it must be shifted."""
    below = 1 - scale
    farthest = below > _FARTHEST
    return pipeline.stage(
        sign=sign,
        significand=significand,
        exponent=Mux(scale > 0, scale - 1, 0)[: len(scale) - 1],
        distance=Mux(scale > 0, 0, Mux(farthest, _FARTHEST, below))[:SHIFT_BITS],
        special=special,
    )


def encode_placed(pipeline: Pipeline, placed: SimpleNamespace) -> Value:
    """The other two stages."""
    shifted = (Cat(Const(0, _FARTHEST), placed.significand) >> placed.distance)[: _FARTHEST + SIGNIFICAND_BITS]
    rounded = pipeline.stage(
        sign=placed.sign,
        exponent=placed.exponent,
        significand=shifted[_FARTHEST:],
        guard=shifted[_FARTHEST - 1],
        sticky=shifted[: _FARTHEST - 1].any(),
        special=placed.special,
    )
    return Value.cast(pipeline.stage(o=encode(**vars(rounded))).o)
