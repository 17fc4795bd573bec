"""Operations on dense tensors: converted, run by the CPU kernels and by the emulation, compared with PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cosoc.converter import dense
from cosoc.runtime import CosocError, Session
from tests.converter.dense_models import Runner, complex_, real, whole

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
