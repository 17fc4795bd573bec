"""Twiddle factors: roots of unity as the rotators multiply by them.

A rotator behind the stage of half length h turns the four quarters of each group of 4h numbers by the powers 0, 2n, n and 3n of
exp(-2 pi i / 4h), where n = 0 .. h - 1 is the place in the quarter. A power of 0 is no multiplication.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

QUARTER_POWERS = (0, 2, 1, 3)
"""Multiples of n in the four quarters of a group: the bit of the first of two stages counts 1, that of the second 2."""

FIXED_BITS = 18
"""Of each part of a fixed-point factor, in units of 2^-17: what one port of a DSP slice takes."""


@functools.cache
def root(power: int, order: int) -> complex:
    """exp(-2 pi i power / order) in float64, for an order divisible by 8: cosine and sine of an angle in the first octant.

    Uses the C library's functions through `math`, which are the same everywhere, instead of NumPy's vectorized ones. The parts
    of 1, -i, -1 and i are exact, and those of symmetric roots are equal once they are rounded to float32.
    """
    octant, rest = divmod(power % order * 8, order)
    rest = rest // 8 if octant % 2 == 0 else order // 8 - rest // 8
    angle = 2 * math.pi * rest / order
    small, large = math.sin(angle), math.cos(angle)
    cosine, sine = ((large, small), (small, large), (-small, large), (-large, small))[octant % 4]
    if octant >= 4:
        cosine, sine = -cosine, -sine
    return complex(cosine + 0.0, 0.0 - sine)  # no negative zeros


@functools.cache
def powers(half: int) -> NDArray[np.int64]:
    """Powers of exp(-2 pi i / 4 half) of shape (4, half) by quarter and place."""
    result = np.array(QUARTER_POWERS)[:, None] * np.arange(half)
    result.flags.writeable = False
    return result


@functools.cache
def twiddles(half: int) -> NDArray[np.complex128]:
    """The factors of the rotator behind the stage of half length `half`, at least 2, of shape (4, half)."""
    factors = np.array([[root(int(power), 4 * half) for power in row] for row in powers(half)])
    factors.flags.writeable = False
    return factors


def fixed_point(factors: NDArray[np.complex128]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Real and imaginary parts in units of 2^-17, rounded to nearest even; 1, which no rotator needs, becomes 1 - 2^-17."""
    unit = 1 << FIXED_BITS - 1
    re, im = (np.clip(np.rint(part * unit), -unit, unit - 1).astype(np.int64) for part in (factors.real, factors.imag))
    return re, im
