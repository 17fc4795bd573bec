"""Random small models of dense and int8 operations: kernels, emulation and accelerator models against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from cosoc.converter import convert, emulation
from cosoc.runtime import Session
from tests.converter.dense_models import Runner
from tests.converter.models import Residual

Step = Callable[[torch.Tensor], torch.Tensor]
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""Also how fast examples are drawn: that is a matter of the machine."""
LIMITED = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=UNCHECKED)


@pytest.fixture(scope="module", params=["cpu", "functional"])
def runner(request: pytest.FixtureRequest, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with Session(soc=build, mode=request.param, cpu_cores=1) as session:
        yield Runner(session, tmp_path_factory.mktemp("properties"))


STEPS: dict[str, Callable[[int], Step]] = {
    "activation": lambda n: [torch.relu, torch.sigmoid, functional.gelu, functional.silu, torch.tanh, torch.abs][n % 6],
    "permute": lambda n: lambda x: x.permute(*[(axis + n) % x.dim() for axis in range(x.dim())]),
    "flip": lambda n: lambda x: x.flip(n % x.dim()),
    "slice": lambda n: lambda x: x.narrow(n % x.dim(), 0, max(1, x.shape[n % x.dim()] - 1)),
    "roll": lambda n: lambda x: torch.roll(x, n, n % x.dim()),
    "concatenate": lambda n: lambda x: torch.cat([x, x * 0.5], n % x.dim()),
    "pad": lambda n: lambda x: functional.pad(x, (n % 2, 1), value=0.25),
    "center": lambda n: lambda x: x - x.mean(n % x.dim(), keepdim=True),
    "softmax": lambda n: lambda x: x.softmax(n % x.dim()) * 3,
    "product": lambda n: lambda x: x @ x.transpose(-1, -2) / x.shape[-1],
    "choice": lambda n: lambda x: torch.where(x > 0.1 * n, x, x * x - 0.5),
    "cumulate": lambda n: lambda x: x.cumsum(n % x.dim()) / x.shape[n % x.dim()],
    "reshape": lambda n: lambda x: x.reshape(x.shape[0], -1, x.shape[-1]),
    "largest": lambda n: lambda x: x.topk(min(2, x.shape[n % x.dim()]), n % x.dim()).values,
    "normalize": lambda n: lambda x: functional.layer_norm(x, x.shape[-1:]),
    "position": lambda n: lambda x: x + x.argmax(n % x.dim(), keepdim=True) * 0.1,
}


@LIMITED
@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 7)), min_size=2, max_size=7),
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
)
def test_chains_of_dense_operations(runner: Runner, steps: list[tuple[str, int]], shape: list[int]) -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        for name, number in steps:
            x = STEPS[name](number)(x)
        return x + 0

    runner.check(model, torch.randn(shape, generator=torch.Generator().manual_seed(len(steps))), tolerance=1e-4)


class Spectrum(nn.Module):
    """Magnitudes of a transform of eight columns, with one more on each side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.pad(torch.fft.fft(x[..., :8]).abs() / 2, (1, 1))


class Tokens(nn.Module):
    """A linear layer over (B, T, F)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x.flatten(2).transpose(1, 2)))


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "conv": lambda n: nn.Conv2d(4, 4, 1 + n % 3, padding=n % 2),
    "relu": lambda n: nn.ReLU(),
    "silu": lambda n: nn.SiLU(),
    "pool": lambda n: nn.MaxPool2d(2, 1),
    "average": lambda n: nn.AvgPool2d(2, 1),
    "norm": lambda n: nn.BatchNorm2d(4),
    "group": lambda n: nn.GroupNorm(2, 4),
    "shuffle": lambda n: nn.ChannelShuffle(2),
    "transposed": lambda n: nn.ConvTranspose2d(4, 4, 1 + n % 3, 1 + n % 2, groups=1 + n % 2),
    "residual": lambda n: Residual(4, 1 + n % 2),
    "spectrum": lambda n: Spectrum(),
}
HEADS: list[Callable[[], nn.Module]] = [
    nn.Identity,
    Tokens,
    lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
]
INT8 = ("conv2d", "conv_transpose2d", "add", "max_pool2d", "average_pool2d")


@LIMITED
@given(
    names=st.lists(st.tuples(st.sampled_from(sorted(LAYERS)), st.integers(0, 5)), min_size=2, max_size=6), head=st.integers(0, 2)
)
def test_mixed_models(runner: Runner, names: list[tuple[str, int]], head: int) -> None:
    torch.manual_seed(len(names))
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *(LAYERS[name](number) for name, number in names), HEADS[head]()).eval()
    images = torch.randn(8, 3, 10, 10)
    bundle = convert(model, images[:1], calibration=images)
    weighted = sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) for layer in model.modules())
    assert sum(node.op in INT8[:2] for node in bundle.graph.nodes) >= weighted - sum(name == "residual" for name, _ in names)
    assert all("c2d" in node.devices for node in bundle.graph.nodes if node.op in INT8)
    bundle.save(runner.folder / "mixed.bundle")
    (found,) = runner.session.load(runner.folder / "mixed.bundle").run([images[:1].numpy()])
    expected = emulation.run(bundle, images[:1].numpy())[bundle.graph.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.05 * float(np.abs(expected).max()) + 1e-6)
    with torch.no_grad():
        reference = model(images[:1]).numpy()
    assert np.square(found - reference).sum() < 0.05 * np.square(reference).sum() + 1e-6
