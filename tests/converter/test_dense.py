"""Operations on dense tensors: converted, run by the CPU kernels and by the emulation, compared with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cosoc.converter import convert, dense
from cosoc.converter.compare import disagreement
from cosoc.runtime import CosocError, Session
from tests.converter.dense_models import TOLERANCE, Runner


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


@pytest.mark.parametrize("shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((4, 1), (3, 1, 300)), ((), (2, 3)), ((2, 3, 4), (2, 1, 4))])
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
    runner.check(
        lambda a, b: [
            torch.pow(a, b),
            a**2,
            a**0.5,
            a**3,
            a**-1,
            a**-0.5,
            a**1.7,
            2.0**b,
            a + 2,
            3 - b,
            a * 2.5,
            torch.add(a, b, alpha=3),
        ],
        a.abs(),
        b,
    )


def test_integers_bools_and_promotion(runner: Runner) -> None:
    a, b = whole(4, 6), whole(4, 6, low=1, seed=1)
    runner.check(lambda a, b: [a + b, a - b, a * b, a / b, a // b, a % b, torch.fmod(a, b), a & b, a | b, a ^ b, ~a, -a], a, b)
    runner.check(lambda a, b: [a.abs(), a**2, a == b, a < b, a + 0.5, a * 2, torch.clamp(a, -2, 3), a << 2, a >> 1, a.sign()], a, b)
    p, x = a > 0, real(4, 6)
    runner.check(lambda p, x: [torch.logical_and(p, x > 0), torch.logical_or(p, x > 0), torch.logical_xor(p, x > 0)], p, x)
    runner.check(lambda p, x: [p & (x > 0), p | (x > 0), ~p, p * x, p + 1, x.masked_fill(p, -1.0), torch.where(p, x, 0.0)], p, x)
    runner.check(lambda a, x: [a + x, torch.where(x > 0, a, 2), a.float() * x, x.long(), x.bool(), (x > 0).float()], a, x)
    runner.check(lambda a: [a.to(torch.int32) + 1, a.double() * 0.5, a.half() + 1], a.to(torch.int32))


def test_complex_numbers(runner: Runner) -> None:
    a, b = complex_(3, 5), complex_(3, 5, seed=7)
    runner.check(lambda a, b: [a + b, a - b, a * b, a / b, a.conj() * b, a.abs(), a.angle(), a.real, a.imag, -a, a * 2j], a, b)
    runner.check(lambda a, b: [a.exp(), a.log(), a.sqrt(), 1 / a, a == b, a @ b.mT, torch.complex(a.real, b.imag)], a, b)
    runner.check(lambda a, b: [torch.vdot(a[0], b[0]), torch.dot(a[0], b[0]), torch.polar(a.real, b.real), a.sgn()], a, b)


def test_complex_numbers_as_truth_values(runner: Runner) -> None:
    """One is true where any of its parts is not zero."""
    z = torch.complex(whole(3, 9, low=0, high=2).float(), whole(3, 9, low=0, high=2, seed=1).float())
    runner.check(lambda z: [z.bool(), torch.logical_and(z, z.real), torch.logical_xor(z, z * 1j), torch.logical_or(z, z[:1])], z)


COMPLEX_FUNCTIONS = (
    "exp exp2 expm1 log log1p log2 log10 sqrt rsqrt reciprocal square sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "sigmoid neg abs angle sgn isnan isinf isfinite logical_not conj_physical"
).split()


def test_functions_of_complex_numbers(runner: Runner) -> None:
    """All that PyTorch has, also where numbers are real, imaginary or zero."""
    z = complex_(6, 7)
    z[0] = torch.tensor([0, 1, -0.5, 0.5j, -2j, 1 + 1j, 1e-3 - 2j])
    runner.check(lambda z: [getattr(torch, name)(z) for name in COMPLEX_FUNCTIONS if "log" not in name and name[0] != "r"], z)
    runner.check(lambda z: [getattr(torch, name)(z) for name in COMPLEX_FUNCTIONS] + [functional.silu(z)], z[1:])


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
    runner.check(lambda x: (x, x[0]), x)


PADS = [
    *((0, 0), (1, 2), (-1, 2), (3, -1), (-2, -1), (0, 0, 2, 1), (0, 0, -1, 0), (1, 2, 0, 3), (-1, 2, 3, -2)),
    *((0, 0, 0, 0, 1, 2), (0, 1, 0, 0, 2, 0), (0, 0, 0, 0, 0, 0, 1, 1), (1, 2, 3, 4, 5, 6, 7, 8), (-1, 1, 1, -1, -1, 1, 1, -1)),
]
"""Constant padding, from the last axis on: none, on both sides, negative, of outer axes only, of all."""


def test_padding(runner: Runner) -> None:
    for x in (real(2, 3, 4, 5), whole(2, 3, 4, 5), complex_(2, 3, 4, 5), real(2, 3, 4, 5) > 0):
        runner.check(lambda x: [functional.pad(x, pad) for pad in PADS], x, tolerance=0.0)
    runner.check(lambda x: [functional.pad(x, pad, value=7.0) for pad in PADS], real(2, 3, 4, 5), tolerance=0.0)
    continued = [((0, 0), 3), ((2, 1), 3), ((2, 1, 1, 0), 4), ((4, 4, 3, 3), 4), ((0, 0, 2, 1), 4), ((2, 1, 0, 3, 1, 1), 5)]
    for pad, rank in continued:
        x = real(*(3, 2, 4, 4, 5)[5 - rank :])
        for mode in ("reflect", "replicate", "circular"):
            runner.check(lambda x, pad=pad, mode=mode: functional.pad(x, pad, mode=mode), x, tolerance=0.0)
    far = (9, 0, 0, 7)
    runner.check(lambda x: [functional.pad(x, far, mode="replicate"), functional.pad(x, (5, 5), mode="circular")], real(3, 4, 5))


def test_slopes_for_numbers_below_zero(runner: Runner) -> None:
    x = real(2, 5, 3, 4)
    x[0, 0, 0] = torch.tensor([0.0, -0.0, 1e-30, -1e-30])
    slopes = nn.PReLU(5)
    slopes.weight.data = torch.tensor([0.25, -1.0, 0.0, 2.0, 1e-3])
    bundle = runner.check(slopes, x, tolerance=0.0)
    assert [node.op for node in bundle.graph.nodes] == ["binary"]
    runner.check(nn.PReLU(), x, tolerance=0.0)


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


def test_what_is_written_with_other_operations(runner: Runner) -> None:
    a, b, c = real(2, 5, 3), real(2, 4, 3, seed=1), real(2, 3, 6, seed=2)
    runner.check(lambda a, b: [torch.cdist(a, b, p) for p in (1.0, 2.0, 3.0, float("inf"))], a, b)
    runner.check(nn.Bilinear(3, 6, 4), a[:, 0], c[:, 0])
    runner.check(lambda m, a, c: [torch.addbmm(m, a, c), torch.addbmm(m, a, c, beta=0.5, alpha=2)], real(5, 6), a, c)
    runner.check(lambda a: [a.median(), a[:, :4].median()], a)
    runner.check(
        lambda a, b: [torch.fmax(a, torch.log(b)), torch.fmin(torch.log(a), b), torch.fmax(torch.log(a), torch.log(b))], a, a * 2
    )


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
    "conv2d each channel alone": (lambda: nn.Conv2d(6, 6, (3, 5), padding=(1, 3), dilation=(1, 2), groups=6), (2, 6, 11, 19)),
    "conv2d strides": (lambda: nn.Conv2d(6, 6, 5, (2, 3), 2, groups=6), (1, 6, 12, 23)),
    "conv2d deep": (lambda: nn.Conv2d(40, 7, 3, 2, 1), (1, 40, 37, 36)),
    "conv2d pointwise": (lambda: nn.Conv2d(16, 24, 1), (2, 16, 7, 7)),
    "conv2d pointwise, no whole panel": (lambda: nn.Conv2d(300, 19, 1), (2, 300, 3, 5)),
    "conv2d pointwise, many pixels": (lambda: nn.Conv2d(5, 13, 1, bias=False), (2, 5, 18, 31)),
    "conv2d pointwise strided": (lambda: nn.Conv2d(17, 33, 1, 2, groups=1), (2, 17, 15, 14)),
    "conv2d pointwise groups": (lambda: nn.Conv2d(36, 54, 1, groups=3), (2, 36, 7, 7)),
    "conv2d depthwise wide": (lambda: nn.Conv2d(5, 5, 3, padding=1, groups=5), (3, 5, 9, 29)),
    "conv2d depthwise strided": (lambda: nn.Conv2d(7, 14, 5, 2, 2, groups=7), (2, 7, 14, 35)),
    "conv2d depthwise of one pixel": (lambda: nn.Conv2d(9, 9, 3, 2, 1, groups=9), (2, 9, 1, 2)),
    "conv2d wide rows": (lambda: nn.Conv2d(18, 20, (2, 3), (1, 2), (0, 1)), (2, 18, 4, 601)),
    "conv2d few channels": (lambda: nn.Conv2d(12, 20, (3, 5), (2, 1), (1, 3), dilation=(1, 2), groups=4), (2, 12, 21, 19)),
    "conv2d strided columns": (lambda: nn.Conv2d(16, 8, 4, (1, 3), 2), (1, 16, 7, 50)),
    "conv2d same": (lambda: nn.Conv2d(3, 4, (4, 3), padding="same"), (1, 3, 8, 9)),
    "conv2d wide": (lambda: nn.Conv2d(64, 32, 3, padding=1), (1, 64, 40, 40)),
    "conv2d without batch": (lambda: nn.Conv2d(3, 4, 3), (3, 8, 9)),
    "conv3d deep": (lambda: nn.Conv3d(20, 9, 3, (1, 2, 2), 1), (2, 20, 4, 7, 9)),
    "conv3d": (lambda: nn.Conv3d(2, 4, (2, 3, 3), padding=1), (1, 2, 5, 6, 7)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 3, 4, 2, 1), (2, 4, 9)),
    "conv3d few channels": (lambda: nn.Conv3d(6, 8, (2, 3, 2), (1, 2, 1), 1, groups=2, bias=False), (2, 6, 5, 13, 7)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), (2, 4, 5, 6)),
    "transposed dilated": (lambda: nn.ConvTranspose2d(4, 3, 3, 3, 0, dilation=2, bias=False), (1, 4, 5, 4)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), (1, 2, 3, 4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_convolutions(runner: Runner, name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    runner.check(make(), real(*shape))


def test_convolutions_of_complex_numbers(runner: Runner) -> None:
    torch.manual_seed(0)
    kinds = {"dtype": torch.complex64}
    runner.check(nn.Conv1d(4, 6, 3, groups=2, padding="same", **kinds), complex_(2, 4, 9))  # type: ignore[arg-type]
    runner.check(nn.Conv2d(2, 3, 3, 2, 1, bias=False, **kinds), complex_(1, 2, 7, 6))  # type: ignore[arg-type]
    runner.check(nn.ConvTranspose2d(2, 3, 3, 2, 1, 1, **kinds), complex_(2, 3, 4))  # type: ignore[arg-type]


def test_complex_numbers_alone(runner: Runner) -> None:
    """Without an axis."""
    runner.check(lambda a, b: [a + b, a * b, a.conj() * b], complex_(), complex_(seed=5))


def test_reductions(runner: Runner) -> None:
    x = real(2, 3, 4, 5)
    runner.check(
        lambda x: [x.sum(), x.sum(1), x.mean((1, 3)), x.mean(2, keepdim=True), x.prod(1), x.amax((2, 3)), x.min(), x.max()], x
    )
    tests = [torch.any, torch.all, torch.sum]
    runner.check(lambda x: [*(test(x > 0) for test in tests), *(test(x > 0, 1) for test in tests), (x > 0).any(2, True)], x)
    runner.check(lambda x: [x.argmax(), x.argmin(2), x.argmax(1, keepdim=True), *x.max(1), *x.min(3, keepdim=True)], x)
    runner.check(
        lambda x: [x.var(1), x.std((2, 3)), x.var(0, correction=0), *torch.var_mean(x, (1, 2), keepdim=True), x.logsumexp(1)], x
    )
    orders = (0, 1, 2, 3.5, float("inf"), -float("inf"))
    runner.check(lambda x: [x.norm(), *(torch.linalg.vector_norm(x, order, dim=1) for order in orders)], x)
    runner.check(lambda x: [x.sum(0), x.prod(1), x.amax(1), x.argmin(0), x.cumsum(1), x.cumprod(0)], whole(3, 4))
    runner.check(lambda x: [x.sum(0), x.mean(), x.prod(1)], complex_(3, 4))
    runner.check(lambda x: [x.softmax(1), x.softmax(-1), functional.log_softmax(x, 2), x.cumsum(1), x.cumsum(-1), x.cumprod(2)], x)


def test_sorting(runner: Runner) -> None:
    x = real(4, 6, 5)
    runner.check(lambda x: [*x.sort(1), *x.topk(2, 2), *x.topk(3, 0, largest=False), x.argsort(1, descending=True)], x)
    runner.check(lambda x: [x.round().topk(3, 1)[0], *x.topk(1, 1), x.round().topk(2, 1, largest=False)[0]], real(5, 40) * 3)
    runner.check(lambda x: [*x.kthvalue(2, 1), *x.median(2), *x.sort(0, descending=True)], x)
    runner.check(lambda x: x.sort(stable=True, dim=0), whole(40, low=-3, high=3))


def test_normalizations(runner: Runner) -> None:
    x = real(2, 6, 4, 5) * 3 + 1
    running = nn.InstanceNorm2d(6, affine=True, track_running_stats=True)
    layers = [
        *(nn.LayerNorm((4, 5)), nn.LayerNorm(5, elementwise_affine=False), nn.LayerNorm(5, bias=False), nn.GroupNorm(2, 6)),
        *(nn.InstanceNorm2d(6, affine=True), running, nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False)),
    ]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in layers:
            for value in (*layer.parameters(), *layer.buffers()):
                if value.is_floating_point():
                    value.uniform_(0.5, 1.5, generator=generator)
    nn.ModuleList(layers).eval()
    runner.check(lambda x: [layer(x) for layer in layers], x)
    runner.check(nn.BatchNorm1d(6), real(3, 6))
    runner.check(nn.BatchNorm2d(6, track_running_stats=False), x)
    runner.check(nn.Sequential(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6)), real(2, 3, 9))


def test_pooling(runner: Runner) -> None:
    x = real(2, 3, 9, 8)
    pool, average = functional.max_pool2d, functional.avg_pool2d
    runner.check(lambda x: [pool(x, 2), pool(x, 3, 2, 1), pool(x, 3, 2, 1, ceil_mode=True), pool(x, 2, dilation=2)], x)
    runner.check(lambda x: pool(x, (3, 2), 2, 1, return_indices=True), x)
    runner.check(lambda x: [average(x, 2), average(x, 3, 2, 1), average(x, 3, 2, 1, True), average(x, 3, 2, 1, False, False)], x)
    runner.check(lambda x: [average(x, 3, 2, divisor_override=5), average(x, 3, 2, 1, True, False)], x)
    runner.check(lambda x: [functional.adaptive_avg_pool2d(x, (3, 5)), functional.adaptive_max_pool2d(x, (3, 2))], x)
    runner.check(lambda x: [functional.max_pool1d(x, 3, 2, 1), functional.avg_pool1d(x, 3, 2, 1)], real(2, 3, 11))
    runner.check(
        lambda x: [functional.max_pool3d(x, 2), functional.avg_pool3d(x, 2), functional.adaptive_avg_pool3d(x, 2)],
        real(1, 2, 5, 6, 7),
    )


def test_resampling(runner: Runner) -> None:
    x, resize = real(2, 3, 4, 5), functional.interpolate
    runner.check(lambda x: [resize(x, scale_factor=2), resize(x, size=(7, 9)), resize(x, size=(5, 7), mode="nearest-exact")], x)
    runner.check(
        lambda x: [resize(x, scale_factor=2, mode="bilinear"), resize(x, size=(7, 3), mode="bilinear", align_corners=True)], x
    )
    runner.check(lambda x: [resize(x, scale_factor=1.7, mode="bicubic"), resize(x[0], scale_factor=2.0, mode="linear")], x)
    runner.check(lambda x: resize(x, size=(3, 5, 7), mode="trilinear"), real(1, 2, 4, 4, 4))
    sample, places = functional.grid_sample, real(2, 3, 4, 2) * 0.8
    modes = [(mode, outside) for mode in ("bilinear", "nearest", "bicubic") for outside in ("zeros", "border", "reflection")]
    runner.check(lambda x, p: [sample(x, p, *mode, align_corners=False) for mode in modes], x, places)


def test_positions(runner: Runner) -> None:
    x, i = real(3, 3, 3, 3), torch.tensor([[0, 2, -1], [1, 0, 1]])
    runner.check(
        lambda x, i: [x[i], x[:, i], x[:, :, :, i], x[i, :, 0], x[i, i], x[:, i, i], x[i, :, i], x.index_select(2, i[1])], x, i
    )
    j = torch.tensor([[0, 1, 2], [2, 0, 1], [3, 0, 1]])
    runner.check(lambda x, j: [x.gather(1, j), x.scatter(1, j, x), x.scatter(1, j, 2.5), x.scatter_add(1, j, x)], real(3, 4), j)
    runner.check(nn.Embedding(10, 4), whole(2, 5, low=0, high=10))

    def write(x: torch.Tensor, k: torch.Tensor) -> list[torch.Tensor]:
        y, z, w, v = (x.clone() for _ in range(4))
        y[:, 1] = 0
        z[0, :, 1:3] = 5.0
        w[:, k] = x[:, :3] * 2
        v[x > 0] = 0
        return [y, z, w, v, x.index_add(1, k, x[:, :3], alpha=2), torch.ops.aten.index_put(x, [None, k], x[:, :3], True)]

    runner.check(write, real(2, 4, 5), torch.tensor([3, 1, 0]))


def test_attention(runner: Runner) -> None:
    q, k, v = real(2, 4, 7, 8), real(2, 4, 7, 8, seed=1), real(2, 4, 7, 5, seed=2)
    attention = functional.scaled_dot_product_attention
    runner.check(lambda q, k, v: [attention(q, k, v), attention(q, k, v, is_causal=True), attention(q, k, v, scale=0.3)], q, k, v)
    masks = (torch.ones(7, 7).tril().bool(), real(2, 1, 7, 7, seed=3))
    runner.check(lambda q, k, v: [attention(q, k, v, attn_mask=mask) for mask in masks], q, k, v)
    runner.check(lambda q, k, v: attention(q, k[:, :2], v[:, :2], enable_gqa=True), q, k, v)
    runner.check(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), real(2, 5, 8))


class Block(nn.Module):
    """Two convolutions, an addition and activations."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = functional.relu6(self.first(x) * 1.0)
        return functional.relu(x + self.second(functional.relu(self.first(y)))), y


