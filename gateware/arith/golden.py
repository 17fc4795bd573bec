"""The operators in NumPy: float32 arrays in, float32 arrays out, bit for bit what the hardware gives.

NumPy computes float32 operations in single precision, rounded to nearest even, with subnormal numbers; only NaN results differ
(their sign and payload come from the operands), and these are replaced by 0x7FC00000.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Complexes = NDArray[np.complex64]

_NAN = np.uint32(0x7FC00000).view(np.float32)


def canonical(values: Floats) -> Floats:
    """The same numbers, every NaN as 0x7FC00000."""
    return np.where(np.isnan(values), _NAN, values)


def from_bits(bits: ArrayLike) -> Floats:
    """float32 numbers from their encodings."""
    return np.asarray(bits, dtype=np.uint32).view(np.float32)


def to_bits(values: Floats) -> NDArray[np.uint32]:
    """The encodings of float32 numbers."""
    return np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)


def add(a: Floats, b: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return canonical(np.add(a, b, dtype=np.float32))


def subtract(a: Floats, b: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return canonical(np.subtract(a, b, dtype=np.float32))


def multiply(a: Floats, b: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return canonical(np.multiply(a, b, dtype=np.float32))


def reciprocal(a: Floats) -> Floats:
    # np.reciprocal is an estimate on some processors; a division is always rounded correctly.
    with np.errstate(all="ignore"):
        return canonical(np.divide(np.float32(1), a, dtype=np.float32))


def to_complex(re: Floats, im: Floats) -> Complexes:
    """complex64 numbers from their parts, bit for bit (`re + 1j * im` would compute)."""
    return np.stack([re, im], axis=-1).astype(np.float32, copy=False).view(np.complex64)[..., 0]


def complex_multiply(a: Complexes, b: Complexes, *, conjugate: bool = False) -> Complexes:
    """`a * b`, or `a * conj(b)`, each of the six operations rounded."""
    re_re, im_im = multiply(a.real, b.real), multiply(a.imag, b.imag)
    im_re, re_im = multiply(a.imag, b.real), multiply(a.real, b.imag)
    if conjugate:
        return to_complex(add(re_re, im_im), subtract(im_re, re_im))
    return to_complex(subtract(re_re, im_im), add(re_im, im_re))


def wide_norm(a: Complexes) -> Doubles:
    """`a.re^2 + a.im^2` as `WideNorm` computes it: squares and sum cut to 27 bits, in the range of float64."""
    with np.errstate(all="ignore"):
        re, im = a.real.astype(np.float64), a.imag.astype(np.float64)
        return _cut(_cut(re * re) + _cut(im * im))


def _cut(values: Doubles) -> Doubles:
    """The upper 27 bits of significands. No square and no sum of two cut squares is near enough to the next number of 27 bits
    that rounding to 53 bits could have reached it.
    """
    return (values.view(np.uint64) & np.uint64(-(1 << 26) & (1 << 64) - 1)).view(np.float64)


def divide(a: Floats, d: Floats | Doubles) -> Floats:
    """`a / d` rounded once; `d` has at most 27 bits, so that the quotient in double precision does not count as a rounding."""
    with np.errstate(all="ignore"):
        return canonical((a.astype(np.float64) / d).astype(np.float32))


def square_root(d: Doubles) -> Floats:
    """`sqrt(d)` rounded once, for `d` of at most 27 bits."""
    with np.errstate(all="ignore"):
        return canonical(np.sqrt(d).astype(np.float32))
