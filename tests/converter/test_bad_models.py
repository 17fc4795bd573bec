"""What cannot be converted: one message each, that says what, where and what to do."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cosoc.converter import ConversionError, convert
from tests.converter.models import Chain

EXAMPLE = torch.zeros(1, 3, 8, 8)


def message(model: Any, example: Any = EXAMPLE, **options: Any) -> str:
    """The message with which a conversion is refused."""
    with pytest.raises(ConversionError) as caught:
        convert(model.eval() if isinstance(model, nn.Module) else model, example, **options)
    return str(caught.value)


class Branch(nn.Module):
    """Decides by the values of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x * 2
        return x


class Item(nn.Module):
    """Slices by a value of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : int(x.sum().item())]


class ManyProblems(nn.Module):
    """Five unsupported nodes of four kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.gates = nn.Sequential(nn.Sigmoid(), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.gelu(self.conv(x))
        y = self.gates(y)
        y = torch.cat([y, y], 1)
        return functional.softmax(y.flatten(1), 1)


def test_all_unsupported_operations_in_one_message() -> None:
    text = message(ManyProblems())
    assert text.startswith("5 operations of the model cannot be converted:")
    for part in ("gelu.default  x1", "sigmoid.default  x2", "cat.default  x1", "softmax.int  x1"):
        assert part in text
    assert "gates.0" in text
    assert "gates.1" in text
    assert text.count("test_bad_models.py:") >= 5
    assert text.count("why:") == 4
    assert text.count("do:") == 4


@pytest.mark.parametrize("model", [Branch(), Item()])
def test_data_dependent_control_flow_names_the_line(model: nn.Module) -> None:
    text = message(model, torch.ones(1, 3, 8, 8))
    assert "control flow depends on the values" in text
    assert "x.sum()" in text
    assert "test_bad_models.py:" in text
    assert "torch.where" in text


@pytest.mark.parametrize(
    ("layer", "parts"),
    [
        (nn.MaxPool2d(2, dilation=2), ["max_pool2d with dilation", "dilation=1"]),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), ["count_include_pad=False"]),
        (nn.AvgPool2d(3, 2, ceil_mode=True), ["ceil_mode"]),
        (nn.AdaptiveAvgPool2d(3), ["adaptive_avg_pool2d from (8, 8) to (3, 3)", "divides"]),
        (nn.Linear(8, 8), ["linear on shape (1, 3, 8, 8)", "flatten"]),
        (Chain(nn.Flatten(), nn.Unflatten(1, (12, 4, 4)), nn.Conv2d(12, 2, 1)), ["reshaped from (1, 3, 8, 8)"]),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), ["pad.default"]),
        (nn.LayerNorm(8), ["layer_norm", "BatchNorm2d"]),
        (nn.ConvTranspose2d(3, 4, 2), ["conv_transpose2d"]),
    ],
)
def test_unsupported_forms(layer: nn.Module, parts: list[str]) -> None:
    text = message(layer)
    for part in parts:
        assert part in text


def test_additions_that_are_not_residual() -> None:
    class Adds(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.add(x + 1, x.mean((2, 3), keepdim=True)) + torch.add(x, x, alpha=2)

    text = message(Adds())
    for part in ("add with a constant", "add of shapes", "alpha=2"):
        assert part in text


def test_models_that_are_not_ready() -> None:
    model = Chain(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(ConversionError, match=r"training mode .*model\.eval\(\)"):
        convert(model.train(), EXAMPLE)
    partly = copy.deepcopy(model).eval()
    partly[1].train()
    with pytest.raises(ConversionError, match=r"training mode \(1\)"):
        convert(partly, EXAMPLE)
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken[0].weight[0, 0, 0, 0] = float("nan")
        broken[1].running_var[2] = float("inf")
    assert "NaN or infinity in 0.weight, 1.running_var" in message(broken)
    assert "torch.float32" in message(copy.deepcopy(model).double())
    assert "is a class" in message(Chain)
    assert "found str" in message("model")


@pytest.mark.parametrize(
    ("example", "part"),
    [
        (torch.zeros(1, 4, 8, 8), "does not run on example inputs of shape (1, 4, 8, 8)"),
        (torch.zeros(3, 8, 8), "expected (N, C, H, W) or (N, F)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "float()"),
        (torch.full((1, 3, 8, 8), float("nan")), "NaN"),
        (torch.zeros(0, 3, 8, 8), "no dimension 0"),
        ((), "non-empty tuple"),
        (np.zeros((1, 3, 8, 8)), "non-empty tuple"),
    ],
)
def test_wrong_example_inputs(example: Any, part: str) -> None:
    assert part in message(nn.Conv2d(3, 4, 3), example)


@pytest.mark.parametrize(
    ("calibration", "part"),
    [
        (torch.zeros(0, 3, 8, 8), "calibration is empty"),
        ([], "calibration is empty"),
        (np.zeros((4, 3, 8, 9)), "expected (n, 3, 8, 8)"),
        ([torch.zeros(1, 3, 8, 8), torch.zeros(2, 3, 8, 8)], "calibration batch 1 has shapes [(2, 3, 8, 8)]"),
        (np.full((4, 3, 8, 8), np.inf), "NaN or infinity"),
        (7, "found int"),
    ],
)
def test_wrong_calibration(calibration: Any, part: str) -> None:
    assert part in message(nn.Conv2d(3, 4, 3), calibration=calibration)


def test_sums_that_could_leave_int32() -> None:
    """140,000 weights of 127 times 128 exceed 2^31."""
    model = nn.Linear(140_000, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
    assert "beyond the accumulator's 2^31" in message(model, torch.ones(1, 140_000))
