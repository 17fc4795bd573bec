"""Encoded float32 operands that are likely to find a wrong operator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint32]

_MAGNITUDES = (
    0x00000000,  # zero
    0x00000001,  # smallest subnormal
    0x00000003,
    0x001FFFFF,  # reciprocal overflows
    0x00200000,  # 2^-128: reciprocal overflows just so
    0x00200001,  # reciprocal is finite
    0x00400000,  # 2^-127
    0x007FFFFF,  # largest subnormal
    0x00800000,  # smallest normal
    0x00800001,
    0x00FFFFFF,
    0x33800000,  # 2^-24: half an ulp of 1, a tie
    0x33800001,  # above the tie
    0x34000000,  # one ulp of 1
    0x34400000,  # one and a half
    0x3EAAAAAB,  # 1/3
    0x3F000000,  # 1/2
    0x3F7FFFFF,  # below 1
    0x3F800000,  # 1
    0x3F800001,  # above 1
    0x3FFFFFFF,  # below 2
    0x40400000,  # 3
    0x4B800000,  # 2^24
    0x4B800001,
    0x73000000,  # half an ulp of the largest number
    0x7E800000,  # 2^126: reciprocal is the smallest normal
    0x7E800001,  # reciprocal is subnormal
    0x7F000000,  # 2^127
    0x7F7FFFFF,  # largest number
    0x7F800000,  # infinity
    0x7F800001,  # signalling NaN
    0x7FC00000,  # quiet NaN
    0x7FFFFFFF,  # NaN with all of its payload
)

CORNERS: Bits = np.array([sign | magnitude for magnitude in _MAGNITUDES for sign in (0, 0x80000000)], dtype=np.uint32)


def corner_pairs() -> tuple[Bits, Bits]:
    """Every pair of corners."""
    a, b = np.meshgrid(CORNERS, CORNERS, indexing="ij")
    return a.ravel(), b.ravel()


def random_pairs(count: int, seed: int) -> tuple[Bits, Bits]:
    """`count` pairs: a third of uniform bits, a third whose exponents differ by at most 27, a third whose product is near the ends
    of the range of exponents; in a quarter of all, one operand is subnormal or has a short significand.
    """
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 1 << 32, count, dtype=np.uint32) for _ in range(2))
    exponent = (a >> 23 & 0xFF).astype(np.int64)
    close = exponent + rng.integers(-27, 28, count)
    edge = np.where(rng.random(count) < 0.5, 127 - exponent, 381 - exponent) + rng.integers(-28, 4, count)
    kind = rng.integers(0, 3, count)
    chosen = np.choose(kind, [b >> 23 & 0xFF, close, edge]).clip(0, 255).astype(np.uint32)
    b = b & np.uint32(0x807FFFFF) | chosen << np.uint32(23)
    twist = rng.integers(0, 8, count)
    a = np.where(twist == 0, a & np.uint32(0x807FFFFF), a)
    b = np.where(twist == 1, b & np.uint32(0xFFF00000), b)
    return a, b
