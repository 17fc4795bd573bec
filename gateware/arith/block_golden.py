"""Complex block floating point in NumPy: bit for bit what `block` computes.

A block is one complex number: two mantissas of m bits with one exponent, `(re + i im) * 2**(exponent - 125 - m)`. Mantissas need
not fill their bits: an operation shifts its result by as much as keeps both parts, but at most two places to the left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.arith import golden
from cosoc.gateware.arith.golden import Complexes

Integers = NDArray[np.int64]

GUARD_BITS = 3
"""Below the mantissas in a sum; the last one is set when anything was lost below it."""

FACTOR_FRACTION_BITS = 17
"""Of the fixed-point factors of a product."""


class Block(NamedTuple):
    """Arrays of equal shape. The result of an operation with an operand that is invalid is invalid."""

    re: Integers
    im: Integers
    exponent: Integers
    invalid: NDArray[np.bool_]


def rounded(values: Integers, places: int | Integers) -> Integers:
    """`values / 2**places`, rounded to nearest even."""
    floor = values >> places
    rest = values - (floor << places)
    half = (np.int64(1) << np.asarray(places)) >> 1
    result: Integers = floor + ((rest > half) | ((rest == half) & (half > 0) & (floor & 1 == 1)))
    return result


def saturated(values: Integers, bits: int) -> Integers:
    """Rounding can lead to the number above the largest mantissa, which is taken instead."""
    return np.minimum(values, (1 << bits - 1) - 1)


def fits(values: Integers, bits: int) -> NDArray[np.bool_]:
    """Whether values are signed numbers of so many bits."""
    return (values >= -(1 << bits - 1)) & (values < 1 << bits - 1)


def from_complex(x: Complexes, bits: int) -> Block:
    """The exponent is that of the larger part; a number with an infinity or a NaN is invalid."""
    words = np.ascontiguousarray(x).view(np.uint32).reshape(*x.shape, 2).astype(np.int64)
    field = words >> 23 & 0xFF
    exponents = np.maximum(field, 1)
    significands = (words & 0x7FFFFF) | np.where(field > 0, 1 << 23, 0)
    exponent = exponents.max(axis=-1)
    places = np.minimum(exponent[..., None] - exponents, 31) + 25 - bits
    magnitudes = saturated(rounded(significands, places), bits)
    parts = np.where(words >> 31, -magnitudes, magnitudes)
    return Block(parts[..., 0], parts[..., 1], exponent, (field == 255).any(axis=-1))


def to_complex(x: Block, bits: int, shift: int) -> Complexes:
    """Divided by `2**shift`, rounded to nearest even float32, which can be subnormal or infinite."""
    with np.errstate(all="ignore"):
        re, im = (
            np.where(x.invalid, np.nan, np.ldexp(part.astype(np.float64), x.exponent - 125 - bits - shift)).astype(np.float32)
            for part in (x.re, x.im)
        )
    return golden.to_complex(golden.canonical(re), golden.canonical(im))


def negative(x: Block) -> Block:
    return x._replace(re=-x.re, im=-x.im)


def swapped(x: Block) -> Block:
    """Real and imaginary part exchanged."""
    return x._replace(re=x.im, im=x.re)


def add(a: Block, b: Block, bits: int) -> Block:
    """The smaller exponent's mantissas are shifted to the right; the sum is normalized and rounded to nearest even."""
    exponent = np.maximum(a.exponent, b.exponent)
    re, im = (_aligned(p, exponent - a.exponent) + _aligned(q, exponent - b.exponent) for p, q in ((a.re, b.re), (a.im, b.im)))
    right = ~(fits(re, bits + 3) & fits(im, bits + 3))
    left = (fits(re, bits + 2) & fits(im, bits + 2)).astype(np.int64) + (fits(re, bits + 1) & fits(im, bits + 1))
    places = right + 3 - left
    re, im = (saturated(rounded(part, places), bits) for part in (re, im))
    return Block(re, im, exponent + right - left, a.invalid | b.invalid)


def _aligned(mantissa: Integers, distance: Integers) -> Integers:
    """With guard bits, shifted to the right."""
    value, distance = mantissa << GUARD_BITS, np.minimum(distance, 62)
    floor: Integers = value >> distance
    result: Integers = floor | (floor << distance != value)
    return result


def multiply(x: Block, factors: tuple[Integers, Integers], bits: int) -> Block:
    """Product with fixed-point factors of magnitude 1; a shift to the right makes room for a part that grows by up to sqrt 2."""
    w_re, w_im = factors
    re, im = x.re * w_re - x.im * w_im, x.re * w_im + x.im * w_re
    right = ~(fits(re, bits + FACTOR_FRACTION_BITS) & fits(im, bits + FACTOR_FRACTION_BITS))
    re, im = (saturated(rounded(part, FACTOR_FRACTION_BITS + right.astype(np.int64)), bits) for part in (re, im))
    return Block(re, im, x.exponent + right, x.invalid | False)
