"""Calibration data as batches of the example's shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from cosoc.converter.capture import Inputs
from cosoc.converter.errors import ConversionError


def calibration_batches(calibration: object, examples: Inputs) -> list[Inputs]:
    """Calibration data as batches of the example's shapes.

    Args:
        calibration: None for the examples themselves; an array or tensor (n, ...) of samples, for a model of one input; or an
            iterable of batches, each a tensor or a tuple of one tensor for each input.

    Raises:
        ConversionError: empty, of another shape, or not finite.
    """
    if calibration is None:
        return [examples]
    if isinstance(calibration, np.ndarray | torch.Tensor):
        batches = _split(torch.as_tensor(calibration), examples)
    elif isinstance(calibration, Iterable):
        batches = [tuple(torch.as_tensor(value) for value in ([item] if _is_array(item) else item)) for item in calibration]
    else:
        raise ConversionError(
            f"calibration must be an array of samples or an iterable of batches, found {type(calibration).__name__}"
        )
    if not batches:
        raise ConversionError(
            "calibration is empty; pass some typical inputs (about 100), or leave it out to use the example inputs"
        )
    expected = [tuple(value.shape) for value in examples]
    for index, batch in enumerate(batches):
        found = [tuple(value.shape) for value in batch]
        if found != expected:
            raise ConversionError(f"calibration batch {index} has shapes {found}; the example inputs have {expected}")
        if not all(torch.isfinite(value).all() for value in batch):
            raise ConversionError(f"calibration batch {index} contains NaN or infinity; remove such inputs")
    if not any(value.any() for batch in batches for value in batch):
        raise ConversionError("the calibration data are all zero; pass some typical inputs (about 100)")
    return [tuple(value.to(example.dtype) for value, example in zip(batch, examples, strict=True)) for batch in batches]


def _is_array(item: object) -> bool:
    return isinstance(item, np.ndarray | torch.Tensor)


def _split(samples: torch.Tensor, examples: Inputs) -> list[Inputs]:
    """An array of samples in batches of the example's size; the last batch ends with the last sample."""
    if len(examples) != 1:
        raise ConversionError(
            f"the model has {len(examples)} inputs; pass calibration as an iterable of tuples of {len(examples)} tensors"
        )
    batch, shape = examples[0].shape[0], tuple(examples[0].shape[1:])
    if tuple(samples.shape[1:]) != shape:
        raise ConversionError(f"calibration has shape {tuple(samples.shape)}; expected (n, {', '.join(map(str, shape))})")
    if 0 < len(samples) < batch:
        raise ConversionError(f"calibration has {len(samples)} samples; the example's batch has {batch}: pass at least as many")
    starts = [min(start, len(samples) - batch) for start in range(0, len(samples), batch)]
    return [(samples[start : start + batch],) for start in starts]


def spread(batches: Sequence[Inputs], samples: int) -> list[Inputs]:
    """Batches with about so many samples, evenly from all."""
    wanted = min(len(batches), max(1, samples // len(batches[0][0])))
    return [batches[index * len(batches) // wanted] for index in range(wanted)]
