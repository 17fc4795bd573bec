"""Models and arguments that look fine until they are converted: each works, or is refused with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.support.dense_calls import Apply
from cosoc.converter import convert, emulation
from cosoc.converter.compare import disagreement
from cosoc.converter.dense import LOWERINGS, as_array
from cosoc.converter.dense.elementwise import map_element
from tests.converter.test_bad_models import message

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def found(model: nn.Module, *inputs: torch.Tensor, **options: Any) -> list[np.ndarray]:
    """The results of the emulation."""
    bundle = convert(model.eval(), inputs, **options)
    values = emulation.run(bundle, [as_array(value) for value in inputs])
    return [values[name] for name in bundle.graph.outputs]


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        (lambda x: x[x > 0].sum(), ("index.Tensor  x1", "the size of its result depends on the data", "torch.where(mask")),
        (lambda x: x.nonzero(), ("nonzero.default  x1", "the size of its result depends")),
        (lambda x: (x.unique(), x[x > 1] * 2), ("2 operations", "_unique2.default", "index.Tensor")),
        (lambda x: x * x.sum().tolist(), ("a number that depends on the data", "instead of x.sum().item()")),
        (lambda x: torch.arange(int(x[0, 0, 0, 0].abs().item()) + 1) + 1, ("depends on the data",)),
        (lambda x: x if torch.equal(x, x) else x * 2, ("control flow depends on the values of a tensor",)),
    ],
)
def test_sizes_and_numbers_of_the_data(function: Callable[..., Any], parts: tuple[str, ...]) -> None:
    text = message(Apply(function), X)
    assert "test_checks.py:" in text or "dense_calls.py:" in text
    assert "TORCH" not in text
    for part in parts:
        assert part in text


def test_unknown_operations_and_impossible_forms_are_in_one_message() -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.special.digamma(x), *functional.adaptive_max_pool2d(x, 2, return_indices=True), x.reshape([1] * 8 + [-1])

    text = message(Apply(function), X)
    assert text.startswith("3 operations of the model cannot be converted:")
    for part in ("digamma.default  x1", "positions of an adaptive maximum", "has more than 8 axes"):
        assert part in text


class Packed(nn.Module):
    """A recurrent layer over sequences of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(4, 5, batch_first=True)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0], batch_first=True)[0]


def test_packed_sequences() -> None:
    text = message(Packed(), (torch.randn(2, 5, 4), torch.tensor([5, 3])))
    assert "give the recurrent layer the padded batch" in text
    assert "test_checks.py:" in text


