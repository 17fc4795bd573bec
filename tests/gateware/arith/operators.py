"""All operators side by side on the same operands, so that one build of a simulator serves them all."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.add import FloatAdd
from cosoc.gateware.arith.complex import Complex, ComplexAdd, ComplexEighth, ComplexMultiply
from cosoc.gateware.arith.divide import FloatDivide
from cosoc.gateware.arith.float32 import Pipeline
from cosoc.gateware.arith.multiply import FloatMultiply, FloatRootHalf
from cosoc.gateware.arith.norm import Wide, WideNorm
from cosoc.gateware.arith.reciprocal import FloatReciprocal
from cosoc.gateware.arith.scale import SHIFT_BITS, FloatScale

LATENCY = {
    "sum": FloatAdd.latency,
    "product": FloatMultiply.latency,
    "reciprocal": FloatReciprocal.latency,
    "complex_product": ComplexMultiply.latency,
    "scaled": FloatScale.latency,
    "complex_sum": ComplexAdd.latency,
    "root_half": FloatRootHalf.latency,
    "eighth": ComplexEighth.latency,
    "norm": WideNorm.latency,
    "quotient": WideNorm.latency + FloatDivide.latency,
}


class Operators(wiring.Component):
    """Operators of real numbers take the real parts; `negate` subtracts and takes the conjugate.

    Bits 0..4 of `b.im` are the shift of `scaled`; in `complex_sum` bit 5 turns a difference and bit 6 keeps `a` instead of a sum.
    Bits 7 and 8 are the power of `eighth`. `norm` is that of `b`, or `b.re` if bit 9 is set; `quotient` is `a.re` by that, or, if
    `negate` is set and bit 9 is not, its square root.
    """

    def __init__(self) -> None:
        outputs = {"sum": Out(32), "product": Out(32), "reciprocal": Out(32), "complex_product": Out(Complex)}
        outputs |= {"scaled": Out(32), "complex_sum": Out(Complex), "root_half": Out(32), "eighth": Out(Complex)}
        outputs |= {"norm": Out(Wide), "quotient": Out(32)}
        super().__init__({"en": In(1), "a": In(Complex), "b": In(Complex), "negate": In(1), **outputs})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.add = add = FloatAdd()
        m.submodules.multiply = multiply = FloatMultiply()
        m.submodules.reciprocal = reciprocal = FloatReciprocal()
        m.submodules.complex_multiply = complex_multiply = ComplexMultiply()
        m.submodules.scale = scale = FloatScale()
        m.submodules.complex_add = complex_add = ComplexAdd()
        m.submodules.root_half = root_half = FloatRootHalf()
        m.submodules.eighth = eighth = ComplexEighth()
        operators = add, multiply, reciprocal, complex_multiply, scale, complex_add, root_half, eighth
        m.d.comb += [operator.en.eq(self.en) for operator in operators]
        m.d.comb += [operator.a.eq(self.a.re) for operator in (add, multiply, reciprocal, scale, root_half)]
        m.d.comb += [operator.b.eq(self.b.re) for operator in (add, multiply)]
        m.d.comb += [
            add.subtract.eq(self.negate),
            complex_multiply.a.eq(self.a),
            complex_multiply.b.eq(self.b),
            complex_multiply.conjugate.eq(self.negate),
            scale.shift.eq(self.b.im[:SHIFT_BITS]),
            complex_add.a.eq(self.a),
            complex_add.b.eq(self.b),
            complex_add.subtract.eq(self.negate),
            complex_add.turn.eq(self.negate & self.b.im[5]),
            complex_add.keep.eq(~self.negate & self.b.im[6]),
            eighth.a.eq(self.a),
            eighth.power.eq(self.b.im[7:9]),
            self.root_half.eq(root_half.o),
            self.eighth.eq(eighth.o),
            self.scaled.eq(scale.o),
            self.complex_sum.eq(complex_add.o),
            self.sum.eq(add.o),
            self.product.eq(multiply.o),
            self.reciprocal.eq(reciprocal.o),
            self.complex_product.eq(complex_multiply.o),
        ]
        self._divide(m)
        return m

    def _divide(self, m: Module) -> None:
        """A divider behind the norm that it divides by, as in ZIP."""
        m.submodules.norm = norm = WideNorm()
        m.submodules.divide = divide = FloatDivide()
        pipeline, parts = Pipeline(m, self.en), self.b.im[9]
        m.d.comb += [
            norm.en.eq(self.en),
            norm.i.eq(self.b),
            norm.parts.eq(parts),
            divide.en.eq(self.en),
            divide.a.eq(pipeline.delay(self.a.re, WideNorm.latency, "a")),
            divide.d.eq(norm.re),
            divide.root.eq(pipeline.delay(self.negate & ~parts, WideNorm.latency, "root")),
            self.norm.eq(norm.re),
            self.quotient.eq(divide.o),
        ]
