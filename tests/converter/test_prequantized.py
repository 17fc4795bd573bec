"""Models that torchao has quantized, after training or while training: the bundle has their scales and integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx import GraphModule

from cosoc.converter import ConversionError, emulation
from cosoc.converter.capture import quiet
from cosoc.converter.convert import convert_in_detail
from tests.converter.models import converted, int8_graph, samples

with quiet():
    from torchao.quantization import (
        Int8DynamicActivationInt8WeightConfig,
        Int8DynamicActivationIntxWeightConfig,
        Int8WeightOnlyConfig,
        PerAxis,
        quantize_,
    )
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
    from torchao.quantization.qat import QATConfig
    from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config


class Small(nn.Module):
    """Convolutions with batch norm, a residual addition, a pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8 * 16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.max_pool2d(torch.relu(self.second(x) + x), 2)
        return self.head(torch.flatten(x, 1))  # type: ignore[no-any-return]


def quantized(
    training: bool, per_channel: bool = True, make: Callable[[], nn.Module] = Small, shape: tuple[int, ...] = (1, 2, 8, 8)
) -> GraphModule:
    """PyTorch's int8 graph for a batch of one."""
    torch.manual_seed(0)
    model = make().train(training)
    data = samples(shape, 16, 0)
    configuration = get_symmetric_quantization_config(is_per_channel=per_channel, is_qat=training)
    quantizer = XNNPACKQuantizer().set_global(configuration)
    with quiet():
        graph = torch.export.export(model, (data[:1],), strict=False).module()
        prepared = (prepare_qat_pt2e if training else prepare_pt2e)(graph, quantizer)
        optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
        for sample in data:
            result = prepared(sample[None]).square().mean()
            if training:
                optimizer.zero_grad()
                result.backward()
                optimizer.step()
        if training:
            move_exported_model_to_eval(prepared)
        return convert_pt2e(prepared)  # type: ignore[no-any-return]


@pytest.mark.parametrize("training", [False, True], ids=["PT2E", "QAT"])
def test_scales_and_integers_are_taken_over(training: bool) -> None:
    """The results are PyTorch's but for rare roundings: at most two steps of the last layer, most of them none."""
    model = quantized(training)
    data = samples((1, 2, 8, 8), 16, 1)
    conversion = convert_in_detail(model, data[:1], calibration=data)
    graph = conversion.bundle.graph
    found = emulation.run(conversion.bundle, data.numpy())[graph.outputs[0]]
    with torch.no_grad():
        expected = torch.cat([model(sample[None]) for sample in data]).numpy()
    (last,) = [tensor for tensor in graph.tensors.values() if tensor.shape == (1, 1, 1, 5)]
    assert last.scale is not None
    steps = np.abs(found - expected) / last.scale
    assert steps.max() < 2.5
    assert (steps < 0.5).mean() > 0.7
    scales = {node.args[1] for node in model.graph.nodes if "quantize_per_tensor" in str(node.target)}
    given = [name for name, observer in conversion.quantized.observers.items() if observer == "given"]
    assert len(given) >= 4
    assert {conversion.quantized.activations[name][0] for name in given} <= {float(np.float32(scale)) for scale in scales}
    assert not conversion.quantized.biases
    stored = [value for value in model.state_dict().values() if value.dtype == torch.int8]
    assert len(stored) == 3
    for weight, _ in conversion.quantized.weights.values():
        assert any(value.shape == weight.shape and np.array_equal(value.numpy(), weight) for value in stored)


def test_weights_with_one_scale_for_all_channels() -> None:
    model = quantized(False, per_channel=False)
    data = samples((1, 2, 8, 8), 8, 1)
    conversion = convert_in_detail(model, data[:1], calibration=data)
    for _, scales in conversion.quantized.weights.values():
        assert len(set(scales.tolist())) == 1


def perceptron() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).eval()


