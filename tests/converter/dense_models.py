"""Small models for the tests of dense operations, and how they run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.support.dense_calls import Apply
from cosoc.converter import Bundle, convert, emulation
from cosoc.converter.compare import disagreement
from cosoc.converter.spec import DEVICES
from cosoc.runtime import Session

TOLERANCE = 2e-5
"""Largest difference relative to the largest result: sums in another order, functions of another library."""


def results(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """All tensors that PyTorch returns, each once."""
    with torch.no_grad():
        leaves = torch.utils._pytree.tree_leaves(model(*inputs))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def real(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normally distributed numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def whole(*shape: int, low: int = -9, high: int = 10, seed: int = 0) -> torch.Tensor:
    """Integers."""
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def complex_(*shape: int, seed: int = 0) -> torch.Tensor:
    """Complex numbers."""
    return torch.complex(real(*shape, seed=seed), real(*shape, seed=seed + 1))


@dataclass
class Runner:
    """One session on this machine's CPU."""

    session: Session
    folder: Path

    def check(
        self,
        model: nn.Module | Callable[..., object],
        *inputs: torch.Tensor,
        tolerance: float = TOLERANCE,
        accelerators: Collection[str] = DEVICES[1:],
    ) -> Bundle:
        """Converts a model, runs it, and compares kernels and emulation with PyTorch."""
        module = model if isinstance(model, nn.Module) else Apply(model)
        module.eval()
        expected = results(module, inputs)
        bundle = convert(module, inputs, precision="float", accelerators=accelerators)
        arrays = [array(value) for value in inputs]
        emulated = emulation.run(bundle, arrays)
        bundle.save(self.folder / "model.bundle")
        found = self.session.load(self.folder / "model.bundle").run(arrays)
        assert len(found) == len(expected)
        for name, value, reference in zip(bundle.graph.outputs, found, expected, strict=True):
            assert tuple(value.shape) == tuple(reference.shape), name
            assert disagreement(emulated[name], reference) <= tolerance, f"emulation of {name}"
            assert disagreement(value, reference) <= tolerance, f"kernels of {name}"
        return bundle


def array(value: torch.Tensor) -> np.ndarray:
    """A tensor in the element type of a bundle's input."""
    if value.dtype == torch.bool or value.is_complex():
        return value.numpy()
    return (value.to(torch.float32) if value.is_floating_point() else value.to(torch.int64)).numpy()
