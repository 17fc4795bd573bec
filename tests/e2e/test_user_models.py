"""Networks that users bring: converted, run in every mode, compared bit by bit with the emulation and closely with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.converter import Bundle, convert, emulation
from cosoc.runtime import Session
from tests.e2e.test_command_line import cosoc


class Residual(nn.Module):
    """Two convolutions with batch norm beside a strided shortcut, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.shortcut = nn.Conv2d(3, 8, 1, stride=2)
        self.classifier = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.second(self.first(x)) + self.shortcut(x))
        logits: torch.Tensor = self.classifier(y.mean((2, 3)))
        return logits


def separable() -> nn.Module:
    """MobileNet's inverted bottleneck: a depthwise convolution between two pointwise ones, with ReLU6."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
        *(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
        *(nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8)),
    )


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 33), nn.ReLU(), nn.Linear(33, 3))


def rows() -> nn.Module:
    """A network of one dimension."""
    return nn.Sequential(
        *(nn.Conv1d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm1d(8), nn.ReLU()),
        *(nn.Conv1d(8, 8, 3, padding="same", dilation=2, groups=8), nn.MaxPool1d(2)),
        *(nn.ConvTranspose1d(8, 6, 4, 2, 1), nn.ReLU6()),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4)),
    )


def decoder() -> nn.Module:
    """Down and up again, by transposed convolutions."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 8, 3, 2, 1, 1, groups=2), nn.BatchNorm2d(8), nn.ReLU()),
        nn.ConvTranspose2d(8, 2, 2, 2),
    )


MODELS = {"residual": (Residual, (3, 12, 12)), "separable": (separable, (3, 9, 9)), "perceptron": (perceptron, (20,))}


@pytest.fixture(params=MODELS)
def deployed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[nn.Module, Path, torch.Tensor]:
    """A model, its bundle and an input."""
    make, shape = MODELS[request.param]
    torch.manual_seed(1)
    model = make()
    with torch.no_grad():  # Statistics for batch norm.
        model(torch.randn(64, *shape))
    model.eval()
    path = tmp_path / "model.bundle"
    convert(model, torch.randn(1, *shape), calibration=torch.randn(64, *shape)).save(path)
    return model, path, torch.randn(1, *shape)


def test_every_mode_gives_the_bits_of_the_emulation(build: Path, deployed: tuple[nn.Module, Path, torch.Tensor]) -> None:
    model, path, image = deployed
    bundle = Bundle.load(path)
    expected = emulation.run(bundle, image.numpy())[bundle.graph.outputs[0]]
    for mode in ("cpu", "functional", "rtl"):
        with Session(soc=build, mode=mode) as session:
            (found,) = session.load(path).run([image.numpy()])
        assert found.tobytes() == np.asarray(expected).tobytes(), mode
    with torch.no_grad():
        reference = model(image).numpy()
    # A quantization step is about 1/255 of the range; several layers add up.
    assert np.abs(expected - reference).max() < 0.1 * np.abs(reference).max()


@pytest.mark.parametrize(("make", "shape"), [(rows, (3, 40)), (decoder, (3, 10, 12))])
def test_rows_and_transposed_convolutions_on_the_accelerator(
    build: Path, tmp_path: Path, make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    """Every layer runs there, with the bits of the CPU's kernels and of the emulation."""
    torch.manual_seed(2)
    model, path = make().eval(), tmp_path / "model.bundle"
    bundle = convert(model, torch.randn(2, *shape), calibration=torch.randn(32, *shape))
    layers = [node for node in bundle.graph.nodes if node.op not in ("quantize", "dequantize")]
    images = torch.randn(2, *shape)
    expected = np.asarray(emulation.run(bundle, images.numpy())[bundle.graph.outputs[0]])
    assert np.unique(expected).size > 6
    with torch.no_grad():
        assert np.abs(expected - model(images).numpy()).max() < 0.1 * np.abs(expected).max()
    nodes = tuple(replace(node, devices=("c2d",)) if node in layers else node for node in bundle.graph.nodes)
    for mode, graph in (("cpu", bundle.graph), *((mode, replace(bundle.graph, nodes=nodes)) for mode in ("functional", "rtl"))):
        replace(bundle, graph=graph).save(path)
        with Session(soc=build, mode=mode) as session:
            loaded = session.load(path)
            (found,) = loaded.run([images.numpy()])
            devices = {task["device"] for task in loaded.report() if task["name"] in {layer.name for layer in layers}}
        assert devices == {"cpu0" if mode == "cpu" else "c2d0"}
        assert found.tobytes() == expected.tobytes(), mode


def test_run_without_an_input_is_the_same_each_time(build: Path, deployed: tuple[nn.Module, Path, torch.Tensor]) -> None:
    _, path, _ = deployed
    first, second = (cosoc("run", path, "--soc", build) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_outputs_that_cannot_be_written(build: Path, deployed: tuple[nn.Module, Path, torch.Tensor], tmp_path: Path) -> None:
    _, path, _ = deployed
    result = cosoc("run", path, "--soc", build, "--output", path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"cosoc: cannot write the outputs to {path}")
    assert "Traceback" not in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["model.bundle"]
