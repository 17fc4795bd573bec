"""What cannot be converted: one message each, that says what, where and what to do."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx import GraphModule
from torch.nn import functional

from cosoc.converter import ConversionError, convert, emulation, rewrite
from cosoc.converter.calibration import calibration_batches
from cosoc.converter.compare import disagreement
from cosoc.converter.convert import convert_in_detail
from cosoc.converter.dense import as_array
from cosoc.converter.ir import Graph
from cosoc.converter.passes import passes, run_passes
from cosoc.converter.rewrite import fold_batch_norms
from cosoc.converter.signals import Transforms
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
    for wrong in (model.double(), model.half(), model.bfloat16()):
        assert "parameters must be torch.float32" in message(copy.deepcopy(wrong))
    assert "parameters must be on the CPU: weight is on meta" in message(nn.Conv2d(3, 4, 3, device="meta"))
    assert "is a class" in message(Chain)
    assert "found str" in message("model")


@pytest.mark.parametrize(
    ("example", "part"),
    [
        (torch.zeros(1, 4, 8, 8), "does not run on example inputs of shape (1, 4, 8, 8)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "does not run on example inputs"),
        (torch.full((1, 3, 8, 8), float("nan")), "NaN"),
        (torch.zeros(0, 3, 8, 8), "none of them 0"),
        (torch.zeros(1, 3, 8, 8, device="meta"), "example input 0 is on meta"),
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
        ([torch.zeros(1, 3, 8, 8), torch.zeros(2, 3, 8, 9)], "calibration batch 1 has shapes [(2, 3, 8, 9)]"),
        ([(torch.zeros(2, 3, 8, 8), torch.zeros(2))], "one tensor for each input of the model and no labels"),
        (np.full((4, 3, 8, 8), np.inf), "NaN or infinity"),
        (7, "found int"),
        (np.zeros((4, 3, 8, 8)), "the calibration data are all zero"),
        (None, "the example inputs are all zero, and there is no calibration data"),
    ],
)
def test_wrong_calibration(calibration: Any, part: str) -> None:
    assert part in message(nn.Conv2d(3, 4, 3), calibration=calibration)


def test_calibration_in_batches_of_any_size() -> None:
    """Of a loader, say: the same scales as from one array, also where the model has two inputs."""
    data = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    model = nn.Conv2d(3, 4, 3).eval()
    whole = convert(model, data[:2], calibration=data).graph
    loader = torch.utils.data.DataLoader(data, batch_size=4)  # type: ignore[arg-type]
    assert convert(model, data[:2], calibration=loader).graph == whole
    pairs = calibration_batches([(data[:3], data[:3, 0]), (data[3:], data[3:, 0])], (data[:2], data[:2, 0]))
    assert [tuple(value.shape) for batch in pairs for value in batch] == [(2, 3, 8, 8), (2, 8, 8)] * 5
    assert torch.equal(torch.cat([batch[1] for batch in pairs]), data[:, 0])
    with pytest.raises(ConversionError, match="pass batches of these shapes"):
        calibration_batches([(data, data)], (data[:2], data[:3]))


class Kept(nn.Module):
    """A tensor that is neither a parameter nor a buffer."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.kept = torch.tensor([1.0, value, 2.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x + self.kept, 1)


def test_nan_in_a_plain_attribute() -> None:
    text = message(Kept(float("nan")), torch.ones(2, 3))
    assert text.startswith("NaN in the constant ")
    assert "add (test_bad_models.py:" in text
    masked = convert(Kept(float("-inf")).eval(), torch.ones(2, 3))
    found = emulation.run(masked, np.ones((2, 3), np.float32))[masked.graph.outputs[0]]
    assert (found[:, 1] == 0).all(), "a mask of infinity is wanted"