@pytest.mark.parametrize(("channels", "groups"), [(24, 1), (24, 24), (5, 1)])
def test_additions_and_activations_become_part_of_convolutions(runner: Runner, channels: int, groups: int) -> None:
    bundle = runner.check(Block(channels, groups), real(2, channels, 9, 7))
    convolutions = [node.attributes for node in bundle.graph.nodes if node.op == "convolution"]
    assert [(c.get("low"), c.get("high"), c.get("residual")) for c in convolutions][-1] == (0.0, None, True)
    assert not any(node.op == "binary" and node.attributes["operation"] == "add" for node in bundle.graph.nodes)


class Inverted(nn.Module):
    """MobileNet's bottleneck, all of whose layers end in an addition and limits."""

    def __init__(self, channels: int, wider: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, wider, 1, groups=groups)
        self.depthwise = nn.Conv2d(wider, wider, kernel, padding=kernel // 2, groups=wider)
        self.project = nn.Conv2d(wider, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = functional.relu6(self.expand(x))
        wide = functional.hardtanh(wide + self.depthwise(wide), -0.3, 0.9)
        return functional.relu6(x + self.project(wide))


@pytest.mark.parametrize(("channels", "wider", "kernel", "groups"), [(16, 96, 3, 1), (10, 30, 5, 2), (300, 7, 3, 1)])
def test_pointwise_and_depthwise_layers_end_in_additions_and_limits(
    runner: Runner, channels: int, wider: int, kernel: int, groups: int
) -> None:
    torch.manual_seed(0)
    for size in ((7, 7), (5, 26), (17, 16)):
        bundle = runner.check(Inverted(channels, wider, kernel, groups), real(2, channels, *size))
        assert [node.op for node in bundle.graph.nodes] == ["convolution"] * 3


def test_convolutions_of_several_threads_at_once(build: Path, tmp_path: Path) -> None:
    """Prepared kernels keep nothing of a run."""
    torch.manual_seed(0)
    model = Inverted(24, 60, 3, 1).eval()
    inputs = [real(2, 24, 14, 14, seed=seed) for seed in range(8)]
    convert(model, inputs[0], precision="float").save(tmp_path / "model.bundle")
    with torch.no_grad():
        expected = [model(x) for x in inputs]
    with Session(soc=build, mode="cpu", cpu_cores=2) as session:
        models = [session.load(tmp_path / "model.bundle") for _ in range(2)]
        with ThreadPoolExecutor(4) as pool:
            runs = [(x, pool.submit(models[i % 2].run, [inputs[x].numpy()])) for i in range(4) for x in range(len(inputs))]
            for x, run in runs:
                assert disagreement(run.result()[0], expected[x]) <= TOLERANCE


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU])
def test_recurrent_layers(runner: Runner, make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    runner.check(make(4, 5, 2, bidirectional=True, batch_first=True), real(3, 7, 4))
    runner.check(make(4, 9, bias=False), real(7, 3, 4))
    states = (real(1, 3, 5), real(1, 3, 5, seed=1))
    layer = make(4, 5)
    runner.check(lambda x, *s: layer(x, s if make is nn.LSTM else s[0]), real(6, 3, 4), *states[: 2 if make is nn.LSTM else 1])


@pytest.mark.parametrize("bias", [True, False])
def test_projections_of_recurrent_layers(runner: Runner, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(4, 9, 2, bias=bias, bidirectional=True, batch_first=True, proj_size=3)
    runner.check(layer, real(3, 7, 4))
    states = real(4, 3, 3), real(4, 3, 9, seed=1)
    runner.check(lambda x, *s: layer(x, s), real(3, 7, 4), *states)


def test_fourier_transforms(runner: Runner) -> None:
    fft, c, x = torch.fft, complex_(4, 6, 8), real(3, 5, 8)
    runner.check(lambda c: [fft.fft(c), fft.ifft(c, dim=1), fft.fft2(c), fft.ifft2(c, norm="ortho"), fft.fft(c, norm="forward")], c)
    runner.check(lambda x: [fft.rfft(x), fft.rfft2(x), fft.irfft(fft.rfft(x)), fft.irfft2(fft.rfft2(x)), fft.fft(x)], x)
    runner.check(lambda x: [fft.irfft(fft.rfft(x, dim=1), n=4, dim=1), fft.irfft(fft.rfft(x), n=5), fft.fftshift(fft.fft(x))], x)
    window = torch.hann_window(16)
    runner.check(lambda x: [torch.stft(x, 16, 4, window=window, return_complex=True)], real(2, 100))
    runner.check(lambda x: torch.stft(x, 16, 8, window=window, center=False, return_complex=True).abs(), real(100))


def test_correlations(runner: Runner) -> None:
    """The conjugate is part of the product, whichever operand it is; one that others read too, or that repeats first, is not."""
    fft, x, y = torch.fft, complex_(3, 16), complex_(3, 16, seed=2)
    for function in (
        lambda x, y: fft.ifft(fft.fft(x) * fft.fft(y).conj()),
        lambda x, y: fft.ifft(fft.fft(x).conj() * fft.fft(y)),
    ):
        graph = runner.check(function, x, y).graph
        assert [(node.op, node.attributes.get("operation")) for node in graph.nodes if node.op != "fft"] == [
            ("zip", "conjugate_mul")
        ]
        (product,) = [node for node in graph.nodes if node.op == "zip"]
        assert product.devices == ("cpu", "zip")
    graph = runner.check(lambda x, y: [x * y.conj(), y.conj() + 1j, x[:, :1] * 2 * y], x, y).graph
    assert "conjugate_mul" in {node.attributes.get("operation") for node in graph.nodes}
    shared = runner.check(lambda x, y: (lambda c: [x * c, c + y])(y.conj()), x, y).graph
    assert "conjugate_mul" not in {node.attributes.get("operation") for node in shared.nodes}
    row = runner.check(lambda x, y: [x.conj() * y[0], x[0].conj() * y], x, y).graph
    assert "conjugate_mul" not in {node.attributes.get("operation") for node in row.nodes}


def test_transforms_of_real_signals(runner: Runner) -> None:
    """As such where no accelerator has complex ones only."""
    fft, x, window = torch.fft, real(3, 5, 8), torch.hann_window(16)
    bundle = runner.check(
        lambda x: [fft.rfft(x), fft.rfft2(x), fft.rfft(x[..., :7]), fft.rfft(x, dim=1), fft.irfft(fft.rfft(x)), fft.fft(x)],
        x,
        accelerators=("c2d",),
    )
    assert [node.op for node in bundle.graph.nodes].count("rfft") == 4
    bundle = runner.check(lambda x: torch.stft(x, 16, 4, window=window, return_complex=True), real(2, 100), accelerators=("zip",))
    assert {node.op: node.devices for node in bundle.graph.nodes}["rfft"] == ("cpu",)
    assert {node.op: node.devices for node in bundle.graph.nodes}["zip"] == ("cpu", "zip")
    plain = runner.check(lambda x: torch.stft(x, 16, 4, window=window, return_complex=True), real(2, 100))
    assert "rfft" not in {node.op for node in plain.graph.nodes}


CORE_ATEN = (
    "view.default convolution.default add.Tensor permute.default addmm.default relu.default clone.default avg_pool2d.default "
    "_native_batch_norm_legit_no_training.default max_pool2d_with_indices.default cat.default mul.Tensor unsqueeze.default "
    "mean.dim _softmax.default where.self expand.default slice.Tensor bmm.default layer_norm.default "
    "native_layer_norm.default mul.Scalar "
    "eq.Scalar logical_not.default any.dim full_like.default gelu.default sigmoid.default select.int sub.Tensor ge.Scalar "
    "div.Tensor upsample_bilinear2d.vec squeeze.dims index.Tensor constant_pad_nd.default _to_copy.default embedding.default "
    "pow.Tensor_Scalar hardtanh.default split_with_sizes.default mm.default tanh.default gt.Scalar eq.Tensor ne.Scalar "
    "native_group_norm.default linalg_vector_norm.default cumsum.default bitwise_and.Tensor abs.default clamp.default "
    "upsample_nearest2d.vec sum.dim_IntList max.dim fmod.Scalar gather.default rsqrt.default sin.default cos.default le.Scalar "
    "alias.default _fft_r2c.default _fft_c2c.default conj_physical.default avg_pool3d.default leaky_relu.default topk.default "
    "_adaptive_avg_pool2d.default elu.default index_put.default index_select.default as_strided.default floor.default "
    "div.Tensor_mode pow.Scalar repeat.default neg.default log1p.default log.default unfold.default argmax.default flip.default"
).split()
"""What public models decompose to. Operations without operands (arange, full, scalar_tensor) become constants, getitem and sym_size
are no operations, and _assert_tensor_metadata vanishes."""

WHOLE = (
    "lstm.input gru.input scaled_dot_product_attention.default conv_transpose2d.input group_norm.default instance_norm.default "
    "adaptive_avg_pool2d.default adaptive_max_pool2d.default stft.default _fft_c2r.default view_as_real.default complex.default"
).split()


@pytest.mark.parametrize("name", [*CORE_ATEN, *WHOLE])
def test_operation_is_lowered(name: str) -> None:
    assert name in dense.LOWERINGS


def test_every_operation_has_a_kernel(build: Path, tmp_path: Path) -> None:
    bundle = Runner(Session(soc=build, mode="cpu"), tmp_path)
    broken = bundle.check(torch.neg, real(2))
    text = (tmp_path / "model.bundle" / "graph.json").read_text()
    (tmp_path / "model.bundle" / "graph.json").write_text(text.replace('"unary"', '"no such"'))
    with pytest.raises(CosocError) as caught:
        bundle.session.load(tmp_path / "model.bundle")
    known = str(caught.value).rpartition("there are ")[2].split(", ")
    assert set(dense.OPERATIONS) <= set(known)
    assert broken.graph.nodes[0].op == "unary"
