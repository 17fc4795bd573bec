"""Bit-exact model of the FFT pipeline in NumPy.

Radix 2^2, decimation in frequency. The stage of half length h = N/2, N/4 .. 1 takes pairs (u, v) of each group of 2h numbers to
(u + v, u - v). Let s = log2 h + interleave_log2, the place of the stage in the pipeline:

- s odd: the second half of the differences is turned by -i, unless h is 1: (u.im - v.im, v.re - u.re);
- s even: the quarters of each group of 4h numbers are multiplied by factors (`twiddles`); in the first stage, which has no groups
  of 4h, the halves of each group of 2h are what the first two quarters are. Factors of 1 are no multiplication.

The inverse swaps real and imaginary parts before and after. Results are divided by N, when asked for, by their exponents. What a
sum, a difference and a product are, the number format says (`arithmetic`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cosoc.gateware.arith.golden import Complexes
from cosoc.gateware.fft.arithmetic import golden_arithmetic
from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.frame import bit_reversal
from cosoc.gateware.fft.twiddles import powers, twiddles

Parts = tuple[Any, ...]
"""Arrays of equal shape that together are numbers of a format."""


def transform(
    x: Complexes, inverse: bool, *, scaled: bool | None = None, interleave_log2: int = 0, config: FFTConfig | None = None
) -> Complexes:
    """Discrete Fourier transform of every row.

    Args:
        x: complex64 of shape (transforms, N), N a power of two, at least 2.
        inverse: the sign of the exponent is positive.
        scaled: the result is divided by N; by default if `inverse`.
        interleave_log2: of the frame that the transforms are columns of; its parity changes some roundings.
        config: has the number format; the default is float32.

    Returns:
        complex64 of the same shape, in natural order.

    Raises:
        ValueError: `x` is not two-dimensional complex64, or N is not a power of two.
    """
    if x.ndim != 2 or x.dtype != np.complex64:
        raise ValueError(f"expected complex64 of shape (frames, N), found {x.dtype} of shape {x.shape}")
    transforms, length = x.shape
    if length < 2 or length & (length - 1):
        raise ValueError(f"expected a power of two, at least 2, as length of a transform, found {length}")
    arithmetic = golden_arithmetic(config or FFTConfig())
    log2_length = length.bit_length() - 1
    shift = log2_length if (inverse if scaled is None else scaled) else 0
    with np.errstate(all="ignore"):
        numbers = arithmetic.load(_swapped(x) if inverse else x)
        for log2_half in reversed(range(log2_length)):
            numbers = _stage(arithmetic, numbers, 1 << log2_half, odd=bool((log2_half + interleave_log2) & 1))
            if not (log2_half + interleave_log2) & 1:
                numbers = _rotated(arithmetic, numbers, 1 << log2_half, quarters=4 if log2_half + 1 < log2_length else 2)
        result = arithmetic.store(_shaped(numbers, transforms, length), shift)
    result = np.take(result, bit_reversal(length), axis=1)
    return _swapped(result) if inverse else result


def _stage(arithmetic: Any, numbers: Parts, half: int, *, odd: bool) -> Parts:
    """Butterflies of half length `half`, and the turn by -i of an odd stage."""
    groups = _shaped(numbers, -1, 2, half)
    u, v = (tuple(part[:, place] for part in groups) for place in range(2))
    sums, differences = arithmetic.add(u, v), arithmetic.subtract(u, v)
    if odd:
        turned = arithmetic.subtract_turned(u, v)
        upper = np.arange(half) >= max(half // 2, 1)
        differences = tuple(np.where(upper, b, a) for a, b in zip(differences, turned, strict=True))
    return tuple(np.stack(pair, axis=1) for pair in zip(sums, differences, strict=True))


def _rotated(arithmetic: Any, numbers: Parts, half: int, *, quarters: int) -> Parts:
    """Products with the factors that are not 1."""
    if half == 1:
        return numbers
    groups = _shaped(numbers, -1, quarters, half)
    products = arithmetic.multiply(groups, twiddles(half)[:quarters])
    plain = powers(half)[:quarters] == 0
    return tuple(np.where(plain, a, b) for a, b in zip(groups, products, strict=True))


def _shaped(numbers: Parts, *shape: int) -> Parts:
    return tuple(part.reshape(shape) for part in numbers)


def _swapped(x: Complexes) -> Complexes:
    """Real and imaginary parts exchanged, bit for bit."""
    return np.ascontiguousarray(np.ascontiguousarray(x).view(np.float32).reshape(*x.shape, 2)[..., ::-1]).view(np.complex64)[..., 0]
