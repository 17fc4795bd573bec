"""One slot of int16 numbers per cycle through the operations of the ZIP accelerator."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.float32 import Pipeline
from cosoc.gateware.arith.integer_divide import DIVISOR_BITS, NUMERATOR_BITS, RESULT_BITS, IntegerDivide
from cosoc.gateware.zip.config import ZIPOperation
from cosoc.gateware.zip.lane import OPERATION_BITS, WITH_C, among

Op = ZIPOperation

_BITS = 16
_SUM_BITS = 34
_MAX_SHIFT = 31
_ROOT_SHIFT = _MAX_SHIFT - RESULT_BITS
"""Makes the 2^16 times a radicand of which the divider takes a root."""


class IntegerLane(wiring.Component):
    """Two complex int16 numbers, or four real ones, per cycle.

    ::

        a, b --> choose --> sums of products --> magnitude --> shift --+--> round --> add c --> choose --> o
            \\-> |b|^2, or |b| of real numbers -------------------------+--> four dividers ----/

    Sums of products are exact in 34 bits, then `sum / 2^shift` is rounded to nearest even, `c` is added where there is one, and the
    result saturates to -32768..32767. Sums and differences go the same way, as products by 1. What is divided goes to the left
    instead, and then as a magnitude with its sign into `IntegerDivide`, which rounds and saturates.

    Stages: choose, multiply (two), add, magnitude, shift, round, add `c`, saturate; or from the shift on those of the divider.

    Members: as those of `FloatLane`; complex numbers have `re` in the lower 16 bits.
    """

    latency = 9
    divided_latency = 7 + IntegerDivide.latency

    def __init__(self) -> None:
        operands = {name: In(Complex) for name in "abc"}
        super().__init__({"operation": In(OPERATION_BITS), "shift": In(5), "late": In(1), **operands, "o": Out(Complex)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pipeline = Pipeline(m, Const(1))
        a, b, c = (_numbers(operand.as_value()) for operand in (self.a, self.b, self.c))
        factors: dict[str, Value] = {}
        for index in (0, 2):
            factors |= self._factors(a[index : index + 2], b[index : index + 2], index)
        subtract = {f"subtract{part}": value for part, value in enumerate(self._signs())}
        chosen = pipeline.stage(**factors, **subtract, **{f"b{i}": value for i, value in enumerate(b)})
        products = pipeline.stage(
            **{f"{side}{i}": getattr(chosen, f"{side}_a{i}") * getattr(chosen, f"{side}_b{i}") for i in range(4) for side in "xy"},
            **{f"square{i}": getattr(chosen, f"b{i}") * getattr(chosen, f"b{i}") for i in range(4)},
            **{name: getattr(chosen, name) for name in subtract},
        )
        products = pipeline.stage(**vars(products))
        operation = pipeline.delay(self.operation, pipeline.depth, "operation")
        real = among(operation, [Op.REAL_DIV])
        signed_b = [pipeline.delay(getattr(chosen, f"b{i}"), pipeline.depth - 1, f"b{i}").as_signed() for i in range(4)]
        sums = pipeline.stage(
            **{f"sum{i}": _sum(m, products, i) for i in range(4)},
            **{f"by{i}": Mux(real, abs(signed_b[i]), _norm(products, i)) for i in range(4)},
            **{f"negative{i}": real & signed_b[i][-1] for i in range(4)},
            quotient=among(operation, [Op.DIV, Op.REAL_DIV]),
            root=among(operation, [Op.MAGNITUDE]),
        )
        shift = pipeline.delay(self.shift, pipeline.depth, "shift")
        magnitudes = pipeline.stage(**self._magnitudes(sums), shift=Mux(sums.quotient, ~shift, Mux(sums.root, _ROOT_SHIFT, shift)))
        exact = [_exact(getattr(magnitudes, f"sum{i}"), magnitudes.shift) for i in range(4)]
        shifted = pipeline.stage(
            **{f"value{i}": _shortened(value) for i, value in enumerate(exact)},
            **{f"numerator{i}": value[:NUMERATOR_BITS] for i, value in enumerate(exact)},
        )
        divided = self._divide(m, pipeline, sums, shifted)
        rounded = pipeline.stage(**{f"value{i}": _rounded(getattr(shifted, f"value{i}")) for i in range(4)})
        operation = pipeline.delay(self.operation, pipeline.depth, "late_operation")
        with_c = among(operation, WITH_C)
        summands = [pipeline.delay(value, pipeline.depth, f"c{i}").as_signed() for i, value in enumerate(c)]
        totals = pipeline.stage(
            **{f"value{i}": getattr(rounded, f"value{i}").as_signed() + Mux(with_c, summands[i], 0) for i in range(4)},
            narrow=among(operation, [Op.MAGNITUDE_SQUARED]),
        )
        results = [_saturated(getattr(totals, f"value{i}").as_signed()) for i in range(4)]
        plain = Cat(results[0], Mux(totals.narrow, results[2], results[1]), results[2], results[3])
        result = pipeline.stage(o=Mux(self.late, divided, plain))
        m.d.comb += self.o.eq(result.o)
        assert pipeline.depth == self.latency
        return m

    def _magnitudes(self, sums: SimpleNamespace) -> dict[str, Value]:
        """The sums, positive where they are divided; and the signs of quotients."""
        values: dict[str, Value] = {}
        for i in range(4):
            total = getattr(sums, f"sum{i}").as_signed()
            values[f"sum{i}"] = Mux(sums.quotient & total[-1], -total, total)[:_SUM_BITS]
        return values

    def _divide(self, m: Module, pipeline: Pipeline, sums: SimpleNamespace, shifted: SimpleNamespace) -> Value:
        """Quotients of the shifted numerators, or the roots of those of re."""
        narrow = pipeline.delay(sums.root, 2 + IntegerDivide.latency, "root")
        shift = pipeline.delay(self.shift, pipeline.depth, "root_shift")
        results: list[Value] = []
        for i in range(4):
            m.submodules[f"divide{i}"] = divide = IntegerDivide()
            negative = getattr(sums, f"negative{i}") ^ getattr(sums, f"sum{i}")[-1]
            m.d.comb += [
                divide.en.eq(1),
                divide.a.eq(getattr(shifted, f"numerator{i}")),
                divide.d.eq(pipeline.delay(getattr(sums, f"by{i}"), 2, f"by{i}")),
                divide.negative.eq(pipeline.delay(negative & sums.quotient, 2, f"negative{i}")),
                divide.root.eq(pipeline.delay(sums.root, 2, f"root{i}")),
                divide.shift.eq(shift),
            ]
            results.append(divide.o)
        return Cat(results[0], Mux(narrow, results[2], results[1]), results[2], results[3])

    def _factors(self, a: list[Value], b: list[Value], index: int) -> dict[str, Value]:
        """Factors of both sums of products of a complex number, `x_a*x_b` plus or minus `y_a*y_b`."""
        operation = self.operation
        square = among(operation, [Op.MAGNITUDE_SQUARED, Op.MAGNITUDE])
        plain = among(operation, [Op.ADD, Op.SUB, Op.REAL_ADD, Op.REAL_SUB])
        real = among(operation, [Op.REAL_MUL, Op.REAL_MULTIPLY_ADD, Op.REAL_DIV])
        alone = plain | among(operation, [Op.REAL_DIV])
        b_re, b_im = (Mux(square, own, other) for own, other in zip(a, b, strict=True))
        one, zero = Const(1, signed(_BITS)), Const(0, signed(_BITS))
        values = {
            f"x_a{index}": a[0],
            f"x_b{index}": Mux(alone, one, b_re),
            f"y_a{index}": Mux(plain, b_re, Mux(real, zero, a[1])),
            f"y_b{index}": Mux(plain, one, b_im),
            f"x_a{index + 1}": a[1],
            f"x_b{index + 1}": Mux(alone, one, Mux(real, b_im, b_re)),
            f"y_a{index + 1}": Mux(plain, b_im, Mux(real, zero, a[0])),
            f"y_b{index + 1}": Mux(plain, one, b_im),
        }
        return {name: value[:_BITS].as_signed() for name, value in values.items()}

    def _signs(self) -> list[Value]:
        """Whether the second product of each part is subtracted."""
        operation = self.operation
        difference = among(operation, [Op.SUB, Op.REAL_SUB])
        re = difference | among(operation, [Op.MUL, Op.MULTIPLY_ADD])
        im = difference | among(operation, [Op.CONJUGATE_MUL, Op.CONJUGATE_MULTIPLY_ADD, Op.DIV])
        return [re, im, re, im]


def _numbers(slot: Value) -> list[Value]:
    return [slot[_BITS * i :][:_BITS].as_signed() for i in range(4)]


def _sum(m: Module, products: SimpleNamespace, index: int) -> Value:
    total = Signal(signed(_SUM_BITS), name=f"total{index}")
    x, y = getattr(products, f"x{index}").as_signed(), getattr(products, f"y{index}").as_signed()
    m.d.comb += total.eq(Mux(getattr(products, f"subtract{index}"), x - y, x + y))
    return total


def _norm(products: SimpleNamespace, index: int) -> Value:
    """|b|^2 of the complex number that a part belongs to: up to 2^31."""
    first = index - index % 2
    re, im = (getattr(products, f"square{i}")[: DIVISOR_BITS - 1] for i in (first, first + 1))
    return (re + im)[:DIVISOR_BITS]


def _exact(total: Value, shift: Value) -> Value:
    """`total / 2^shift`, with 31 bits behind the point; a shift of `31 - s` makes it `total * 2^s` without any."""
    return (Cat(Const(0, _MAX_SHIFT), total).as_signed() >> shift)[: _MAX_SHIFT + _SUM_BITS]


def _shortened(exact: Value) -> Value:
    """With two bits behind the point: the first one, and whether there is more."""
    return Cat(exact[: _MAX_SHIFT - 1].any(), exact[_MAX_SHIFT - 1 :])


def _rounded(value: Value) -> Value:
    up = value[1] & (value[0] | value[2])
    return (value[2:].as_signed() + up)[:_SUM_BITS]


def _saturated(value: Value) -> Value:
    upper = value[_BITS - 1 :]
    fits = (upper == 0) | upper.all()
    return Mux(fits, value[:_BITS], Mux(value[-1], 1 << (_BITS - 1), (1 << (_BITS - 1)) - 1))[:_BITS]
