"""Operations on dense tensors: converted, run by the CPU kernels and by the emulation, compared with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cosoc.runtime import Session
from tests.converter.dense_models import Runner


@pytest.fixture(scope="module")
def runner(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with Session(soc=build, mode="cpu", cpu_cores=1) as session:
        yield Runner(session, tmp_path_factory.mktemp("dense"))


def real(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normally distributed numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def whole(*shape: int, low: int = -9, high: int = 10, seed: int = 0) -> torch.Tensor:
    """Integers."""
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def complex_(*shape: int, seed: int = 0) -> torch.Tensor:
    """Complex numbers."""
    return torch.complex(real(*shape, seed=seed), real(*shape, seed=seed + 1))


FUNCTIONS = (
    "neg abs sign floor ceil trunc round exp exp2 expm1 sin cos tan atan sinh cosh tanh asinh erf erfc sigmoid relu isnan isinf "
    "logical_not square angle"
).split()


def test_functions_of_reals(runner: Runner) -> None:
    x = real(3, 5, 7) * 3
    x[0, 0] = torch.tensor([0.5, 1.5, -0.5, 0.0, -2.5, 2.5, 1e-30])
    runner.check(lambda x: [getattr(torch, name)(x) for name in FUNCTIONS], x)
    positive = ("log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "acosh")
    runner.check(lambda x: [getattr(torch, name)(x) for name in positive], x.abs() + 1)
    runner.check(lambda x: [torch.asin(x), torch.acos(x), torch.atanh(x)], x.clamp(-0.9, 0.9))


def test_activations(runner: Runner) -> None:
    layers = [
        *(nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(), nn.Softplus(2.0, 3.0), nn.ELU(0.7)),
        *(nn.SELU(), nn.CELU(1.3), nn.LeakyReLU(0.2), nn.Hardtanh(-0.5, 0.7), nn.ReLU6(), nn.Softsign(), nn.LogSigmoid()),
        *(nn.Tanhshrink(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.1, 2.0), nn.PReLU(5)),
    ]
    runner.check(lambda x: [layer(x) for layer in layers], real(2, 5, 9) * 4)


@pytest.mark.parametrize("shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((4, 1), (3, 1, 5)), ((), (2, 3)), ((2, 3, 4), (2, 1, 4))])
def test_functions_of_two(runner: Runner, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = real(*shapes[0]) * 3, real(*shapes[1], seed=1)
    operations = [
        torch.add,
        torch.sub,
        torch.mul,
        torch.div,
        torch.maximum,
        torch.minimum,
        torch.atan2,
        torch.fmod,
        torch.remainder,
    ]
    tests = [torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge, torch.logical_and, torch.logical_or, torch.logical_xor]
    runner.check(lambda a, b: [function(a, b) for function in (*operations, *tests)], a, b)
    runner.check(lambda a, b: [torch.div(a, b, rounding_mode=mode) for mode in ("floor", "trunc")], a, b)
    runner.check(lambda a, b: [torch.pow(a, b), a**2, a**0.5, 2.0**b, a + 2, 3 - b, a * 2.5, torch.add(a, b, alpha=3)], a.abs(), b)


def test_integers_bools_and_promotion(runner: Runner) -> None:
    a, b = whole(4, 6), whole(4, 6, low=1, seed=1)
    runner.check(lambda a, b: [a + b, a - b, a * b, a / b, a // b, a % b, torch.fmod(a, b), a & b, a | b, a ^ b, ~a, -a], a, b)
    runner.check(lambda a, b: [a.abs(), a**2, a == b, a < b, a + 0.5, a * 2, torch.clamp(a, -2, 3), a << 2, a >> 1, a.sign()], a, b)
    p, x = a > 0, real(4, 6)
    runner.check(lambda p, x: [p & (x > 0), p | (x > 0), ~p, p * x, p + 1, x.masked_fill(p, -1.0), torch.where(p, x, 0.0)], p, x)
    runner.check(lambda a, x: [a + x, torch.where(x > 0, a, 2), a.float() * x, x.long(), x.bool(), (x > 0).float()], a, x)
    runner.check(lambda a: [a.to(torch.int32) + 1, a.double() * 0.5, a.half() + 1], a.to(torch.int32))


def test_complex_numbers(runner: Runner) -> None:
    a, b = complex_(3, 5), complex_(3, 5, seed=7)
    runner.check(lambda a, b: [a + b, a - b, a * b, a / b, a.conj() * b, a.abs(), a.angle(), a.real, a.imag, -a, a * 2j], a, b)
    runner.check(lambda a, b: [a.exp(), a.log(), a.sqrt(), 1 / a, a == b, a @ b.mT, torch.complex(a.real, b.imag)], a, b)


def test_views(runner: Runner) -> None:
    x = real(2, 3, 4, 5)
    runner.check(
        lambda x: [
            *(x.reshape(6, 20), x.permute(3, 1, 0, 2), x.transpose(1, 3), x[:, 1], x[:, :, 1:3, ::2], x.flatten(1), x.mT),
            *(x.unsqueeze(2).expand(-1, -1, 4, -1, -1), x[:, :1].squeeze(1), x.flip(1, 3), x.repeat(2, 1, 1, 2), x.unfold(3, 3, 1)),
            *(x.permute(0, 2, 3, 1).reshape(2, 20, 3)[:, ::3], torch.roll(x, (1, -2), (1, 3)), torch.roll(x, 3), x.movedim(1, -1)),
            *x.split(2, 1),
            *x.unbind(0),
            *(
                torch.cat([x, x[:, :1] * 2], 1),
                torch.stack([x, x + 1], 2),
                x.diagonal(dim1=2, dim2=3),
                x.as_strided((3, 2), (5, 1), 7),
            ),
        ],
        x,
    )
    runner.check(lambda x: [functional.pad(x, (1, 2, 0, 3)), functional.pad(x, (-1, 2)), functional.pad(x, (1, 1), value=7.0)], x)
    runner.check(lambda x: [functional.pad(x, (2, 1, 1, 0), mode=mode) for mode in ("reflect", "replicate", "circular")], x)
    runner.check(lambda x: (x, x, x[0]), x)


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 7), (7, 3)),
        ((1, 40), (40, 9)),
        ((2, 3, 5, 7), (7, 4)),
        ((2, 1, 5, 7), (3, 7, 4)),
        ((7,), (7,)),
        ((6, 7), (7,)),
        ((7,), (7, 2)),
    ],
)
def test_matrix_products(runner: Runner, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    runner.check(torch.matmul, real(*shapes[0]), real(*shapes[1], seed=1))
    runner.check(torch.matmul, whole(*shapes[0]), whole(*shapes[1], seed=1))


def test_linear_layers(runner: Runner) -> None:
    runner.check(nn.Linear(37, 50), real(13, 37))
    runner.check(nn.Sequential(nn.Linear(37, 20), nn.ReLU(), nn.Linear(20, 3, bias=False)), real(2, 4, 37))
    a, b, c = real(300, 270), real(270, 33, seed=1), real(300, 33, seed=2)
    runner.check(lambda a, b, c: [torch.addmm(c, a, b, alpha=2, beta=0.5), torch.addmm(c[0], a, b), (a.T @ a).T], a, b, c)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv1d": (lambda: nn.Conv1d(3, 5, 4, 2, 1), (2, 3, 17)),
    "conv2d": (lambda: nn.Conv2d(3, 8, (3, 5), (2, 1), (1, 2)), (2, 3, 13, 17)),
    "conv2d groups": (lambda: nn.Conv2d(6, 8, 3, groups=2, dilation=2), (1, 6, 11, 9)),
    "conv2d depthwise": (lambda: nn.Conv2d(6, 12, 3, 2, 1, groups=6, bias=False), (2, 6, 11, 9)),
    "conv2d pointwise": (lambda: nn.Conv2d(16, 24, 1), (2, 16, 7, 7)),
    "conv2d same": (lambda: nn.Conv2d(3, 4, (4, 3), padding="same"), (1, 3, 8, 9)),
    "conv2d wide": (lambda: nn.Conv2d(64, 32, 3, padding=1), (1, 64, 40, 40)),
    "conv2d without batch": (lambda: nn.Conv2d(3, 4, 3), (3, 8, 9)),
    "conv3d": (lambda: nn.Conv3d(2, 4, (2, 3, 3), padding=1), (1, 2, 5, 6, 7)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 3, 4, 2, 1), (2, 4, 9)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), (2, 4, 5, 6)),
    "transposed dilated": (lambda: nn.ConvTranspose2d(4, 3, 3, 3, 0, dilation=2, bias=False), (1, 4, 5, 4)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), (1, 2, 3, 4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_convolutions(runner: Runner, name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    runner.check(make(), real(*shape))