class Counter(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x + self.calls


class Smoothed(nn.Module):
    """Remembers the last result in a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = self.last * 0.5 + x
        return self.last * 1.0


class Increment(nn.Module):
    """Changes its argument."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x += 1
        return x * 2


def test_models_with_a_state_are_refused() -> None:
    assert "the model changes its buffer calls; a converted model keeps no state: pass the state" in message(Counter(), X)
    assert "other results when it is called again; a converted model keeps no state" in message(Smoothed(), X)
    before = X.clone()
    assert "changes its input 0 in place; write x = x + 1 instead of x += 1" in message(Increment(), X)
    assert torch.equal(X, before)


class Masked(nn.Module):
    """Attention with a mask of infinities in a buffer, as nn.Transformer makes it."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)


def test_masks_may_have_infinities() -> None:
    model = Masked(nn.Transformer.generate_square_subsequent_mask(8))
    assert disagreement(found(model, X)[0], model(X)) < 1e-5
    assert "NaN or infinity in mask" in message(Masked(torch.full((8, 8), float("nan"))), X)
    scaled = nn.Linear(3, 3)
    with torch.no_grad():
        scaled.weight[0, 0] = float("-inf")
    assert "NaN or infinity in weight" in message(scaled, torch.ones(1, 3))


@pytest.mark.parametrize(
    ("example", "part"),
    [
        (torch.eye(3).to_sparse(), "is torch.sparse_coo; pass a dense tensor"),
        (torch.quantize_per_tensor(X, 0.1, 0, torch.qint8), "is torch.qint8; pass a dense tensor"),
        (X.to(torch.float8_e4m3fn), "is torch.float8_e4m3fn; pass a dense tensor"),
    ],
)
def test_tensors_of_other_kinds(example: torch.Tensor, part: str) -> None:
    assert part in message(nn.ReLU(), example)


def test_models_of_other_kinds() -> None:
    assert "is TorchScript; pass the torch.nn.Module" in message(torch.jit.script(nn.ReLU()), X)  # type: ignore[no-untyped-call]
    assert "have no size yet: weight, bias; call the model once" in message(nn.LazyLinear(4), X)
    assert "returns no tensor" in message(Apply(lambda x: None), X)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"calibration": "data.npz"}, "expected|must be an array of samples or an iterable of batches, found str"),
        ({"calibration": [{"x": X}]}, "calibration batch 0 is a dict; expected a tensor, or a tuple"),
        ({"precision": {"nowhere": "float"}}, "no node or module is named nowhere; there are conv2d"),
        ({"evaluate": lambda model: None}, "evaluate returned None; expected the accuracy"),
        ({"evaluate": lambda model: float("nan")}, "evaluate returned nan; expected the accuracy"),
        ({"max_accuracy_drop": -1.0}, "max_accuracy_drop is -1.0; expected a number that is not negative"),
        ({"max_accuracy_drop": "little"}, "max_accuracy_drop is 'little'; expected"),
    ],
)
def test_wrong_options(options: dict[str, Any], part: str) -> None:
    assert part.rpartition("|")[2] in message(nn.Conv2d(3, 4, 3), X, **options)


@pytest.mark.parametrize("shape", [(2,), (2, 1), ()])
def test_one_result_is_no_choice(shape: tuple[int, ...]) -> None:
    """Of a regression no largest result can be compared; nothing is said to be kept that was not measured."""
    model = nn.Sequential(nn.Conv2d(3, 1, 8), nn.Flatten(0) if shape == (2,) else nn.Flatten(1))
    wanted = Apply(lambda x: model(x).mean()) if not shape else model
    assert f"has shape {shape}: pass evaluate=" in message(wanted, X, calibration=X, max_accuracy_drop=0.0)


def test_inputs_that_need_gradients() -> None:
    """And an evaluation that returns a tensor, as a mean does."""
    model = nn.Conv2d(3, 4, 3).eval()
    (value,) = found(model, X.clone().requires_grad_(), evaluate=lambda candidate: -candidate(X).abs().max() * 0)
    assert disagreement(value, model(X)) < 0.05


def test_integers_of_32_bits_wrap_around() -> None:
    x = torch.tensor([[70_000, -70_000, 2**31 - 1, 3]], dtype=torch.int32)

    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x * x, x + 1, -(x - 5), (x.long() * 2**20).to(torch.int32)

    for value, expected in zip(found(Apply(function), x), function(x), strict=True):
        assert np.array_equal(value, expected.numpy())


def test_half_precision() -> None:
    """Results are compared as exactly as their type is; whoever computes in it and depends on it is told."""
    half = functional.batch_norm(X.half(), torch.zeros(3), torch.ones(3) * 2)
    (value,) = found(Apply(lambda x: functional.batch_norm(x, torch.zeros(3), torch.ones(3) * 2)), X.half())
    assert disagreement(value, half) < 1e-3
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    (value,) = found(Apply(lambda x: functional.conv2d(x, weight)), X.bfloat16())
    assert disagreement(value, functional.conv2d(X, weight.float())) < 1e-2
    text = message(Apply(lambda x: functional.conv2d(x, weight).float()), X.bfloat16())
    assert "the model computes in torch.bfloat16, the converter in float32 and complex64: convert the tensors with .float()" in text


def test_frames_that_are_aligned_to_their_window() -> None:
    window = torch.hann_window(12)

    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.stft(x, 16, 4, 12, window, center=False, align_to_window=True, return_complex=True)

    assert "pad the window to n_fft" in message(Apply(function), torch.randn(2, 100))


@pytest.mark.parametrize("precision", ["int8", "float"])
def test_a_wrong_operation_beside_integers_is_found(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """GELU and SiLU are so alike that int8's noise hides the one behind the other."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 2, 3)).eval()
    convert(model, X, precision=precision)
    monkeypatch.setitem(LOWERINGS, "gelu.default", lambda call: map_element(call, "silu"))
    text = message(model, X, precision=precision)
    assert "differs from PyTorch by" in text
    assert "this is a defect of the converter" in text
