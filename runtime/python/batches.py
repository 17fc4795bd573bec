"""Batches of any size for a model of one: it runs over pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cosoc.runtime.tensors import Array


def size_of(arrays: Sequence[Array]) -> int | None:
    """Samples of each array; None where they have not as many, or none."""
    sizes = {array.shape[0] if array.ndim else 0 for array in arrays}
    size = sizes.pop() if len(sizes) == 1 else 0
    return size or None


def pieces(arrays: Sequence[Array], batch: int) -> Iterator[tuple[list[Array], int]]:
    """Arrays in batches of one size, and how many samples of each count: the last one is filled with its last sample."""
    samples = arrays[0].shape[0]
    for start in range(0, samples, batch):
        count = min(batch, samples - start)
        yield [filled(array[start : start + count], batch) for array in arrays], count


def filled(array: Array, batch: int) -> Array:
    """An array with its last sample repeated up to a batch."""
    missing = batch - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array
