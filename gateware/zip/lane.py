"""One complex element per cycle through any operation of the ZIP accelerator."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex, FloatSumOfProducts
from cosoc.gateware.arith.float32 import ONE, Pipeline
from cosoc.gateware.arith.multiply import FloatMultiply
from cosoc.gateware.arith.reciprocal import FloatReciprocal
from cosoc.gateware.zip.config import ZIPOperation

OPERATION_BITS = 3


class ZIPLane(wiring.Component):
    """`o = a op b`, a result every cycle, whatever the sequence of operations.

    ::

        a, b --> choose --> two sums of products --> delay -----> two multipliers --> o
             \\-> |b|^2 ------------------------> reciprocal --/

    All operations take the same way, so that their results stay in order. Factors of one, which change nothing, stand in where an
    operation has no product: a sum is `a*1 + b*1`, and only a quotient multiplies by a reciprocal at the end.

    There is no enable: who uses the lane makes sure that there is room for results.

    Members:
        operation: a `ZIPOperation`, with its operands.
        a, b: operands, of layout `Complex`.
        o: result of the operands `latency` cycles ago.
    """

    latency = 2 + FloatSumOfProducts.latency + FloatReciprocal.latency + FloatMultiply.latency

    def __init__(self) -> None:
        super().__init__({"operation": In(OPERATION_BITS), "a": In(Complex), "b": In(Complex), "o": Out(Complex)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pipeline = Pipeline(m, Const(1))
        a, b = self.a, self.b
        operation = self.operation
        plain_sum = (operation == ZIPOperation.ADD) | (operation == ZIPOperation.SUB)
        conjugate = (operation == ZIPOperation.CONJUGATE_MUL) | (operation == ZIPOperation.DIV)

        m.submodules.re = re = FloatSumOfProducts()
        m.submodules.im = im = FloatSumOfProducts()
        chosen = pipeline.stage(
            re_b=Mux(plain_sum, ONE, b.re),
            re_c=Mux(plain_sum, b.re, a.im),
            re_d=Mux(plain_sum, ONE, b.im),
            re_subtract=(operation == ZIPOperation.MUL) | (operation == ZIPOperation.SUB),
            im_b=Mux(plain_sum, ONE, b.re),
            im_c=Mux(plain_sum, b.im, a.re),
            im_d=Mux(plain_sum, ONE, b.im),
            im_subtract=conjugate | (operation == ZIPOperation.SUB),
            a=a,
            b=b,
        )
        chosen_a, chosen_b = data.View(Complex, chosen.a), data.View(Complex, chosen.b)
        m.d.comb += [re.en.eq(1), re.a.eq(chosen_a.re), re.b.eq(chosen.re_b), re.c.eq(chosen.re_c), re.d.eq(chosen.re_d)]
        m.d.comb += [im.en.eq(1), im.a.eq(chosen_a.im), im.b.eq(chosen.im_b), im.c.eq(chosen.im_c), im.d.eq(chosen.im_d)]
        m.d.comb += [re.subtract.eq(chosen.re_subtract), im.subtract.eq(chosen.im_subtract)]

        m.submodules.norm = norm = FloatSumOfProducts()
        m.submodules.reciprocal = reciprocal = FloatReciprocal()
        m.d.comb += [norm.en.eq(1), norm.a.eq(chosen_b.re), norm.b.eq(chosen_b.re)]
        m.d.comb += [norm.c.eq(chosen_b.im), norm.d.eq(chosen_b.im)]
        m.d.comb += [reciprocal.en.eq(1), reciprocal.a.eq(norm.o)]

        to_factor = 1 + FloatSumOfProducts.latency + FloatReciprocal.latency
        divide = pipeline.delay(operation == ZIPOperation.DIV, to_factor, "divide")
        scaled = pipeline.stage(
            re=pipeline.delay(re.o, FloatReciprocal.latency, "re"),
            im=pipeline.delay(im.o, FloatReciprocal.latency, "im"),
            factor=Mux(divide, reciprocal.o, ONE),
        )
        m.submodules.scale_re = scale_re = FloatMultiply()
        m.submodules.scale_im = scale_im = FloatMultiply()
        m.d.comb += [scale_re.en.eq(1), scale_re.a.eq(scaled.re), scale_re.b.eq(scaled.factor), self.o.re.eq(scale_re.o)]
        m.d.comb += [scale_im.en.eq(1), scale_im.a.eq(scaled.im), scale_im.b.eq(scaled.factor), self.o.im.eq(scale_im.o)]
        return m
