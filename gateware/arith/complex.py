"""Sums of products and complex products of float32 numbers, every operation rounded."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.add import FloatAdd
from cosoc.gateware.arith.float32 import EXPONENT_MAX, NAN, Float32, Pipeline
from cosoc.gateware.arith.multiply import FloatMultiply, FloatRootHalf
from cosoc.gateware.shared import SharedComponent

Complex = data.StructLayout({"re": 32, "im": 32})
"""A complex64 number as it lies in memory."""

MINUS_ZERO = 0x80000000
"""Added to any number, it gives that number."""


class ComplexAdd(SharedComponent):
    """`o = a + b`, `a - b` if `subtract`, `-i (a - b)` if `turn` too, or `a` if `keep`: two adders, each rounding.

    Turned, the real part is `a.im - b.im` and the imaginary part `b.re - a.re`.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a, b: operands, of layout `Complex`.
        subtract, turn, keep: the operation; not `subtract` and `keep` together.
        o: result of the operands `latency` enabled cycles ago.
    """

    latency = FloatAdd.latency

    def __init__(self) -> None:
        operation = {"subtract": In(1), "turn": In(1), "keep": In(1)}
        super().__init__({"en": In(1), "a": In(Complex), "b": In(Complex), **operation, "o": Out(Complex)})

    def logic(self) -> Module:
        m = Module()
        m.submodules.re = re = FloatAdd()
        m.submodules.im = im = FloatAdd()
        a, b = self.a, self.b
        m.d.comb += [
            re.a.eq(Mux(self.turn, a.im, a.re)),
            re.b.eq(Mux(self.keep, MINUS_ZERO, Mux(self.turn, b.im, b.re))),
            im.a.eq(Mux(self.turn, b.re, a.im)),
            im.b.eq(Mux(self.keep, MINUS_ZERO, Mux(self.turn, a.re, b.im))),
            self.o.re.eq(re.o),
            self.o.im.eq(im.o),
        ]
        m.d.comb += [adder.en.eq(self.en) for adder in (re, im)] + [adder.subtract.eq(self.subtract) for adder in (re, im)]
        return m


class FloatSumOfProducts(SharedComponent):
    """`o = a * b + c * d`, or `a * b - c * d` if `subtract`: two multipliers and an adder, each rounding.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a, b, c, d: encoded operands.
        subtract: negates the second product.
        o: encoded result of the operands `latency` enabled cycles ago.
    """

    latency = FloatMultiply.latency + FloatAdd.latency

    def __init__(self) -> None:
        operands = {name: In(32) for name in "abcd"}
        super().__init__({"en": In(1), **operands, "subtract": In(1), "o": Out(32)})

    def logic(self) -> Module:
        m = Module()
        m.submodules.first = first = FloatMultiply()
        m.submodules.second = second = FloatMultiply()
        m.submodules.sum = sum_ = FloatAdd()
        subtract = Pipeline(m, self.en).delay(self.subtract, FloatMultiply.latency, "subtract")
        m.d.comb += [
            first.en.eq(self.en),
            first.a.eq(self.a),
            first.b.eq(self.b),
            second.en.eq(self.en),
            second.a.eq(self.c),
            second.b.eq(self.d),
            sum_.en.eq(self.en),
            sum_.a.eq(first.o),
            sum_.b.eq(second.o),
            sum_.subtract.eq(subtract),
            self.o.eq(sum_.o),
        ]
        return m


class ComplexMultiply(SharedComponent):
    """`o = a * b`, or `a * conj(b)` if `conjugate`: four multipliers and two adders, each rounding.

    `re = a.re*b.re - a.im*b.im`, `im = a.re*b.im + a.im*b.re`; conjugate `re = a.re*b.re + a.im*b.im`,
    `im = a.im*b.re - a.re*b.im`.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a, b: operands, of layout `Complex`.
        conjugate: takes the conjugate of `b`.
        o: result of the operands `latency` enabled cycles ago.
    """

    latency = FloatSumOfProducts.latency

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(Complex), "b": In(Complex), "conjugate": In(1), "o": Out(Complex)})

    def logic(self) -> Module:
        m = Module()
        m.submodules.re = re = FloatSumOfProducts()
        m.submodules.im = im = FloatSumOfProducts()
        a, b = self.a, self.b
        m.d.comb += [
            re.en.eq(self.en),
            re.a.eq(a.re),
            re.b.eq(b.re),
            re.c.eq(a.im),
            re.d.eq(b.im),
            re.subtract.eq(~self.conjugate),
            self.o.re.eq(re.o),
            # Float addition commutes, so this order of the products serves both cases.
            im.en.eq(self.en),
            im.a.eq(a.im),
            im.b.eq(b.re),
            im.c.eq(a.re),
            im.d.eq(b.im),
            im.subtract.eq(self.conjugate),
            self.o.im.eq(im.o),
        ]
        return m


class ComplexEighth(SharedComponent):
    """`o = a * exp(-2 pi i power / 8)` for the powers 0 .. 3, bit for bit what `ComplexMultiply` gives, without a multiplier.

    Both parts of the factors 1 and 3 are plus or minus the square root of 1/2 in float32, so both parts of `a` times that serve all
    four products. Factor 2 is -i, whose zero gives a signed zero, or NaN if the number is not finite. Factor 0 leaves `a` as
    it is; NaN becomes 0x7FC00000.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a: operand, of layout `Complex`.
        power: 0 .. 3.
        o: result of the operand `latency` enabled cycles ago.
    """

    latency = ComplexMultiply.latency

    def __init__(self) -> None:
        super().__init__({"en": In(1), "a": In(Complex), "power": In(2), "o": Out(Complex)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        power = pipeline.delay(self.power, FloatRootHalf.latency, "power")
        part, scaled = {}, {}
        for name in ("re", "im"):
            m.submodules[f"scale_{name}"] = scale = FloatRootHalf()
            m.d.comb += [scale.en.eq(self.en), scale.a.eq(self.a[name])]
            scaled[name] = scale.o
            part[name] = pipeline.delay(self.a[name], FloatRootHalf.latency, name)
        # By power: what is added, and what is added to it or, if the flag is set, subtracted from it.
        operands = {
            "re": (
                (part["re"], MINUS_ZERO, 0),
                (scaled["im"], scaled["re"], 0),
                (part["im"], _zero_times(part["re"]), 0),
                (scaled["im"], scaled["re"], 1),
            ),
            "im": (
                (part["im"], MINUS_ZERO, 0),
                (scaled["im"], scaled["re"], 1),
                (_zero_times(part["im"]), part["re"], 1),
                (_negated(scaled["im"]), scaled["re"], 1),
            ),
        }
        for name, choices in operands.items():
            m.submodules[f"add_{name}"] = add = FloatAdd()
            m.d.comb += [add.en.eq(self.en), self.o[name].eq(add.o)]
            with m.Switch(power):
                for number, (a, b, subtract) in enumerate(choices):
                    with m.Case(number):
                        m.d.comb += [add.a.eq(a), add.b.eq(b), add.subtract.eq(subtract)]
        return m


def _negated(number: Value) -> Value:
    return Cat(number[:-1], ~number[-1])


def _zero_times(number: Value) -> Value:
    """The product with +0."""
    return Mux(Float32(number).exponent == EXPONENT_MAX, NAN, Cat(Const(0, 31), number[-1]))
