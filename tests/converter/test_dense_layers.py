"""Layers on dense tensors, as test_dense.py has operations."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cosoc.converter import convert
from cosoc.converter.compare import disagreement
from cosoc.runtime import Session
from tests.converter.dense_models import TOLERANCE, Runner, real


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
