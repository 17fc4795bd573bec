"""Pipelined quotients and square roots of integers, rounded to 16 bits."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.float32 import Pipeline
from cosoc.gateware.shared import SharedComponent

RESULT_BITS = 16
NUMERATOR_BITS = 63
DIVISOR_BITS = 32

_DIGITS = RESULT_BITS + 1
"""Weights 2^15 .. 2^-1: the last one is the guard bit, and of a quotient the first one says that it saturates."""

_REMAINDER_BITS = DIVISOR_BITS + 2


class IntegerDivide(SharedComponent):
    """`o = a / d`, or `o = sqrt(a / 2^16) / 2^shift` if `root`: rounded once, to nearest even, saturated to -32768..32767.

    A quotient by zero saturates; of zero it is 0.

    Both are the same non-restoring digit recurrence, one digit a stage, one adder: the remainder `s` takes in the next bit of the
    numerator and becomes `2s - t` where it is not negative, else `2s + t'`. For a quotient `t = t' = d`; for a root with the
    digits `q` so far and a next digit of weight w, `t = 2q + w` and `t' = 2q + 3w`, both times 2^16 (as in `FloatDivide`).

    Stages: 17 digits, last remainder, shift of a root, round, sign and saturate.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        a: magnitude of the numerator; of a root 2^16 times a radicand of up to 2^31.
        d: magnitude of the divisor, up to 2^31.
        negative: the sign of a quotient.
        root: takes the root; `shift` goes with it.
        o: result of the operands `latency` enabled cycles ago, signed.
    """

    latency = _DIGITS + 4

    def __init__(self) -> None:
        operands = {"a": In(NUMERATOR_BITS), "d": In(DIVISOR_BITS), "negative": In(1), "root": In(1), "shift": In(5)}
        super().__init__({"en": In(1), **operands, "o": Out(RESULT_BITS)})

    def logic(self) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.en)
        above = self.a[RESULT_BITS:]
        digits, rest = self._digits(pipeline)
        last = pipeline.stage(digits=Cat(*reversed(digits)), more=rest.any())
        waited = pipeline.depth
        large = pipeline.delay(above[DIVISOR_BITS:].any(), waited, "large")
        zero = pipeline.delay(self.a == 0, waited, "zero")
        root = pipeline.delay(self.root, waited, "root")
        shift = pipeline.delay(Mux(self.root, self.shift, 0), waited, "shift")
        room = (1 << len(shift)) - 1
        shifted = (Cat(Const(0, room), last.digits) >> shift)[: room + _DIGITS]
        placed = pipeline.stage(
            whole=shifted[room + 1 :],
            up=shifted[room] & (shifted[room + 1] | last.more | shifted[:room].any()),
            over=~zero & ~root & (large | last.digits[-1]),
            zero=zero,
            negative=pipeline.delay(self.negative, waited, "negative"),
        )
        rounded = pipeline.stage(value=placed.whole + placed.up, over=placed.over, zero=placed.zero, negative=placed.negative)
        limit = 1 << (RESULT_BITS - 1)
        over = rounded.over | (rounded.value >= limit)
        value = Mux(rounded.negative, -rounded.value, rounded.value)[:RESULT_BITS]
        saturated = Mux(over, Mux(rounded.negative, limit, limit - 1), value)
        result = pipeline.stage(o=Mux(rounded.zero, 0, saturated))
        m.d.comb += self.o.eq(result.o)
        assert pipeline.depth == self.latency
        return m

    def _digits(self, pipeline: Pipeline) -> tuple[list[Value], Value]:
        """All digits, the first one first, and the last remainder, brought back if negative."""
        remainder: Value = Cat(self.a[RESULT_BITS:][: _REMAINDER_BITS - 1], Const(0, 1))
        tail: Value = self.a[:RESULT_BITS]  # bits of the numerator that the remainder has not taken in
        divisor: Value = self.d
        root: Value = self.root
        digits: list[Value] = []
        for index in range(_DIGITS):
            negative = remainder[-1] if index else Const(0, 1)
            operand = Mux(root, _root_operand(digits, negative, index), divisor)
            operand = Cat(operand, Const(0, 1))[:_REMAINDER_BITS] ^ (~negative).replicate(_REMAINDER_BITS)
            taken_in = tail[-1] if len(tail) else Const(0, 1)
            # A bit below the remainders carries the one that a subtraction adds.
            total = Cat(~negative, taken_in, remainder) + Cat(~negative, operand)
            state = pipeline.stage(
                remainder=total[1 : 1 + _REMAINDER_BITS], tail=tail[:-1], divisor=divisor, root=root, digits=Cat(digits)
            )
            remainder, tail, divisor, root = state.remainder, state.tail, state.divisor, state.root
            digits = [*state.digits, ~remainder[-1]]
        operand = Mux(root, _root_operand(digits[:-1], Const(0, 1), _DIGITS - 1), divisor)
        restored = Mux(remainder[-1], remainder + operand, remainder)[:_REMAINDER_BITS]
        return digits, restored


def _root_operand(digits: list[Value], negative: Value, index: int) -> Value:
    """`2q + w` or, after a negative remainder, `2q + 3w`, times 2^16, with w = 2^(15 - index)."""
    return Cat(Const(0, DIVISOR_BITS - 1 - index), Const(1, 1), negative, *reversed(digits))
