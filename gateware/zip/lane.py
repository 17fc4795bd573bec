"""One slot of float32 numbers per cycle through any operation of the ZIP accelerator."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.add import FloatAdd
from cosoc.gateware.arith.complex import Complex, FloatSumOfProducts
from cosoc.gateware.arith.divide import FloatDivide
from cosoc.gateware.arith.float32 import ONE, Pipeline
from cosoc.gateware.arith.norm import WideNorm
from cosoc.gateware.zip.config import ZIPOperation

OPERATION_BITS = max(ZIPOperation).bit_length()

_MINUS_ZERO = 0x80000000
"""What a sum leaves unchanged, whatever the sign of a zero."""

Op = ZIPOperation


class FloatLane(wiring.Component):
    """`o = a op b`, or of `a`, `b` and `c`: a result every cycle, whatever the sequence of operations.

    ::

        a, b --> choose --> two sums of products --+--> two adders of c ------------------> choose --> o
            \\-> |b|^2, |a|^2 or the parts of b ---+--> two dividers, one takes roots ----/

    Where an operation has no product, factors of one stand in, and where it has no sum a summand of minus zero: they change
    nothing. Quotients and roots take longer than the others.

    There is no enable: who uses the lane makes sure that there is room for results, and that no two come out at once.

    Members:
        operation: a `ZIPOperation`, with its operands.
        a, b, c: operands, of layout `Complex`; two real numbers for real operations.
        shift: unused; integers have one.
        late: whether a quotient or root comes out in the next cycle, not another result.
        o: result of the operands `latency` cycles ago, of those that are divided `divided_latency`; a real result of a complex
            operand is in the lower half.
    """

    latency = 2 + FloatSumOfProducts.latency + FloatAdd.latency
    divided_latency = 2 + FloatSumOfProducts.latency + FloatDivide.latency

    def __init__(self) -> None:
        operands = {name: In(Complex) for name in "abc"}
        super().__init__({"operation": In(OPERATION_BITS), "shift": In(5), "late": In(1), **operands, "o": Out(Complex)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pipeline = Pipeline(m, Const(1))
        chosen = self._choose(pipeline)
        m.submodules.norm = norm = WideNorm()
        early = FloatSumOfProducts.latency - WideNorm.latency
        m.d.comb += [
            norm.en.eq(1),
            norm.i.eq(pipeline.delay(chosen.b, early, "b")),
            norm.parts.eq(pipeline.delay(chosen.parts, early, "parts")),
        ]
        sums = {}
        for part, a in (("re", chosen.a_re), ("im", chosen.a_im)):
            m.submodules[f"{part}_sum"] = sums[part] = unit = FloatSumOfProducts()
            m.d.comb += [
                unit.en.eq(1),
                unit.a.eq(a),
                unit.b.eq(getattr(chosen, f"{part}_b")),
                unit.c.eq(getattr(chosen, f"{part}_c")),
                unit.d.eq(getattr(chosen, f"{part}_d")),
                unit.subtract.eq(getattr(chosen, f"{part}_subtract")),
            ]
        waited = 1 + FloatSumOfProducts.latency
        c = data.View(Complex, pipeline.delay(self.c, waited, "c"))
        with_c = pipeline.delay(among(self.operation, WITH_C), waited, "with_c")
        root = pipeline.delay(among(self.operation, [Op.MAGNITUDE]), waited, "root")
        results: dict[str, Value] = {}
        for part in ("re", "im"):
            m.submodules[f"{part}_divide"] = divide = FloatDivide()
            m.submodules[f"{part}_add"] = add = FloatAdd()
            m.d.comb += [divide.en.eq(1), divide.a.eq(sums[part].o), divide.d.eq(getattr(norm, part))]
            m.d.comb += divide.root.eq(root if part == "re" else 0)
            m.d.comb += [add.en.eq(1), add.a.eq(getattr(c, part)), add.b.eq(sums[part].o)]
            plain = pipeline.delay(sums[part].o, FloatAdd.latency, f"{part}_plain")
            added = pipeline.delay(with_c, FloatAdd.latency, f"{part}_added")
            results[part] = Mux(self.late, divide.o, Mux(added, add.o, plain))
        result = pipeline.stage(**results)
        m.d.comb += [self.o.re.eq(result.re), self.o.im.eq(result.im)]
        return m

    def _choose(self, pipeline: Pipeline) -> SimpleNamespace:
        """The first stage: factors and signs of both sums of products, `re = a.re*re_b + re_c*re_d` and `im` likewise."""
        a, operation = self.a, self.operation
        b = data.View(Complex, Mux(among(operation, [Op.MAGNITUDE, Op.MAGNITUDE_SQUARED]), a.as_value(), self.b.as_value()))
        plain_sum = among(operation, [Op.ADD, Op.SUB, Op.REAL_ADD, Op.REAL_SUB])
        conjugate = among(operation, [Op.CONJUGATE_MUL, Op.CONJUGATE_MULTIPLY_ADD, Op.DIV, Op.MAGNITUDE_SQUARED])
        difference = among(operation, [Op.SUB, Op.REAL_SUB])
        real = among(operation, [Op.REAL_MUL, Op.REAL_DIV, Op.REAL_MULTIPLY_ADD])
        no_product = plain_sum | among(operation, [Op.REAL_DIV])
        return pipeline.stage(
            a_re=a.re,
            a_im=a.im,
            re_b=Mux(no_product, ONE, b.re),
            re_c=Mux(plain_sum, b.re, Mux(real, _MINUS_ZERO, a.im)),
            re_d=Mux(plain_sum | real, ONE, b.im),
            re_subtract=among(operation, [Op.MUL, Op.MULTIPLY_ADD]) | difference,
            im_b=Mux(no_product, ONE, Mux(real, b.im, b.re)),
            im_c=Mux(plain_sum, b.im, Mux(real, _MINUS_ZERO, a.re)),
            im_d=Mux(plain_sum | real, ONE, b.im),
            im_subtract=conjugate | difference,
            b=b,
            parts=among(operation, [Op.REAL_DIV]),
        )


WITH_C = [operation for operation in Op if operation.operands == 3]


def among(operation: Value, operations: Iterable[ZIPOperation]) -> Value:
    """Whether `operation` is one of some."""
    return Cat(operation == item for item in operations).any()
