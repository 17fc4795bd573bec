"""Linear layers over (B, T, F), and int16 from a model to an engine that was built for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cosoc import compile
from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.converter import compare, convert, emulation
from cosoc.gateware.soc import SoCConfig
from tests.converter.models import Residual, randomize, samples


class Mixer(nn.Module):
    """Tokens through linear layers with a residual and an activation, their mean through a head; and all of them flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 6, bias=False)
        self.head, self.flat = nn.Linear(6, 3), nn.Linear(30, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y = x + self.second(torch.relu(self.first(x)))
        return y, self.head(y.mean(1)), self.flat(y.flatten(1))


@pytest.mark.parametrize("mode", ["cpu", "functional"])
def test_linear_layers_of_tokens_are_quantized(build: Path, mode: str) -> None:
    model, data = randomize(Mixer(), 0), samples((2, 5, 6), 32, 0)
    device = "c2d" if mode == "functional" else "cpu"
    force = dict.fromkeys(("first", "second", "head", "flat"), device)
    compiled = compile(model, data[:2], soc=build, mode=mode, calibration=data, force=force)
    layers = {node.name: node for node in compiled.bundle.graph.nodes}
    for name in force:
        assert (layers[name].op, layers[name].devices) == ("conv2d", (device,)), name
    tensors = compiled.bundle.graph.tensors
    assert tensors[layers["first"].outputs[0]].shape == (2, 1, 5, 10)
    assert "residual_multiplier" in layers["second"].attributes, "the sum is part of the layer"
    found, expected = compiled(data[:2]), model(data[:2])
    emulated = emulation.run(compiled.bundle, data[:2].numpy())
    for name, value, reference in zip(compiled.bundle.graph.outputs, found, expected, strict=True):
        np.testing.assert_array_equal(value.numpy(), emulated[name])
        assert (value - reference).abs().max() < 0.05 * reference.abs().max()
    assert all(error.snr_db > 25 for error in compare(compiled.bundle, model, data))
    assert all(task["device"].startswith(device) for task in compiled.report() if task["op"] == "conv2d")


def test_a_transformer_layer_keeps_its_accuracy() -> None:
    torch.manual_seed(0)
    model, data = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(), samples((2, 7, 16), 32, 1)
    bundle = convert(model, data[:2], calibration=data)
    assert sum(node.op == "conv2d" for node in bundle.graph.nodes) == 4
    found = emulation.run(bundle, data[:2].numpy())[bundle.graph.outputs[0]]
    with torch.no_grad():
        expected = model(data[:2]).numpy()
    assert 10 * np.log10(np.square(expected).mean() / np.square(found - expected).mean()) > 25


class Pixels(nn.Module):
    """A block of ConvNeXt: a depthwise convolution, then a norm and linear layers over (N, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.LayerNorm(8)
        self.first, self.second = nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return self.second(nn.functional.gelu(self.first(y))).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize("mode", ["cpu", "functional"])
@pytest.mark.parametrize("kind", ["tokens", "pixels"])
def test_channels_stay_where_they_are(build: Path, kind: str, mode: str) -> None:
    """Between a norm, linear layers and an activation nothing is transposed; the bits are the emulation's."""
    tokens = nn.Sequential(nn.Linear(6, 10), nn.GELU(), nn.Linear(10, 6), nn.LayerNorm(6), nn.Linear(6, 4))
    model, data = (tokens, samples((2, 5, 6), 32, 0)) if kind == "tokens" else (Pixels(), samples((2, 8, 5, 4), 32, 0))
    compiled = compile(randomize(model, 0), data[:2], soc=build, mode=mode, calibration=data)
    graph = compiled.bundle.graph
    operations = [node.op for node in graph.nodes]
    assert operations.count("conv2d") == 3
    assert "matmul" not in operations
    assert operations.count("strided") == (kind == "pixels"), "the result alone is transposed"
    found, expected = compiled(data[:2]), model(data[:2])
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()
    emulated = emulation.run(compiled.bundle, data[:2].numpy())
    for node in graph.nodes:
        if node.op in ("quantize", "dequantize"):
            real = graph.tensors[(node.inputs if node.op == "quantize" else node.outputs)[0]]
            assert node.attributes == ({"channels_last": True} if real.name != "x" or kind == "tokens" else {}), node.name
    np.testing.assert_allclose(found.numpy(), emulated[graph.outputs[0]], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def wide(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SoC whose Conv2D has int16 activations, beside the runtime of the build under test."""
    folder = tmp_path_factory.mktemp("wide")
    placed = SoC.place(SoCConfig.make({"c2d": 1}, {"c2d_activation_bits": 16, "c2d_input_lanes": 8}), load_platform("sim"))
    (folder / "soc.json").write_text(json.dumps(json.loads(placed.json())))
    (folder / "lib").symlink_to(build / "lib")
    return folder


def test_int16_from_the_model_to_the_engine(wide: Path) -> None:
    """A residual network with pooling and a head: the engine's bits are the emulation's, and finer than those of int8."""
    model = randomize(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), Residual(8), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(8, 5)
        ),
        0,
    )
    data = samples((1, 3, 16, 16), 16, 0)
    force = dict.fromkeys(("0", "3", "6"), "c2d")
    compiled = compile(model, data[:1], soc=wide, mode="functional", calibration=data, precision="int16", force=force)
    graph = compiled.bundle.graph
    assert {graph.tensors[name].dtype for node in graph.nodes if node.op == "conv2d" for name in node.outputs} == {"int16"}
    found, expected = compiled(data[:4]), model(data[:4]).detach()
    np.testing.assert_array_equal(found.numpy(), emulation.run(compiled.bundle, data[:4].numpy())[graph.outputs[0]])
    assert {task["device"] for task in compiled.report() if task["op"] == "conv2d"} == {"c2d0"}
    coarse = emulation.run(convert(model, data[:1], calibration=data), data[:4].numpy())
    error = [np.square(value - expected.numpy()).mean() for value in (found.numpy(), next(reversed(coarse.values())))]
    assert error[0] < error[1]
