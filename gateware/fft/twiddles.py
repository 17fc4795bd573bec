"""Twiddle factors of the decimation-in-frequency butterflies.

The butterfly k of a stage of half length h multiplies by `exp(-2 pi i k / 2h)`, in float64 rounded to float32. The imaginary
part for k = 0 is -0.0, as `sin` of the angle -0.0; it decides the sign of some zeros, so all implementations must agree on it.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray


@functools.cache
def twiddles(half: int) -> NDArray[np.complex64]:
    """The factors of butterflies 0 .. half - 1 of the stage of half length `half`, a power of two.

    Uses the C library's cosine and sine through `math`, which are the same everywhere, instead of NumPy's vectorized ones.
    """
    angles = [-math.pi * k / half for k in range(half)]
    factors = np.array([complex(math.cos(angle), math.sin(angle)) for angle in angles]).astype(np.complex64)
    factors.flags.writeable = False
    return factors


def bits(samples: NDArray[np.complex64]) -> list[int]:
    """Samples as the 64-bit words of the hardware: the real part in bits 31..0, the imaginary part above."""
    return [int(word) for word in np.ascontiguousarray(samples).view("<u8").ravel()]
