"""Zeros around images and rows: part of the convolutions that read them, on integers, wherever they can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.support.zoo_sequences import TCN
from cosoc.converter import Bundle, convert, emulation
from cosoc.runtime import Session
from tests.converter.models import Chain


def padded(around: tuple[int, ...], layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 1), nn.ConstantPad2d(around, 0.0), layer)  # type: ignore[arg-type]


class Shared(nn.Module):
    """A padded value that two convolutions and a sum read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left, self.right = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, dilation=2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = functional.pad(torch.relu(self.first(x)), (1, 2, 3, 0))
        return self.left(y), self.right(y), y + y


class Chomped(nn.Module):
    """Causal convolutions that pad both ends and drop the last results."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 8, 3, padding=2)
        self.second = nn.Conv1d(8, 8, 3, padding=8, dilation=4)
        self.last = nn.Conv1d(8, 4, 5, stride=2, padding=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x)[:, :, :-2].contiguous())
        y = y + torch.relu(self.second(y)[:, :, :-8].contiguous())
        return self.last(y)[:, :, 1:-1]


class Cropped(nn.Module):
    """Slices of images along both axes, and one that leaves out less than the padding brings."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=(2, 1)), nn.Conv2d(4, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(torch.relu(self.first(x)[:, :, :-2]))[:, :, 1:-1, 1:]
        return self.inner(y)[:, :, 2:]


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str], list[list[int]]]] = {
    "causal network": (
        TCN,
        (2, 2, 50),
        ["conv2d", "conv2d", "add"] + ["conv2d", "add"] * 3 + ["strided", "conv2d"],
        [[0, 2, 0, 0]],
    ),
    "asymmetric": (lambda: padded((1, 2, 0, 3), nn.Conv2d(4, 3, 3, padding=1)), (1, 2, 9, 8), ["conv2d"] * 2, [[1, 2, 4, 3]]),
    "first": (lambda: nn.Sequential(nn.ConstantPad1d((5, 0), 0.0), nn.Conv1d(3, 4, 6)), (2, 3, 20), ["conv2d"], [[0, 5, 0, 0]]),
    "two readers and a sum": (Shared, (1, 2, 8, 8), ["conv2d"] * 4 + ["add"], [[3, 1, 0, 2]] * 3),
    "before a maximum": (lambda: padded((2, 1, 1, 2), nn.MaxPool2d(2)), (1, 2, 8, 7), ["conv2d"] * 2, [[1, 2, 2, 1]]),
    "dropped results": (Chomped, (2, 2, 30), ["conv2d"] * 2 + ["add", "conv2d"], [[0, 2, 0, 0], [0, 8, 0, 0], [0, 2, 0, 1]]),
    "dropped rows and columns": (Cropped, (1, 2, 9, 8), ["conv2d"] * 3 + ["strided"], [[2, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]]),
    "more than c2d has": (lambda: padded((300, 0, 0, 0), nn.Conv2d(4, 2, 3)), (1, 2, 8, 8), ["conv2d"] * 3, [[0, 300, 0, 0]]),
}
"""Model, input, operations in order without quantize and dequantize, paddings that are not zero."""


@pytest.mark.parametrize("name", MODELS)
def test_zeros_are_integers(build: Path, tmp_path: Path, name: str) -> None:
    make, shape, operations, paddings = MODELS[name]
    torch.manual_seed(4)
    model, data = make().eval(), torch.randn(16 * shape[0], *shape[1:])
    bundle = convert(model, data[: shape[0]], calibration=data)
    nodes = [node for node in bundle.graph.nodes if node.op not in ("quantize", "dequantize")]
    assert [node.op for node in nodes] == operations
    found = [node.attributes["padding"] for node in nodes if any(node.attributes.get("padding", ()))]
    assert found[: len(paddings)] == paddings
    x = data[: shape[0]]
    expected = emulation.run(bundle, x.numpy())
    with torch.no_grad():
        leaves = torch.utils._pytree.tree_leaves(model(x))
    for output, reference in zip(bundle.graph.outputs, leaves, strict=True):
        assert np.abs(expected[output] - reference.numpy()).max() < 0.1 * np.abs(reference.numpy()).max()
    bundle.save(tmp_path / "bundle")
    for mode in ("cpu", "functional"):
        with Session(soc=build, mode=mode) as session:
            results = session.load(tmp_path / "bundle").run([x.numpy()])
        for output, value in zip(bundle.graph.outputs, results, strict=True):
            assert value.tobytes() == expected[output].tobytes(), mode


def test_a_causal_network_leaves_integers_once(build: Path) -> None:
    """Rows in and out, and the last moment alone: nothing between the layers."""
    torch.manual_seed(0)
    data = torch.randn(16, 2, 50)
    bundle = convert(TCN().eval(), data[:2], calibration=data)
    assert moves(bundle) == ["quantize", "dequantize", "quantize", "dequantize"]
    # Of another precision than the zeros' own source.
    mixed = convert(TCN().eval(), data[:2], calibration=data, precision={"layers.2": "int16"})
    emulation.run(mixed, data[:2].numpy())


def moves(bundle: Bundle) -> list[str]:
    return [node.op for node in bundle.graph.nodes if node.op in ("quantize", "dequantize", "pad")]


def test_other_padding_stays_float() -> None:
    """By another value, of another kind, or of channels."""
    data = torch.randn(8, 2, 8, 8)
    for around, mode, value in (((1, 1), "constant", 1.0), ((1, 1, 1, 1), "reflect", None), ((0, 0, 0, 0, 0, 1), "constant", 0.0)):

        class Padded(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return functional.pad(x, around, mode, value)  # noqa: B023

        model = Chain(nn.Conv2d(2, 2, 1), Padded(), nn.Conv2d(2 + (len(around) > 4), 2, 3))
        assert "pad" in moves(convert(model.eval(), data[:1], calibration=data)), (around, mode)
