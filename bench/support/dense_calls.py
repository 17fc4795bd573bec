"""A representative call of every kernel on dense tensors: what PyTorch runs, and on what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

Call = tuple[Callable[..., object], tuple[torch.Tensor, ...]]

UNARY = (
    "neg abs sign floor ceil trunc round exp exp2 expm1 sqrt rsqrt reciprocal sin cos tan atan sinh cosh tanh asinh erf erfc "
    "sigmoid relu isnan isinf logical_not"
).split()
POSITIVE = "log log1p log2 log10".split()
UNIT = "asin acos atanh".split()
ACTIVATIONS = "gelu silu mish hardswish hardsigmoid softplus elu leaky_relu".split()
BINARY = "add sub mul div maximum minimum fmod remainder floor_divide pow atan2 eq lt logical_and".split()


class Apply(nn.Module):
    """A function of tensors as a model."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(*inputs)


def seeded(*shape: int) -> torch.Tensor:
    """Normally distributed values, the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def convolution(
    channels: int, wider: int, size: int, kernel: int, stride: int = 1, groups: int = 1, transposed: bool = False
) -> Call:
    """A convolution with constant weights."""
    shape = (channels, wider // groups) if transposed else (wider, channels // groups)
    weight, bias = seeded(*shape, kernel, kernel), seeded(wider)
    function = functional.conv_transpose2d if transposed else functional.conv2d
    padding = (kernel - 1) // 2

    def run(x: torch.Tensor) -> torch.Tensor:
        return function(x, weight, bias, stride=stride, padding=padding, groups=groups)

    return run, (seeded(1, channels, size, size),)


def linear(rows: int, inputs: int, outputs: int) -> Call:
    """A linear layer with constant weights."""
    weight, bias = seeded(outputs, inputs), seeded(outputs)
    return lambda x: functional.linear(x, weight, bias), (seeded(rows, inputs),)


def recurrent(kind: type[torch.nn.Module]) -> Call:
    """A recurrent layer."""
    torch.manual_seed(0)
    return kind(64, 128), (seeded(50, 1, 64),)


def calls() -> dict[str, Call]:
    """Every call, by name."""
    x = seeded(1, 64, 56, 56)
    positions = torch.randint(0, 512, (4096,), generator=torch.Generator().manual_seed(0))
    table = seeded(512, 64)
    found: dict[str, Call] = {f"unary.{name}": (getattr(torch, name), (x,)) for name in UNARY}
    found |= {f"unary.{name}": (getattr(torch, name), (x.abs() + 0.1,)) for name in POSITIVE}
    found |= {f"unary.{name}": (getattr(torch, name), (x.clamp(-0.9, 0.9),)) for name in UNIT}
    found |= {f"unary.{name}": (getattr(functional, name), (x,)) for name in ACTIVATIONS}
    found["unary.gelu_tanh"] = (partial(functional.gelu, approximate="tanh"), (x,))
    found["unary.clamp"] = (lambda v: torch.clamp(v, 0.0, 6.0), (x,))
    found |= {f"binary.{name}": (getattr(torch, name), (x.abs() + 0.1, x.flip(3).abs() + 0.1)) for name in BINARY}
    found["binary.add_row"] = (torch.add, (x, seeded(64, 1, 1)))
    found |= {
        "convolution.3x3": convolution(64, 64, 56, 3),
        "convolution.3x3_small": convolution(512, 512, 7, 3),
        "convolution.3x3_stride2": convolution(64, 128, 56, 3, 2),
        "convolution.7x7_stride2": convolution(3, 64, 224, 7, 2),
        "convolution.1x1": convolution(96, 24, 56, 1),
        "convolution.depthwise": convolution(144, 144, 56, 3, groups=144),
        "convolution.depthwise_stride2": convolution(144, 144, 56, 3, 2, groups=144),
        "convolution.grouped": convolution(128, 128, 28, 3, groups=32),
        "convolution.transposed": convolution(64, 32, 28, 2, 2, transposed=True),
        "matmul.linear": linear(128, 512, 512),
        "matmul.vector": linear(1, 1024, 1000),
        "matmul.batch": (torch.matmul, (seeded(8, 128, 64), seeded(8, 64, 128))),
        "attention": (functional.scaled_dot_product_attention, tuple(seeded(1, 8, 128, 64) for _ in range(3))),
        "lstm": recurrent(torch.nn.LSTM),
        "gru": recurrent(torch.nn.GRU),
        "softmax.last": (partial(torch.softmax, dim=-1), (seeded(8, 128, 128),)),
        "softmax.channels": (partial(torch.softmax, dim=1), (x,)),
        "softmax.log": (partial(torch.log_softmax, dim=-1), (seeded(128, 1000),)),
        "normalize.layer": (lambda v: functional.layer_norm(v, (512,)), (seeded(128, 512),)),
        "normalize.group": (lambda v: functional.group_norm(v, 8), (x,)),
        "pool.max": (lambda v: functional.max_pool2d(v, 3, 2, 1), (x,)),
        "pool.average": (lambda v: functional.avg_pool2d(v, 2), (x,)),
        "pool.adaptive": (lambda v: functional.adaptive_avg_pool2d(v, 7), (x,)),
        "resample.nearest": (lambda v: functional.interpolate(v, scale_factor=2.0), (seeded(1, 32, 28, 28),)),
        "resample.bilinear": (lambda v: functional.interpolate(v, scale_factor=2.0, mode="bilinear"), (seeded(1, 32, 28, 28),)),
        "reduce.sum_last": (partial(torch.sum, dim=-1), (x,)),
        "reduce.mean_spatial": (partial(torch.mean, dim=(2, 3)), (x,)),
        "reduce.max_channels": (partial(torch.amax, dim=1), (x,)),
        "reduce.argmax": (partial(torch.argmax, dim=-1), (seeded(128, 1000),)),
        "cumulate.sum": (partial(torch.cumsum, dim=-1), (x,)),
        "sort": (partial(torch.sort, dim=-1), (seeded(64, 1000),)),
        "sort.topk": (partial(torch.topk, k=5), (seeded(128, 1000),)),
        "binary.logical_and_bool": (torch.logical_and, (x > 0, x.flip(3) > 0)),
        "binary.square_root": (lambda v: v**0.5, (x.abs(),)),
        "binary.cube": (lambda v: v**3, (x,)),
        "take": (lambda i: torch.index_select(table, 0, i), (positions,)),
        "gather": (lambda v, i: torch.gather(v, 1, i), (seeded(64, 512), positions.reshape(64, 64))),
        "scatter": (lambda v, i, s: torch.scatter(v, 1, i, s), (seeded(64, 512), positions.reshape(64, 64), seeded(64, 64))),
        "put": (lambda v, i, s: v.index_put((i,), s, accumulate=True), (seeded(512, 64), positions, seeded(4096, 64))),
        "where": (lambda a, b: torch.where(a > b, a, b), (x, x.flip(3))),
        "binary.prelu": (nn.PReLU(64), (x,)),
        "cast": (lambda v: v.to(torch.int64), (x,)),
        "strided.permute": (lambda v: v.permute(0, 2, 3, 1).contiguous(), (x,)),
        "strided.slice": (lambda v: v[:, :, ::2, ::2].contiguous(), (x,)),
        "concatenate": (lambda a, b: torch.cat([a, b], 1), (x, x.flip(3))),
        "pad": (lambda v: functional.pad(v, (1, 1, 1, 1)), (x,)),
        "pad.reflect": (lambda v: functional.pad(v, (1, 1, 1, 1), mode="reflect"), (x,)),
    }
    return found
