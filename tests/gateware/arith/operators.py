"""All operators side by side on the same operands, so that one build of a simulator serves them all."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.add import FloatAdd
from cosoc.gateware.arith.complex import Complex, ComplexMultiply
from cosoc.gateware.arith.multiply import FloatMultiply
from cosoc.gateware.arith.reciprocal import FloatReciprocal

LATENCY = {
    "sum": FloatAdd.latency,
    "product": FloatMultiply.latency,
    "reciprocal": FloatReciprocal.latency,
    "complex_product": ComplexMultiply.latency,
}


class Operators(wiring.Component):
    """`sum`, `product` and `reciprocal` take the real parts; `negate` subtracts and takes the conjugate."""

    def __init__(self) -> None:
        outputs = {"sum": Out(32), "product": Out(32), "reciprocal": Out(32), "complex_product": Out(Complex)}
        super().__init__({"en": In(1), "a": In(Complex), "b": In(Complex), "negate": In(1), **outputs})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.add = add = FloatAdd()
        m.submodules.multiply = multiply = FloatMultiply()
        m.submodules.reciprocal = reciprocal = FloatReciprocal()
        m.submodules.complex_multiply = complex_multiply = ComplexMultiply()
        m.d.comb += [operator.en.eq(self.en) for operator in (add, multiply, reciprocal, complex_multiply)]
        m.d.comb += [operator.a.eq(self.a.re) for operator in (add, multiply, reciprocal)]
        m.d.comb += [operator.b.eq(self.b.re) for operator in (add, multiply)]
        m.d.comb += [
            add.subtract.eq(self.negate),
            complex_multiply.a.eq(self.a),
            complex_multiply.b.eq(self.b),
            complex_multiply.conjugate.eq(self.negate),
            self.sum.eq(add.o),
            self.product.eq(multiply.o),
            self.reciprocal.eq(reciprocal.o),
            self.complex_product.eq(complex_multiply.o),
        ]
        return m
