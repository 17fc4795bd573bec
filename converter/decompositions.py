"""What operations of ATen become before they are lowered: PyTorch's table, and what it leaves whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._decomp import get_decompositions

from cosoc.converter.dense import LOWERINGS
from cosoc.converter.operators import INTERPRETATIONS

aten = torch.ops.aten
Tensor = torch.Tensor

FURTHER = (aten.grid_sampler_2d, aten._native_batch_norm_legit.no_stats)
"""Operations that torch.export leaves whole although PyTorch knows how to write them with others."""


def cdist(x1: Tensor, x2: Tensor, p: float, compute_mode: int | None) -> Tensor:
    """Distances of all rows from all rows."""
    distances: Tensor = torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, dim=-1)
    return distances


def trilinear(
    i1: Tensor,
    i2: Tensor,
    i3: Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Tensor:
    """The product of three tensors with axes inserted, summed along some, as nn.Bilinear has it."""
    for axis in expand1:
        i1 = i1.unsqueeze(axis)
    for axis in expand2:
        i2 = i2.unsqueeze(axis)
    for axis in expand3:
        i3 = i3.unsqueeze(axis)
    return (i1 * i2 * i3).sum(list(sumdim))


def addbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """A sum of matrix products, and a matrix."""
    return beta * x + alpha * torch.bmm(batch1, batch2).sum(0)


def median(x: Tensor) -> Tensor:
    """Of all elements."""
    return x.flatten().median(0)[0]


def fmax(x: Tensor, other: Tensor) -> Tensor:
    """The larger one, or the one that is a number."""
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.maximum(x, other)))


def fmin(x: Tensor, other: Tensor) -> Tensor:
    """The smaller one, or the one that is a number."""
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.minimum(x, other)))


OWN: dict[Any, Callable[..., Tensor]] = {
    aten._cdist_forward.default: cdist,
    aten._trilinear.default: trilinear,
    aten.addbmm.default: addbmm,
    aten.median.default: median,
    aten.fmax.default: fmax,
    aten.fmin.default: fmin,
}
"""Operations of which PyTorch's table knows no others."""


def decompositions() -> Any:
    """The table without the operations that are lowered as they are: the rest becomes operations of Core ATen."""
    table = torch.export.default_decompositions()
    for target, decomposition in {**get_decompositions(FURTHER), **OWN}.items():
        table[target] = decomposition
    kept = LOWERINGS.keys() | INTERPRETATIONS.keys()
    for target in list(table):
        if str(target).removeprefix("aten.") in kept:
            del table[target]
    return table
