"""Frames: what passes through the FFT pipeline as one unit, and the order of its results."""

from __future__ import annotations

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

CONTEXT_BITS = 4

Frame = data.StructLayout(
    {
        "log2_length": 5,  # of each transform
        "interleave_log2": 4,
        "inverse": 1,  # the sign of the exponent is positive
        "scaled": 1,  # the results are divided by the length
        "context": CONTEXT_BITS,  # nothing to the pipeline; comes out with the results
    }
)
"""One transform of N = 2**log2_length samples, or W = 2**interleave_log2 interleaved ones: sample n of column c is input number
`n * W + c` of the frame. A block of W adjacent columns of a matrix, row after row, is such a frame. N is at least 8, N * W at most
2**max_log2."""


Control = data.StructLayout(
    {
        "valid": 1,
        "first": 1,  # implies valid
        "top": 5,  # log2 of the samples of the frame
        "interleave_log2": 4,
        "inverse": 1,
        "scaled": 1,
        "context": CONTEXT_BITS,
    }
)
"""What runs through the pipeline one cycle ahead of the samples of each beat; but for `valid`, constant within a frame."""


def bit_reversal(length: int) -> NDArray[np.intp]:
    """0 .. length - 1 with their bits in reverse order; `length` is a power of two."""
    order = np.zeros(1, np.intp)
    while order.size < length:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def output_order(log2_length: int, interleave_log2: int = 0) -> NDArray[np.intp]:
    """Which result the pipeline gives as number 0, 1, .. of a frame, for any number of samples per cycle.

    Result k of column c is called `k * W + c`, as the inputs are: bits `interleave_log2` and above of the index are reversed.
    """
    columns = np.arange(1 << interleave_log2, dtype=np.intp)
    return (bit_reversal(1 << log2_length)[:, None] * columns.size + columns).ravel()