class Doubled(torch.autograd.Function):
    """An operation with a gradient of its own."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(x)
        return x.clamp(min=0) * 2

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class Unusual(nn.Module):
    """One weight in two layers, a layer that is called twice, and a custom autograd function."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.head = nn.Linear(5, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.twice = nn.Linear(5, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.embedding(words).mean(1)
        return self.head(Doubled.apply(self.twice(self.twice(x))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_shared_weights_and_custom_gradients_work(precision: str) -> None:
    torch.manual_seed(0)
    model = Unusual().eval()
    words = torch.tensor([[1, 2, 3], [3, 4, 6]])
    bundle = convert(model, words, precision=precision)
    found = emulation.run(bundle, words.numpy())[bundle.graph.outputs[0]]
    expected = model(words).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=(1e-5 if precision == "float" else 0.05) * np.abs(expected).max())


DTYPES = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_of_an_input_works(dtype: torch.dtype) -> None:
    """Integers wrap around as PyTorch's do; other floating-point types are computed in float32."""
    values = torch.tensor([[0, 1, 200, 100], [127, 3, 255, 128]]).to(dtype)

    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            integer = dtype in DTYPES[:6]
            sums = x + x, x.float() * 0.25, (x.float() * 1.5).to(torch.uint8)
            return (*sums, x * x, ~x, x.to(torch.int8)) if integer else sums

    model = Model().eval()
    bundle = convert(model, values, precision="float")
    found = emulation.run(bundle, as_array(values))
    for name, expected in zip(bundle.graph.outputs, model(values), strict=True):
        assert disagreement(found[name], expected) < 1e-3


def test_results_that_depend_on_half_precision_are_refused() -> None:
    class Summed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.bfloat16().cumsum(1).float()

    assert "the model computes in torch.bfloat16" in message(Summed(), torch.rand(1, 300))


def test_random_results_are_refused() -> None:
    class Dropped(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.dropout(torch.relu(x) + torch.rand_like(x), training=True)

    text = message(Dropped(), torch.ones(2, 3))
    assert text.startswith("1 operation of the model cannot be converted:") or text.startswith("2 operations")
    assert "test_bad_models.py:" in text
    assert "random" in text or "dropout in training mode" in text


def test_a_pass_that_breaks_the_graph_is_named() -> None:
    """The graph is verified after lowering and after each pass: whichever one breaks it, the message names that one."""
    conversion = convert_in_detail(nn.Conv2d(3, 4, 3).eval(), torch.randn(1, 3, 8, 8))
    listed = passes(dict(conversion.lowered_constants), ("c2d",), {}, Transforms(real=True))
    assert [name for name, _ in listed] == [
        *("fuse", "compose_layouts", "fuse_dense", "fuse_signals", "fuse_products"),
        *("tag_devices", "tag_signals", "apply_force"),
    ]

    def broken(graph: Graph) -> Graph:
        return replace(graph, nodes=tuple(replace(node, devices=()) for node in graph.nodes))

    for index, (name, _) in enumerate(listed):
        with pytest.raises(ConversionError, match=rf"not valid after the step {name}: node quantize.* no device may run it"):
            run_passes(conversion.lowered, [*listed[:index], (name, broken), *listed[index + 1 :]])
    with pytest.raises(ConversionError, match="not valid after the step lowered: node quantize"):
        run_passes(broken(conversion.lowered), listed)
    assert [name for name, _ in run_passes(conversion.lowered, listed)] == ["lowered", *(name for name, _ in listed)]


def test_a_wrong_rewrite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are compared after each step, so that no bundle comes of one that changes them."""

    def shift_bias(module: GraphModule) -> None:
        fold_batch_norms(module)
        for name, value in module.named_buffers():
            if name.endswith("folded_bias"):
                value[0] += 0.01

    torch.manual_seed(0)
    model, x = Chain(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval(), torch.randn(1, 3, 8, 8)
    changed = [shift_bias if step is fold_batch_norms else step for step in rewrite.REWRITES]
    monkeypatch.setattr(rewrite, "REWRITES", changed)
    assert "shift_bias changed output 0 of the model by 0.00" in message(model, x)


def test_sums_that_could_leave_int32() -> None:
    """140,000 weights of 127 times 128 exceed 2^31."""
    model = nn.Linear(140_000, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
    assert "beyond the accumulator's 2^31" in message(model, torch.ones(1, 140_000))
