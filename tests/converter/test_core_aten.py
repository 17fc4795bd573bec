"""The 88 operations of Core ATen that public models need, over shapes and dtypes: kernels beside PyTorch, in one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from cosoc import compile
from cosoc.converter.compare import disagreement
from tests.converter.dense_models import TOLERANCE

aten = torch.ops.aten

NEEDED = (
    "getitem view convolution add.Tensor permute addmm relu batch_norm clone avg_pool2d max_pool2d_with_indices cat "
    "mul.Tensor unsqueeze mean.dim softmax where expand slice bmm arange layer_norm mul.Scalar eq.Scalar "
    "logical_not any.dim full_like gelu scalar_tensor sigmoid select sub ge.Scalar assert_metadata div "
    "upsample_bilinear squeeze full index pad to_copy embedding pow hardtanh split_with_sizes mm tanh gt eq.Tensor "
    "ne group_norm vector_norm cumsum bitwise_and abs clamp nearest sum max.dim fmod gather rsqrt sin cos le alias "
    "fft_r2c fft_c2c conj avg_pool3d leaky_relu adaptive_avg topk elu index_put sym_size index_select as_strided "
    "floor div_mode pow.Scalar repeat neg log1p log unfold argmax flip"
).split()
"""What 71 models of public zoos become when torch.export decomposes them to Core ATen."""


@dataclass
class Data:
    """What the operations are tried on, by shape and dtype."""

    x: torch.Tensor
    y: torch.Tensor
    image: torch.Tensor
    volume: torch.Tensor
    row: torch.Tensor
    number: torch.Tensor
    a: torch.Tensor
    b: torch.Tensor
    i: torch.Tensor
    j: torch.Tensor
    p: torch.Tensor
    c: torch.Tensor
    places: torch.Tensor
    half: torch.Tensor

    @staticmethod
    def make() -> list[torch.Tensor]:
        """Random values, the same ones each time."""
        generator = torch.Generator().manual_seed(0)

        def real(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        def whole(low: int, high: int, *shape: int) -> torch.Tensor:
            return torch.randint(low, high, shape, generator=generator)

        return [
            *(real(2, 3, 4, 5), real(2, 3, 4, 5), real(2, 4, 9, 8), real(1, 2, 5, 6, 7), real(5), real(), real(4, 6), real(6, 5)),
            *(whole(-9, 10, 3, 4), whole(1, 10, 3, 4), real(2, 3, 4, 5) > 0, torch.complex(real(3, 8), real(3, 8))),
            *(torch.tensor([2, 0, 1]), real(3, 4).half()),
        ]


Results = list[torch.Tensor]


def row(size: int, start: int) -> torch.Tensor:
    """A constant of the model."""
    return torch.arange(size) * 0.5 + start + 0.25


def floats(function: Callable[[torch.Tensor], torch.Tensor], positive: bool = False) -> Callable[[Data], Results]:
    """A function of real numbers over four shapes, the last one a view."""

    def results(d: Data) -> Results:
        values = d.x, d.row, d.number, d.x.permute(2, 0, 3, 1)
        return [function(value.abs() + 0.25 if positive else value * 2) for value in values]

    return results


def pairs(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Data], Results]:
    """A function of two tensors: reals and integers, of one shape and broadcast, and of two dtypes."""
    return lambda d: [
        *(function(d.x, d.y), function(d.x, d.row), function(d.x[:, :1], d.y[:1]), function(d.number, d.x)),
        *(function(d.i, d.j), function(d.i[:, :1], d.j), function(d.half, d.j)),
    ]


def compared(function: Callable[[torch.Tensor, float], torch.Tensor]) -> Callable[[Data], Results]:
    """A comparison with a number, of reals, integers and bools."""
    return lambda d: [function(d.x, 0.25), function(d.i, 2), function(d.number, 0), function(d.p, 1)]


def written(d: Data) -> Results:
    """index_put with a row of positions, with two, with a mask, and sums."""
    rows = d.x.sum(0)
    return [
        aten.index_put(rows, [d.places], d.y[0] * 2),
        aten.index_put(rows, [None, d.places], d.y[1, :, :3], True),
        aten.index_put(d.i, [d.places, d.places], d.j[0, :3]),
        aten.index_put(d.x, [d.p], torch.tensor(0.5)),
    ]


def asserted(d: Data) -> Results:
    """A check of metadata, which vanishes."""
    aten._assert_tensor_metadata(d.x, dtype=torch.float32)
    return [d.x + 2]


ENTRIES: dict[str, Callable[[Data], Results]] = {
    "getitem": lambda d: [*torch.unbind(d.x, 1), aten.topk(d.row, 2)[0], d.i.split(2, 1)[1]],
    "view": lambda d: [
        aten.view(d.x, [6, -1]),
        aten.view(d.i, [2, 6]),
        d.x.permute(3, 0, 1, 2).reshape(5, 2, 12),
        aten.view(d.p, [120]),
    ],
    "convolution": lambda d: [
        aten.convolution(d.image, d.image[:, :, :3, :2], None, [1, 2], [1, 0], [1, 1], False, [0, 0], 1),
        aten.convolution(d.image, d.image[:, :2, :3, :3].reshape(4, 1, 3, 3), d.row[:4], [1, 1], [2, 2], [2, 2], False, [0, 0], 4),
        aten.convolution(d.image, d.image[:, :, :3, :3].transpose(0, 1), None, [2, 2], [1, 1], [1, 1], True, [1, 0], 1),
        aten.convolution(d.x[:, :, 0], d.y[:, :, 0, :3], None, [1], [1], [1], False, [0], 1),
        aten.convolution(d.volume, d.volume[:, :, :2, :2, :2], None, [1, 1, 1], [0, 1, 0], [1, 1, 1], False, [0, 0, 0], 1),
    ],
    "add.Tensor": pairs(torch.add),
    "permute": lambda d: [
        aten.permute(d.x, [3, 1, 0, 2]),
        aten.permute(d.i, [1, 0]),
        aten.permute(d.c, [-1, 0]),
        aten.permute(d.p, [0, 2, 3, 1]),
    ],
    "addmm": lambda d: [
        aten.addmm(d.row, d.a, d.b),
        aten.addmm(d.number, d.a, d.b, beta=0.5, alpha=2),
        aten.addmm(d.i, d.j, d.i.T @ d.j),
    ],
    "relu": lambda d: [aten.relu(d.x), aten.relu(d.i), aten.relu(d.number)],
    "batch_norm": lambda d: [
        aten._native_batch_norm_legit_no_training(d.x, row(3, 1), row(3, 2), row(3, 0), row(3, 3), 0.1, 1e-5)[0],
        aten._native_batch_norm_legit_no_training(d.x[0, 0], None, None, row(5, 0), row(5, 2), 0.1, 1e-3)[0],
    ],
    "clone": lambda d: [
        aten.clone(d.x),
        aten.clone(d.p),
        aten.clone(d.c),
        aten.clone(d.x.mT, memory_format=torch.contiguous_format),
    ],
    "avg_pool2d": lambda d: [
        *(aten.avg_pool2d(d.image, [2, 2]), aten.avg_pool2d(d.image, [3, 2], [2, 1], [1, 0], True, False)),
        *(
            aten.avg_pool2d(d.image[0], [3, 3], [2, 2], [1, 1], False, True),
            aten.avg_pool2d(d.image, [3, 3], [2, 2], [0, 0], False, True, 5),
        ),
    ],
    "max_pool2d_with_indices": lambda d: [
        *aten.max_pool2d_with_indices(d.image, [3, 2], [2, 2], [1, 1]),
        *aten.max_pool2d_with_indices(d.image[0], [2, 2], [1, 1], [0, 0], [2, 2]),
        *aten.max_pool2d_with_indices(d.image, [3, 3], [2, 2], [0, 0], [1, 1], True),
    ],
    "cat": lambda d: [
        aten.cat([d.x, d.y, d.x[:, :1]], 1),
        aten.cat([d.i, d.j], -1),
        aten.cat([d.c, d.c]),
        aten.cat([d.p, d.p], 3),
        aten.cat([d.i, d.half]),
    ],
    "mul.Tensor": pairs(torch.mul),
    "unsqueeze": lambda d: [aten.unsqueeze(d.x, 0), aten.unsqueeze(d.i, -1), aten.unsqueeze(d.number, 0)],
    "mean.dim": lambda d: [
        aten.mean.dim(d.x, [1, 3]),
        aten.mean.dim(d.x, [-1], True),
        aten.mean.dim(d.c, [0]),
        aten.mean.dim(d.x, None),
    ],
    "softmax": lambda d: [aten._softmax(d.x, 1, False), aten._softmax(d.x * 30, -1, False), aten._softmax(d.row, 0, False)],
    "where": lambda d: [
        aten.where(d.p, d.x, d.y),
        aten.where(d.x > 0, d.x, d.row),
        aten.where(d.i > 2, d.i, d.j),
        aten.where(d.i > 0, d.half, d.j),
    ],
    "expand": lambda d: [
        aten.expand(d.row, [2, 3, 5]),
        aten.expand(d.x[:, :1], [-1, 6, -1, -1]),
        aten.expand(d.i[:, None], [3, 2, 4]) + 1,
    ],
    "slice": lambda d: [
        aten.slice(d.x, 3, 1, 5, 2),
        aten.slice(d.x, 1, -2, 99),
        aten.slice(d.i, 0, 1),
        aten.slice(d.c, 1, 0, 7, 3),
    ],
    "bmm": lambda d: [aten.bmm(d.x[0], d.y[0].mT), aten.bmm(d.i[None], d.j.T[None]), aten.bmm(d.c[None], d.c.T[None])],
    "arange": lambda d: [torch.arange(5) + d.i[0, 0], torch.arange(1, 3, 0.5) * d.number, torch.arange(9, 1, -2) - d.i[0, 0]],
    "layer_norm": lambda d: [
        aten.native_layer_norm(d.x, [5], d.row, d.row * 2, 1e-5)[0],
        aten.native_layer_norm(d.x, [4, 5], None, None, 1e-3)[0],
        aten.layer_norm(d.a, [6]),
    ],
    "mul.Scalar": lambda d: [
        aten.mul.Scalar(d.x, 2.5),
        aten.mul.Scalar(d.i, 3),
        aten.mul.Scalar(d.c, 2.0),
        aten.mul.Scalar(d.i, 0.5),
        aten.mul.Scalar(d.half, 2),
    ],
    "eq.Scalar": compared(aten.eq.Scalar),
    "logical_not": lambda d: [aten.logical_not(d.p), aten.logical_not(d.i), aten.logical_not(d.x)],
    "any.dim": lambda d: [aten.any.dim(d.p, 1), aten.any.dim(d.i > 8, -1, True), aten.any.dim(d.x > 2, 0), aten.any.dim(d.i, 0)],
    "full_like": lambda d: [
        aten.full_like(d.x, 2.5) + d.x,
        aten.full_like(d.i, 3) * d.i,
        aten.full_like(d.x, True, dtype=torch.bool) & d.p,
    ],
    "gelu": lambda d: [*floats(aten.gelu)(d), aten.gelu(d.x, approximate="tanh")],
    "scalar_tensor": lambda d: [aten.scalar_tensor(2.5) + d.x, aten.scalar_tensor(3, dtype=torch.int64) * d.i],
    "sigmoid": lambda d: [*floats(aten.sigmoid)(d), aten.sigmoid(d.i)],
    "select": lambda d: [aten.select(d.x, 1, -1), aten.select(d.i, 0, 2), aten.select(d.c, 1, 3), aten.select(d.row, 0, 0)],
    "sub": lambda d: [*pairs(torch.sub)(d), torch.sub(d.x, d.y, alpha=3), torch.sub(d.i, d.j, alpha=-2), d.c - d.c[0]],
    "ge.Scalar": compared(aten.ge.Scalar),
    "assert_metadata": asserted,
    "div": lambda d: [*pairs(torch.div)(d), d.c / d.c[1], d.x / 3],
    "upsample_bilinear": lambda d: [
        *(aten.upsample_bilinear2d(d.image, [13, 5], False), aten.upsample_bilinear2d(d.image, [4, 16], True)),
        aten.upsample_bilinear2d.vec(d.image, None, False, [2.0, 1.5]),
    ],
    "squeeze": lambda d: [aten.squeeze(d.x[:, :1], [1]), aten.squeeze.dims(d.x[:1, :, :1], [0, 2, 3]), aten.squeeze(d.i[:1])],
    "full": lambda d: [torch.full((2, 1), 1.5) * d.row, torch.full((4,), 7) + d.i, torch.full((4, 5), True) & d.p],
    "index": lambda d: [
        d.x[:, d.places],
        d.i[d.places, d.places],
        d.x[d.places % 2, :, d.places],
        d.c[:, d.places - 3],
        d.row[d.places[:, None]],
    ],
    "pad": lambda d: [
        aten.constant_pad_nd(d.x, [1, 2, 0, 3], 0.5),
        aten.constant_pad_nd(d.x, [-1, 1]),
        aten.constant_pad_nd(d.i, [1, 0, 2, 0], 7),
        aten.constant_pad_nd(d.p, [1, 1], True),
    ],
    "to_copy": lambda d: [
        *(
            aten._to_copy(d.x * 9, dtype=dtype)
            for dtype in (torch.int64, torch.bool, torch.float64, torch.complex64, torch.float16)
        ),
        *(aten._to_copy(d.i * 50, dtype=dtype) for dtype in (torch.float32, torch.uint8, torch.int8, torch.bool, torch.int32)),
        *(aten._to_copy(d.p, dtype=dtype) for dtype in (torch.float32, torch.int64, torch.uint8)),
    ],
    "embedding": lambda d: [aten.embedding(d.a, d.places), aten.embedding(d.b, d.j % 6), aten.embedding(d.b, d.places[:1])],
    "pow": lambda d: [
        *(d.x**n for n in (2, 3, 0, -1)),
        (d.x.abs() + 0.1) ** 0.5,
        d.i**2,
        (d.x.abs() + 0.1) ** d.y,
        d.i ** d.places[0],
    ],
    "hardtanh": lambda d: [aten.hardtanh(d.x), aten.hardtanh(d.x, -0.25, 0.75), aten.hardtanh(d.row, 0.0, 6.0)],
    "split_with_sizes": lambda d: [
        *aten.split_with_sizes(d.x, [1, 3], 2),
        *aten.split_with_sizes(d.i, [2, 1], 0),
        *aten.split_with_sizes(d.row, [4, 1]),
    ],
    "mm": lambda d: [aten.mm(d.a, d.b), aten.mm(d.b.T, d.a.T), aten.mm(d.i, d.j.T), aten.mm(d.c, d.c.T), aten.mm(d.a[:1], d.b)],
    "tanh": floats(aten.tanh),
    "gt": lambda d: [*compared(aten.gt.Scalar)(d), d.x > d.row, d.i > d.j, d.half > d.j],
    "eq.Tensor": lambda d: [*pairs(torch.eq)(d), d.p == d.p[:1], d.c == d.c[:1]],
    "ne": lambda d: [*pairs(torch.ne)(d), *compared(aten.ne.Scalar)(d)],
    "group_norm": lambda d: [
        aten.native_group_norm(d.image, d.row[:4], d.row[1:], 2, 4, 72, 2, 1e-5)[0],
        aten.native_group_norm(d.image, None, None, 2, 4, 72, 4, 1e-3)[0],
        nn.functional.group_norm(d.x[:, :, 0], 1, d.row[:3]),
    ],
    "vector_norm": lambda d: [
        *(torch.linalg.vector_norm(d.x, order, 1) for order in (0, 1, 2, 3, float("inf"))),
        torch.linalg.vector_norm(d.x),
        torch.linalg.vector_norm(d.c, 2, 1, True),
    ],
    "cumsum": lambda d: [aten.cumsum(d.x, 1), aten.cumsum(d.x, -1), aten.cumsum(d.i, 0), aten.cumsum(d.p, 3)],
    "bitwise_and": lambda d: [aten.bitwise_and(d.i, d.j), aten.bitwise_and(d.p, d.x > 0.5), aten.bitwise_and(d.i, 6)],
    "abs": lambda d: [*floats(aten.abs)(d), aten.abs(d.i), aten.abs(d.c)],
    "clamp": lambda d: [
        aten.clamp(d.x, -0.5, 0.5),
        aten.clamp(d.x, min=0.25),
        aten.clamp(d.i, max=3),
        aten.clamp(d.x, d.y, d.y + 0.5),
        aten.clamp(d.i, -2, 2),
    ],
    "nearest": lambda d: [aten.upsample_nearest2d(d.image, [13, 5]), aten.upsample_nearest2d.vec(d.image, None, [2.0, 2.0])],
    "sum": lambda d: [
        aten.sum.dim_IntList(d.x, [0, 2]),
        aten.sum.dim_IntList(d.i, [1], True),
        aten.sum(d.x),
        aten.sum.dim_IntList(d.p, [1]),
        aten.sum(d.c),
    ],
    "max.dim": lambda d: [*aten.max.dim(d.x, 1), *aten.max.dim(d.i, 0, True), *aten.max.dim(d.row, 0)],
    "fmod": lambda d: [aten.fmod(d.x, 0.75), aten.fmod(d.i, 4), aten.fmod(d.x, d.y), aten.fmod(d.i, d.j)],
    "gather": lambda d: [aten.gather(d.i, 1, d.j % 4), aten.gather(d.a, 0, d.j % 4), aten.gather(d.row, 0, d.places)],
    "rsqrt": floats(aten.rsqrt, positive=True),
    "sin": floats(lambda x: aten.sin(x * 20)),
    "cos": floats(lambda x: aten.cos(x * 20)),
    "le": lambda d: [*compared(aten.le.Scalar)(d), d.x <= d.row, d.i <= d.j],
    "alias": lambda d: [aten.alias(d.x), aten.alias(d.i) + 1],
    "fft_r2c": lambda d: [
        *(aten._fft_r2c(d.image, [3], 0, True), aten._fft_r2c(d.image, [2], 0, True), aten._fft_r2c(d.image, [2, 3], 1, True)),
        *(aten._fft_r2c(d.a, [1], 2, False), aten._fft_r2c(d.row, [0], 0, True)),
    ],
    "fft_c2c": lambda d: [
        aten._fft_c2c(d.c, [1], 0, True),
        aten._fft_c2c(d.c, [0, 1], 1, False),
        aten._fft_c2c(d.c[:, :5], [1], 2, False),
    ],
    "conj": lambda d: [aten.conj_physical(d.c), d.c.conj() * d.c[0], aten.conj_physical(d.x)],
    "avg_pool3d": lambda d: [
        aten.avg_pool3d(d.volume, [2, 2, 2]),
        aten.avg_pool3d(d.volume, [2, 3, 3], [1, 2, 2], [1, 1, 0], False, False),
    ],
    "leaky_relu": lambda d: [*floats(aten.leaky_relu)(d), aten.leaky_relu(d.x, 0.3)],
    "adaptive_avg": lambda d: [
        aten._adaptive_avg_pool2d(d.image, [3, 5]),
        aten._adaptive_avg_pool2d(d.image, [1, 1]),
        aten._adaptive_avg_pool2d(d.x[0], [2, 2]),
    ],
    "topk": lambda d: [*aten.topk(d.x, 2), *aten.topk(d.x, 1, 1, False), aten.topk(d.i, 2, 0)[0]],
    "elu": lambda d: [*floats(aten.elu)(d), aten.elu(d.x, 0.7, 1.2, 0.9)],
    "index_put": written,
    "sym_size": lambda d: [d.x * d.x.size(2), torch.zeros(d.i.shape[0]) + d.x[:, :, 0, :1]],
    "index_select": lambda d: [
        aten.index_select(d.x, 1, d.places),
        aten.index_select(d.i, 1, d.places),
        aten.index_select(d.row, 0, d.places),
    ],
    "as_strided": lambda d: [
        aten.as_strided(d.x, [3, 4], [7, 2], 5),
        aten.as_strided(d.row, [4, 2], [1, 1]),
        aten.as_strided(d.i, [4, 3], [1, 4]),
    ],
    "floor": lambda d: [*floats(aten.floor)(d), aten.floor(d.i)],
    "div_mode": lambda d: [
        torch.div(*values, rounding_mode=mode)
        for mode in ("floor", "trunc")
        for values in ((d.x, d.y), (d.i, d.j), (-d.i, 3), (d.x, 0.3))
    ],
    "pow.Scalar": lambda d: [aten.pow.Scalar(2.0, d.x), aten.pow.Scalar(0.5, d.row), aten.pow.Scalar(2, d.j)],
    "repeat": lambda d: [
        aten.repeat(d.row, [2, 3]),
        aten.repeat(d.x, [1, 2, 1, 3]),
        aten.repeat(d.i, [2, 1]),
        aten.repeat(d.p, [2, 1, 1, 1]),
    ],
    "neg": lambda d: [*floats(aten.neg)(d), aten.neg(d.i), aten.neg(d.c)],
    "log1p": floats(aten.log1p, positive=True),
    "log": floats(aten.log, positive=True),
    "unfold": lambda d: [aten.unfold(d.x, 3, 3, 1), aten.unfold(d.x, 2, 2, 2), aten.unfold(d.i, 1, 2, 1)],
    "argmax": lambda d: [aten.argmax(d.x), aten.argmax(d.x, 2), aten.argmax(d.row, 0, True), aten.argmax(d.x, -1, True)],
    "flip": lambda d: [aten.flip(d.x, [1, 3]), aten.flip(d.i, [0]), aten.flip(d.c, [-1]), aten.flip(d.row, [0])],
}
"""Each operation on some data."""


class Everything(nn.Module):
    """All entries."""

    def forward(self, *values: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        data = Data(*values)
        return {name: entry(data) for name, entry in ENTRIES.items()}


def test_every_needed_operation_has_an_entry() -> None:
    assert len(NEEDED) == len(set(NEEDED)) == 88
    assert set(ENTRIES) == set(NEEDED)


@pytest.fixture(scope="module")
def both(build: Path) -> tuple[dict[str, Results], dict[str, Results]]:
    """Results of the kernels and of PyTorch."""
    model, data = Everything().eval(), tuple(Data.make())
    compiled = compile(model, data, soc=build, mode="cpu", precision="float")
    with torch.no_grad():
        return compiled(*data), model(*data)


@pytest.mark.parametrize("name", NEEDED)
def test_operation(both: tuple[dict[str, Results], dict[str, Results]], name: str) -> None:
    found, expected = (results[name] for results in both)
    assert len(found) == len(expected) > 0
    for index, (value, reference) in enumerate(zip(found, expected, strict=True)):
        assert (value.dtype, value.shape) == (reference.dtype, reference.shape), index
        error = disagreement(value.resolve_conj().numpy(), reference)
        assert error <= (2e-3 if reference.dtype == torch.float16 else TOLERANCE), index