@pytest.mark.parametrize("configuration", [Int8WeightOnlyConfig(), Int8DynamicActivationInt8WeightConfig()])
def test_weights_of_torchao_tensors(configuration: object) -> None:
    """`quantize_` gives weights a type of their own; they are taken as what they stand for, and the given model stays as it is."""
    model, data = perceptron(), samples((1, 16), 32, 1)
    with quiet():
        quantize_(model, configuration)
    conversion = convert_in_detail(model, data[:1], calibration=data)
    weight = model[0].weight
    assert type(weight).__name__ == "Int8Tensor"
    stored, scales = conversion.quantized.weights["linear"]
    assert np.abs(stored * scales[:, None] - weight.dequantize().detach().numpy()).max() < 0.51 * scales.max()
    found = emulation.run(conversion.bundle, data.numpy())[conversion.bundle.graph.outputs[0]]
    with torch.no_grad():
        expected = torch.cat([model(sample[None]) for sample in data]).numpy()
    assert np.square(found - expected).sum() < 2e-3 * np.square(expected).sum()


def test_a_model_that_is_prepared_for_training_says_how_to_finish() -> None:
    base = Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int8, weight_granularity=PerAxis(0))
    model, data = perceptron().train(), samples((1, 16), 8, 1)
    with quiet():
        quantize_(model, QATConfig(base, step="prepare"))
    model.eval()
    with pytest.raises(ConversionError, match=r'training: 0 is a FakeQuantizedLinear; finish it with .*step="convert"'):
        convert_in_detail(model, data[:1], calibration=data)
    with quiet():
        quantize_(model, QATConfig(base, step="convert"))
    model.eval()
    operations = [node.op for node in convert_in_detail(model, data[:1], calibration=data).bundle.graph.nodes]
    assert operations == ["quantize", "conv2d", "conv2d", "dequantize"]


def rows() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 3, 3))


def decoder(groups: int = 1) -> GraphModule:
    """The converter's own reference: XNNPACK's quantizer has no transposed convolutions."""
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 3 * groups, 2, 2, groups=groups))
    conversion, data = converted(model, (1, 2, 6, 6))
    return int8_graph(conversion, data[:1])


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: quantized(False, make=rows, shape=(1, 2, 12)), (1, 2, 12)),
        (decoder, (1, 2, 6, 6)),
        (lambda: decoder(groups=2), (1, 2, 6, 6)),
    ],
    ids=["rows", "transposed", "transposed in groups"],
)
def test_rows_and_transposed_convolutions_keep_their_integers(make: Callable[[], GraphModule], shape: tuple[int, ...]) -> None:
    model, data = make(), samples(shape, 16, 1)
    conversion = convert_in_detail(model, data[:1], calibration=data)
    assert [node.op.startswith("conv") for node in conversion.bundle.graph.nodes] == [False, True, True, False]
    stored = [value.numpy() for value in model.state_dict().values() if value.dtype == torch.int8]
    kept = [weight for weight, _ in conversion.quantized.weights.values()]
    assert len(kept) == len(stored) == 2
    for weight, given in zip(kept, stored, strict=True):
        assert np.array_equal(np.sort(weight, None), np.sort(given, None))
    assert list(conversion.quantized.observers.values()) == ["given"] * 3
    found = emulation.run(conversion.bundle, data.numpy())[conversion.bundle.graph.outputs[0]]
    with torch.no_grad():
        expected = torch.cat([model(sample[None]) for sample in data]).numpy()
    step = conversion.bundle.graph.tensors[conversion.bundle.graph.nodes[-1].inputs[0]].scale
    assert step is not None
    assert np.abs(found - expected).max() < 1.5 * step
    assert (np.abs(found - expected) < 0.5 * step).mean() > 0.95


class Odd(nn.Module):
    """A value that is quantized to four bits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stored = torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.1, 0, -8, 7, torch.int8)
        return torch.relu(torch.ops.quantized_decomposed.dequantize_per_tensor(stored, 0.1, 0, -8, 7, torch.int8))


def test_other_integers_are_refused() -> None:
    with pytest.raises(ConversionError, match=r"is quantized to -8\.\.7; expected int8"):
        convert_in_detail(Odd().eval(), torch.randn(1, 2, 4, 4))
