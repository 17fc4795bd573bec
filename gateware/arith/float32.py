"""What the float32 operators share: the format, the registers between their stages, counting zeros, rounding.

Inside an operator a result is a significand of 24 bits with guard and sticky bits, and `exponent`, which is the biased
exponent minus one, at least 0. Its significand has a leading one unless `exponent` is 0. So `exponent * 2^23 + significand` is
the encoded number, subnormal or not: the leading one adds itself to the exponent field. A carry out of rounding does the same,
and turns the largest finite number into infinity.
"""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike

BIAS = 127
FRACTION_BITS = 23
SIGNIFICAND_BITS = FRACTION_BITS + 1
EXPONENT_MAX = 255
"""Exponent field of infinities and NaN."""

ONE = 0x3F800000
NAN = 0x7FC00000
"""The NaN that every operator gives."""


class Special(IntEnum):
    """A result that does not come out of the arithmetic."""

    NONE = 0
    ZERO = 1
    INFINITY = 2
    NAN = 3


class Float32:
    """The parts of an encoded number of 32 bits, and what it is."""

    def __init__(self, bits: Value) -> None:
        self.fraction = bits[:FRACTION_BITS]
        self.exponent = bits[FRACTION_BITS:-1]
        self.sign = bits[-1]

    @property
    def magnitude(self) -> Value:
        """All but the sign; ordered as the numbers are."""
        return Cat(self.fraction, self.exponent)

    @property
    def significand(self) -> Value:
        """24 bits with the leading one, or zero for subnormal numbers."""
        return Cat(self.fraction, self.exponent != 0)

    @property
    def scale(self) -> Value:
        """Biased exponent of the significand: 1 for subnormal numbers."""
        return Cat(self.exponent[0] | (self.exponent == 0), self.exponent[1:])

    def is_zero(self) -> Value:
        return self.magnitude == 0

    def is_infinity(self) -> Value:
        return (self.exponent == EXPONENT_MAX) & (self.fraction == 0)

    def is_nan(self) -> Value:
        return (self.exponent == EXPONENT_MAX) & (self.fraction != 0)


class Pipeline:
    """Registers between the stages of an operator: all advance together in cycles with `en`.

    They are not reset: who uses the operator keeps track of which results are valid.
    """

    def __init__(self, m: Module, en: Value) -> None:
        self._m = m
        self._en = en
        self.depth = 0

    def stage(self, **values: ValueLike) -> SimpleNamespace:
        """The same values one enabled cycle later."""
        self.depth += 1
        registers = {name: self._register(value, f"{name}_{self.depth}") for name, value in values.items()}
        return SimpleNamespace(**registers)

    def delay(self, value: ValueLike, cycles: int, name: str) -> Value:
        """`value` some enabled cycles later, beside the stages."""
        for cycle in range(cycles):
            value = self._register(value, f"{name}_delay{cycle + 1}")
        return Value.cast(value)

    def _register(self, value: ValueLike, name: str) -> Signal:
        value = Value.cast(value)
        register = Signal(value.shape(), name=name, reset_less=True)
        with self._m.If(self._en):
            self._m.d.sync += register.eq(value)
        return register


def leading_zeros(value: Value) -> Value:
    """Zero bits above the highest one; the width of `value` if it is zero."""
    width = 1 << len(value).bit_length()
    # A one below the lowest bit ends the count; the value has at least one bit of room.
    return _leading_zeros(Cat(Const(1 << width - len(value) - 1, width - len(value)), value))


def _leading_zeros(value: Value) -> Value:
    """As `leading_zeros` for a width that is a power of two and a value that is not zero, by halving."""
    if len(value) == 1:
        return Const(0, 0)
    half = len(value) // 2
    upper, lower = value[half:], value[:half]
    return Cat(Mux(upper.any(), _leading_zeros(upper), _leading_zeros(lower)), ~upper.any())


def trailing_zeros(value: Value) -> Value:
    """Zero bits below the lowest one; the width of `value` if it is zero."""
    return leading_zeros(Cat(value[i] for i in reversed(range(len(value)))))


def encode(*, sign: Value, exponent: Value, significand: Value, guard: Value, sticky: Value, special: Value) -> Value:
    """Rounds to nearest even and encodes; the arguments are as the module's description says.

    Args:
        exponent: any width; 254 and above gives infinity.
        guard: the first bit below the significand.
        sticky: whether anything lies below the guard bit.
        special: a `Special` that takes the place of the number.
    """
    round_up = guard & (sticky | significand[0])
    rounded = (Cat(Const(0, FRACTION_BITS), exponent) + significand + round_up)[: FRACTION_BITS + 8]
    infinity = Const(EXPONENT_MAX << FRACTION_BITS, FRACTION_BITS + 8)
    magnitude = Mux(exponent >= EXPONENT_MAX - 1, infinity, rounded)
    magnitude = Mux(special == Special.INFINITY, infinity, Mux(special == Special.ZERO, 0, magnitude))
    return Mux(special == Special.NAN, NAN, Cat(magnitude, sign))
