"""Calibration data as batches of the example's shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from cosoc.converter.checks import Inputs
from cosoc.converter.errors import ConversionError


def calibration_batches(calibration: object, examples: Inputs) -> list[Inputs]:
    """Calibration data as batches of the example's shapes.

    Args:
        calibration: None for the examples themselves; an array or tensor (n, ...) of samples, for a model of one input; or an
            iterable of batches of any size, each a tensor or a tuple of one tensor for each input.

    Raises:
        ConversionError: empty, of another shape, or not finite.
    """
    if calibration is None:
        return [examples]
    if isinstance(calibration, np.ndarray | torch.Tensor):
        batches = _split((torch.as_tensor(calibration),), examples)
    elif isinstance(calibration, Iterable) and not isinstance(calibration, str | bytes | Mapping):
        batches = [_tensors(item, index) for index, item in enumerate(calibration)]
    else:
        raise ConversionError(
            f"calibration must be an array of samples or an iterable of batches, found {type(calibration).__name__}"
        )
    if not batches:
        raise ConversionError(
            "calibration is empty; pass some typical inputs (about 100), or leave it out to use the example inputs"
        )
    for index, batch in enumerate(batches):
        if len(batch) != len(examples) or any(
            value.dim() != example.dim() or value.shape[1:] != example.shape[1:]
            for value, example in zip(batch, examples, strict=False)
        ):
            raise ConversionError(
                f"calibration batch {index} has shapes {_shapes(batch)}; the example inputs have {_shapes(examples)}, one tensor "
                "for each input of the model and no labels; only the first axis, the batch, may differ"
            )
        if not all(torch.isfinite(value).all() for value in batch):
            raise ConversionError(f"calibration batch {index} contains NaN or infinity; remove such inputs")
    if any(_shapes(batch) != _shapes(examples) for batch in batches):
        batches = _split(tuple(torch.cat(values) for values in zip(*batches, strict=True)), examples)
    if not any(value.any() for batch in batches for value in batch):
        raise ConversionError("the calibration data are all zero; pass some typical inputs (about 100)")
    return [tuple(value.to(example.dtype) for value, example in zip(batch, examples, strict=True)) for batch in batches]


def _tensors(item: object, index: int) -> Inputs:
    """A batch of an iterable: an array alone, or several."""
    values = [item] if isinstance(item, np.ndarray | torch.Tensor) else item
    if not isinstance(values, tuple | list) or not all(isinstance(value, np.ndarray | torch.Tensor) for value in values):
        raise ConversionError(
            f"calibration batch {index} is a {type(item).__name__}; expected a tensor, or a tuple of one tensor for each input"
        )
    return tuple(torch.as_tensor(value) for value in values)


def _shapes(values: Inputs) -> list[tuple[int, ...]]:
    return [tuple(value.shape) for value in values]


def _split(samples: Inputs, examples: Inputs) -> list[Inputs]:
    """Samples, as many of each input, in batches of the example's size; the last batch ends with the last sample."""
    if len(examples) != len(samples):
        raise ConversionError(
            f"the model has {len(examples)} inputs; pass calibration as an iterable of tuples of {len(examples)} tensors"
        )
    sizes = {len(value) for value in examples if value.dim()}
    counts = {len(value) for value in samples if value.dim()}
    if len(sizes) != 1 or len(counts) != 1:
        raise ConversionError(
            f"calibration has shapes {_shapes(samples)} in all; the example inputs have {_shapes(examples)}: "
            "pass batches of these shapes"
        )
    batch, count, shape = sizes.pop(), counts.pop(), tuple(examples[0].shape[1:])
    if tuple(samples[0].shape[1:]) != shape:
        raise ConversionError(f"calibration has shape {tuple(samples[0].shape)}; expected (n, {', '.join(map(str, shape))})")
    if 0 < count < batch:
        raise ConversionError(f"calibration has {count} samples; the example's batch has {batch}: pass at least as many")
    starts = [min(start, count - batch) for start in range(0, count, batch)]
    return [tuple(value[start : start + batch] for value in samples) for start in starts]


def spread(batches: Sequence[Inputs], samples: int) -> list[Inputs]:
    """Batches with about so many samples, evenly from all."""
    wanted = min(len(batches), max(1, samples // len(batches[0][0])))
    return [batches[index * len(batches) // wanted] for index in range(wanted)]
