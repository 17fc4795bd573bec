"""Whether one plan serves batches of any size, over pieces of the size that it was made for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cosoc.converter.checks import Inputs

TOLERANCE = 1e-4
"""Largest difference of a sample's results between two batches, relative to the largest result: rounding is far below."""


def batch_of(inputs: Sequence[torch.Tensor]) -> int | None:
    """The size of the first axis that all inputs have; None where they have none in common."""
    sizes = {value.shape[0] if value.dim() else None for value in inputs}
    return sizes.pop() if len(sizes) == 1 else None


def treats_samples_alone(model: torch.nn.Module, inputs: Inputs) -> bool:
    """Whether the results of a sample depend on this sample only, so that a batch may be cut anywhere.

    It is tried: the example and as many other samples, made of the example's values, in one batch, in two, and one by one.
    """
    batch = batch_of(inputs)
    if batch is None:
        return False
    others = tuple(shuffled(value) for value in inputs)
    both = tuple(torch.cat(pair) for pair in zip(inputs, others, strict=True))
    # A batch of one is a sample alone already.
    alone = [tuple(value[index : index + 1] for value in both) for index in (0, 2 * batch - 1)] if batch > 1 else []
    try:
        with torch.no_grad():
            whole = tensors(model(*both))
            parts = [tensors(model(*part)) for part in (inputs, others, *alone)]
    except Exception:  # whatever a model raises for a batch that it does not expect
        return False
    if not whole or any(value.dim() == 0 or len(value) != 2 * batch for value in whole):
        return False
    halves = ([value[:batch] for value in whole], [value[batch:] for value in whole])
    ends = ([value[:1] for value in whole], [value[-1:] for value in whole]) if batch > 1 else ()
    return all(alike(found, wanted) for found, wanted in zip(parts, (*halves, *ends), strict=True))


def shuffled(value: torch.Tensor) -> torch.Tensor:
    """Other samples of the same values."""
    order = torch.randperm(value.numel(), generator=torch.Generator().manual_seed(0))
    return value.flatten()[order].reshape(value.shape)


def tensors(results: object) -> list[torch.Tensor]:
    """All tensors of a model's results."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(results) if isinstance(leaf, torch.Tensor)]


def alike(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
    """Whether results are the same but for rounding."""
    return len(found) == len(expected) and all(
        a.shape == b.shape and torch.allclose(wide(a), wide(b), rtol=0, atol=TOLERANCE * magnitude(b), equal_nan=True)
        for a, b in zip(found, expected, strict=True)
    )


def wide(value: torch.Tensor) -> torch.Tensor:
    """A tensor in a type that holds all of its values."""
    return value.to(torch.complex128 if value.is_complex() else torch.float64)


def magnitude(value: torch.Tensor) -> float:
    """The largest finite magnitude."""
    finite = wide(value)[torch.isfinite(wide(value))]
    return float(finite.abs().max()) if finite.numel() else 0.0
