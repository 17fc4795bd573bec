"""float32 operations on encodings by the definition of IEEE 754, with rational numbers: the reference of the golden models."""

from __future__ import annotations

from fractions import Fraction
from math import inf, isqrt, nan

NAN = 0x7FC00000
SIGN = 0x80000000


def is_nan(bits: int) -> bool:
    """Whether an encoding is that of any NaN."""
    return bits & ~SIGN > 0x7F800000


def _is_infinity(bits: int) -> bool:
    return bits & ~SIGN == 0x7F800000


def _value(bits: int) -> Fraction:
    """The exact value of a finite number."""
    exponent = bits >> 23 & 0xFF
    significand = bits & 0x7FFFFF | (0x800000 if exponent else 0)
    return Fraction(-significand if bits & SIGN else significand) * Fraction(2) ** (max(exponent, 1) - 150)


def _round(value: Fraction, sign_of_zero: int) -> int:
    """The encoding of the nearest number, the even one of two: by its definition, not as the hardware does it."""
    if value == 0:
        return sign_of_zero
    sign, value = (SIGN, -value) if value < 0 else (0, value)
    log2 = value.numerator.bit_length() - value.denominator.bit_length()
    exponent = max(1, 127 + (log2 if value >= Fraction(2) ** log2 else log2 - 1))
    units = value / Fraction(2) ** (exponent - 150)
    significand = round(units)  # Python rounds a Fraction's ties to even
    magnitude = (exponent - 1 << 23) + significand
    return sign | min(magnitude, 0x7F800000)


def exact_sum(a: int, b: int) -> int:
    """`a + b`."""
    if is_nan(a) or is_nan(b) or (_is_infinity(a) and _is_infinity(b) and a != b):
        return NAN
    if _is_infinity(a) or _is_infinity(b):
        return a if _is_infinity(a) else b
    return _round(_value(a) + _value(b), a & b & SIGN)


def exact_product(a: int, b: int) -> int:
    """`a * b`."""
    sign = (a ^ b) & SIGN
    zero = a & ~SIGN == 0 or b & ~SIGN == 0
    infinite = _is_infinity(a) or _is_infinity(b)
    if is_nan(a) or is_nan(b) or (zero and infinite):
        return NAN
    return sign | 0x7F800000 if infinite else _round(_value(a) * _value(b), sign)


def exact_reciprocal(a: int) -> int:
    """`1 / a`."""
    if is_nan(a):
        return NAN
    if _is_infinity(a):
        return a & SIGN
    return a & SIGN | 0x7F800000 if a & ~SIGN == 0 else _round(1 / _value(a), 0)


def exact_norm(re: int, im: int) -> Fraction | float:
    """`re^2 + im^2`, squares and sum cut to 27 bits; infinity or NaN where there is one."""
    if is_nan(re) or is_nan(im):
        return nan
    if _is_infinity(re) or _is_infinity(im):
        return inf
    return _cut(_cut(_value(re) ** 2) + _cut(_value(im) ** 2))


def exact_quotient(a: int, d: Fraction | float) -> int:
    """`a / d`, d not negative."""
    sign = a & SIGN
    zero, infinite = a & ~SIGN == 0, _is_infinity(a)
    if is_nan(a) or d != d or (zero and d == 0) or (infinite and d == inf):
        return NAN
    if infinite or d == 0:
        return sign | 0x7F800000
    return sign if zero or d == inf else _round(_value(a) / Fraction(d), 0)


def exact_root(d: Fraction | float) -> int:
    """`sqrt(d)`, d not negative: the only candidates that rounding needs to tell apart lie 2^-60 of the root apart."""
    if d != d:
        return NAN
    if d == inf:
        return 0x7F800000
    d = Fraction(d)
    places = 400
    root = isqrt((d.numerator << 2 * places) // d.denominator)
    more = Fraction(root, 1 << places) ** 2 != d
    return _round(Fraction(2 * root + more, 2 << places), 0)


def _cut(value: Fraction) -> Fraction:
    """The upper 27 bits."""
    if value == 0:
        return value
    log2 = value.numerator.bit_length() - value.denominator.bit_length()
    unit = Fraction(2) ** ((log2 if value >= Fraction(2) ** log2 else log2 - 1) - 26)
    return value // unit * unit
