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
    """Four nodes of three kinds that have no kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.gelu(self.conv(x))
        y = torch.special.digamma(y) + torch.special.digamma(x[:, :1, :6, :6])
        y = y + torch.rand_like(y)
        return torch.special.i0(y)


def test_all_unsupported_operations_in_one_message() -> None:
    text = message(ManyProblems())
    assert text.startswith("4 operations of the model cannot be converted:")
    for part in ("digamma.default  x2", "rand_like.default  x1", "i0.default  x1", "its result is random"):
        assert part in text
    assert text.count("test_bad_models.py:") >= 4
    assert text.count("why:") == 3
    assert text.count("do:") == 3


@pytest.mark.parametrize("model", [Branch(), Item()])
def test_data_dependent_control_flow_names_the_line(model: nn.Module) -> None:
    text = message(model, torch.ones(1, 3, 8, 8))
    assert "control flow depends on the values" in text
    assert "x.sum()" in text
    assert "test_bad_models.py:" in text
    assert "torch.where" in text


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
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "does not run on example inputs"),
        (torch.full((1, 3, 8, 8), float("nan")), "NaN"),
        (torch.zeros(0, 3, 8, 8), "none of them 0"),
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
