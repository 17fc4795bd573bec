"""Inputs for FFT tests."""

from __future__ import annotations

import numpy as np


def white_noise(rng, count):
    """Complex normal noise of variance 1 in each part, complex64."""
    return (rng.standard_normal(count) + 1j * rng.standard_normal(count)).astype(np.complex64)


def special_values(rng, frames, length):
    """Frames that reach the corners of float32.

    Each frame has another mixture: infinities, NaN of any payload, numbers near the largest one (sums overflow), near the smallest
    normal one (differences and the scaled inverse become subnormal), subnormal numbers, signed zeros, and arbitrary bits.
    """
    corners = np.array(
        [0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000], np.uint32
    )
    corners = np.concatenate([corners, corners | 0x80000000])
    words = np.zeros((frames, 2 * length), np.uint32)
    for frame, row in enumerate(words):
        kind = frame % 6
        if kind == 0:  # subnormal numbers of both signs
            row[:] = rng.integers(0, 1 << 23, row.size) | rng.integers(0, 2, row.size) << 31
        elif kind == 1:  # around the smallest normal number
            row[:] = rng.integers(0, 1 << 28, row.size) | rng.integers(0, 2, row.size) << 31
        elif kind == 2:  # close to overflow
            row[:] = rng.integers(0x7E800000, 0x7F800000, row.size) | rng.integers(0, 2, row.size) << 31
        elif kind == 3:  # signed zeros and a few corners: one NaN or infinity would fill the frame
            row[:] = rng.integers(0, 2, row.size) << 31
            row[rng.integers(0, row.size, 2)] = rng.choice(corners, 2)
        elif kind == 4:
            row[:] = rng.choice(corners, row.size)
        else:
            row[:] = rng.integers(0, 1 << 32, row.size)
    return words.view(np.complex64)
