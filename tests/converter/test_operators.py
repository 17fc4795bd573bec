"""Every operation that the converter lowers, against PyTorch's int8 graph with the same inputs, bit by bit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cosoc.converter import convert, emulation, fx
from cosoc.converter.convert import Conversion, convert_in_detail
from cosoc.converter.simulate import rounded_weight
from tests.converter.models import AfterActivation, Chain, Residual, RowResidual, SmallResNet, converted, int8_graph, reference_int8

MODELS: dict[str, tuple[nn.Module, tuple[int, ...], list[str]]] = {
    "conv": (nn.Conv2d(3, 8, 3), (1, 3, 9, 9), ["conv2d"]),
    "conv without bias": (nn.Conv2d(3, 8, 3, bias=False), (1, 3, 9, 9), ["conv2d"]),
    "conv stride, padding": (nn.Conv2d(5, 7, (5, 3), (2, 3), (2, 1)), (2, 5, 17, 20), ["conv2d"]),
    "conv same, even kernel": (nn.Conv2d(4, 4, (4, 2), padding="same"), (1, 4, 9, 8), ["conv2d"]),
    "conv valid": (nn.Conv2d(4, 4, 2, padding="valid"), (1, 4, 5, 5), ["conv2d"]),
    "conv groups": (nn.Conv2d(8, 16, 3, groups=4, padding=1), (1, 8, 7, 7), ["conv2d"]),
    "conv depthwise": (nn.Conv2d(6, 6, 3, groups=6), (1, 6, 7, 7), ["conv2d"]),
    "conv dilation": (nn.Conv2d(3, 4, 3, dilation=(2, 3), padding=2), (1, 3, 12, 12), ["conv2d"]),
    "conv 1x1": (nn.Conv2d(16, 3, 1), (1, 16, 1, 1), ["conv2d"]),
    "conv bn relu": (Chain(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()), (1, 3, 9, 9), ["conv2d"]),
    "conv relu6": (Chain(nn.Conv2d(3, 8, 3), nn.ReLU6()), (1, 3, 9, 9), ["conv2d"]),
    "conv hardtanh": (Chain(nn.Conv2d(3, 8, 3), nn.Hardtanh(-0.7, 0.4)), (1, 3, 9, 9), ["conv2d"]),
    "conv two clamps": (Chain(nn.Conv2d(3, 8, 3), nn.Hardtanh(-0.7, 0.9), nn.ReLU()), (1, 3, 9, 9), ["conv2d"]),
    "conv above zero": (Chain(nn.Conv2d(3, 8, 3), nn.Hardtanh(0.5, 1.5)), (1, 3, 9, 9), ["conv2d"]),
    "bn before conv": (Chain(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3)), (1, 3, 9, 9), ["conv2d", "conv2d"]),
    "relu alone": (nn.ReLU(), (1, 3, 5, 5), ["average_pool2d"]),
    "max pool": (nn.MaxPool2d(2), (1, 5, 8, 8), ["max_pool2d"]),
    "max pool padding": (nn.MaxPool2d(3, 2, 1), (2, 5, 9, 7), ["max_pool2d"]),
    "max pool ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), (1, 3, 8, 8), ["max_pool2d"]),
    "max pool ceil padding": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (1, 3, 8, 9), ["max_pool2d"]),
    "conv pool relu": (Chain(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU()), (1, 3, 8, 8), ["conv2d", "max_pool2d"]),
    "average pool": (nn.AvgPool2d(2), (1, 5, 8, 8), ["average_pool2d"]),
    "average pool padding": (nn.AvgPool2d(3, 2, 1), (1, 5, 9, 9), ["average_pool2d"]),
    "average pool divisor": (nn.AvgPool2d(3, 1, divisor_override=4), (1, 2, 5, 5), ["average_pool2d"]),
    "average pool relu": (Chain(nn.AvgPool2d(2), nn.ReLU()), (1, 5, 8, 8), ["average_pool2d"]),
    "adaptive pool 1": (nn.AdaptiveAvgPool2d(1), (1, 5, 7, 6), ["average_pool2d"]),
    "adaptive pool": (nn.AdaptiveAvgPool2d((2, 3)), (1, 5, 8, 6), ["average_pool2d"]),
    "linear": (nn.Linear(20, 7), (3, 20), ["conv2d"]),
    "linear bn relu": (Chain(nn.Linear(20, 7), nn.BatchNorm1d(7), nn.ReLU()), (3, 20), ["conv2d"]),
    "flatten linear": (Chain(nn.Flatten(), nn.Linear(60, 7)), (1, 5, 3, 4), ["conv2d"]),
    "dropout": (Chain(nn.Dropout(), nn.Identity(), nn.Conv2d(3, 4, 1)), (1, 3, 2, 2), ["conv2d"]),
    "row": (Chain(nn.Conv1d(3, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU()), (2, 3, 21), ["conv2d"]),
    "row depthwise": (nn.Conv1d(6, 6, 4, groups=6, padding="same", dilation=3), (1, 6, 20), ["conv2d"]),
    "row pools": (
        Chain(nn.Conv1d(3, 8, 3), nn.MaxPool1d(3, 2, 1), nn.Conv1d(8, 8, 1), nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(1)),
        (1, 3, 34),
        ["conv2d", "max_pool2d", "conv2d", "average_pool2d", "average_pool2d"],
    ),
    "row head": (Chain(nn.Conv1d(3, 8, 3), nn.Flatten(), nn.Linear(72, 3)), (1, 3, 11), ["conv2d", "conv2d"]),
    "row transposed": (nn.ConvTranspose1d(4, 6, 4, 3, 1, 2), (2, 4, 9), ["conv_transpose2d"]),
    "row residual": (RowResidual(), (1, 6, 12), ["conv_transpose2d", "conv2d", "add"]),
    "transposed": (nn.ConvTranspose2d(5, 7, (3, 2), (2, 3), (1, 0), (1, 2), bias=False), (2, 5, 6, 5), ["conv_transpose2d"]),
    "transposed bn relu": (
        Chain(nn.ConvTranspose2d(4, 6, 3, dilation=(1, 2)), nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 3, 2, 2)),
        (1, 4, 5, 6),
        ["conv_transpose2d", "conv_transpose2d"],
    ),
    "sum after relu": (AfterActivation(4), (1, 4, 6, 6), ["conv2d", "add"]),
    "residual": (Residual(8), (1, 8, 6, 6), ["conv2d", "conv2d", "add"]),
    "downsampling residual": (Residual(8, 2), (1, 8, 6, 6), ["conv2d", "conv2d", "conv2d", "add"]),
    "resnet": (SmallResNet(), (1, 3, 32, 32), ["conv2d", "max_pool2d", *["conv2d"] * 2, "add", *["conv2d"] * 3, "add"]),
}
EXACT = {"quantize", "max_pool2d"}
"""Others may differ by 1: PyTorch's graph adds a float bias and multiplies dequantized values, here integers are scaled once."""


@cache
def conversion_of(name: str) -> tuple[Conversion, torch.Tensor]:
    """A model of `MODELS`, converted once for all tests."""
    model, shape, _ = MODELS[name]
    return converted(model, shape, seed=len(name))


FUSED = {
    "conv pool relu": ["conv2d"],
    "row pools": ["conv2d", "conv2d", "average_pool2d"],
    "row residual": ["conv_transpose2d", "conv2d"],
    "residual": ["conv2d", "conv2d"],
    "downsampling residual": ["conv2d"] * 3,
    "resnet": ["conv2d"] * 7,
}
"""Operations of the bundle where they are not those of `MODELS`: additions and poolings are parts of convolutions."""


def differences(conversion: Conversion, data: torch.Tensor) -> dict[str, list[np.ndarray]]:
    """Differences of every operation's output from PyTorch's, when both are given PyTorch's int8 inputs; by operation."""
    graph, constants = conversion.lowered, conversion.lowered_constants
    found: dict[str, list[np.ndarray]] = {}
    batch = graph.tensors[graph.inputs[0]].shape[0]
    pytorch = int8_graph(conversion, data[:batch])
    for start in range(0, len(data) - batch + 1, batch):
        piece = data[start : start + batch]
        reference = reference_int8(conversion, pytorch, piece)
        for node in graph.nodes:
            if node.op == "dequantize":
                continue
            operands = [
                constants[name] if graph.tensors[name].constant else reference.get(name, piece.numpy()) for name in node.inputs
            ]
            difference = emulation.run_node(graph, node, operands).astype(int) - reference[node.outputs[0]]
            found.setdefault(node.op, []).append(difference)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_int8_equals_pytorch(name: str) -> None:
    operations = MODELS[name][2]
    conversion, data = conversion_of(name)
    found = [node.op for node in conversion.lowered.nodes]
    assert found[0] == "quantize"
    assert found[-1] == "dequantize"
    assert found[1 : 1 + len(operations)] == operations
    for operation, pieces in differences(conversion, data).items():
        different = np.concatenate([np.abs(piece).ravel() for piece in pieces])
        assert different.max() <= (0 if operation in EXACT else 1), operation
        assert (different != 0).mean() < 0.01, operation


@pytest.mark.parametrize("name", MODELS)
def test_operations_of_the_bundle(name: str) -> None:
    conversion, _ = conversion_of(name)
    lowered = [node.op for node in conversion.lowered.nodes]
    expected = ["quantize", *FUSED[name], "dequantize"] if name in FUSED else lowered
    assert [node.op for node in conversion.bundle.graph.nodes] == expected


@pytest.mark.parametrize("name", MODELS)
def test_result_is_near_float(name: str) -> None:
    for error in conversion_of(name)[0].errors:
        assert error.relative_error < 0.08, error
        assert error.snr_db > 25, error


def test_dequantized_output_equals_pytorch() -> None:
    """The last step: int8 to float32, bit by bit, in PyTorch's order of dimensions."""
    for shape, model in (((2, 3, 4, 5), nn.Conv2d(3, 4, 2)), ((2, 6), nn.Linear(6, 4))):
        conversion, data = converted(model, shape)
        graph = conversion.bundle.graph
        values = emulation.run(conversion.bundle, data[:2].numpy())
        output = graph.tensors[graph.nodes[-1].inputs[0]]
        stored = torch.from_numpy(values[output.name]).permute(0, 3, 1, 2).reshape(values[graph.outputs[0]].shape)
        expected = torch.ops.quantized_decomposed.dequantize_per_tensor(
            stored, output.scale, output.zero_point, -128, 127, torch.int8
        )
        np.testing.assert_array_equal(values[graph.outputs[0]], expected.numpy())


def test_transposed_convolution_with_groups() -> None:
    """PyTorch's int8 graph has no scale for each output channel of a group; its transposed convolution of the integers has."""
    conversion, data = converted(Chain(nn.ConvTranspose2d(6, 8, 3, 2, 1, 1, groups=2), nn.BatchNorm2d(8)), (1, 6, 5, 4))
    graph, constants = conversion.bundle.graph, conversion.bundle.constants
    node = graph.nodes[1]
    assert (node.op, node.devices) == ("conv_transpose2d", ("cpu", "c2d"))
    values = emulation.run(conversion.bundle, data.numpy())
    scale, zero_point = emulation.parameters(graph.tensors[node.inputs[0]])
    x = torch.from_numpy(emulation.real_values(values[node.inputs[0]], scale, zero_point)).permute(0, 3, 1, 2)
    stored, scales = conversion.quantized.weights[conversion.steps[0].node.name]
    assert (constants[node.inputs[1]] == stored.transpose(0, 2, 3, 1)).all()
    weight = (stored * scales.reshape(-1, 1, 1, 1)).reshape(2, 4, 3, 3, 3).transpose(0, 2, 1, 3, 4).reshape(6, 4, 3, 3)
    real = fx.tensor_of(conversion.module, conversion.steps[0].node.args[1])
    assert real is not None
    torch.testing.assert_close(rounded_weight(conversion.steps[0].node, real), torch.from_numpy(weight))
    bias = conversion.quantized.biases.get(conversion.steps[0].node.name, conversion.steps[0].bias)
    expected = nn.functional.conv_transpose2d(x, torch.from_numpy(weight), bias, 2, 1, 1, 2)
    scale, zero_point = emulation.parameters(graph.tensors[node.outputs[0]])
    difference = values[node.outputs[0]] - (np.rint(expected.numpy() / scale) + zero_point).clip(-128, 127).transpose(0, 2, 3, 1)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01
    assert conversion.errors[-1].snr_db > 35


class BesideSum(nn.Module):
    """One value that a convolution, a sum and a dense operation read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 4, 3), nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.first(x)
        return self.second(y) + y, functional.gelu(y)


def test_rows_are_read_without_copies() -> None:
    nodes = converted(BesideSum(), (1, 3, 12))[0].bundle.graph.nodes
    assert sorted(node.op for node in nodes) == ["conv2d", "conv2d", "dequantize", "dequantize", "quantize", "unary"]


def test_a_reshaped_value_may_become_an_image() -> None:
    """As in decoders: the reshaping is dense, the layers around it are for the accelerator."""
    conversion, _ = converted(Chain(nn.Linear(8, 36), nn.Unflatten(1, (4, 3, 3)), nn.ConvTranspose2d(4, 2, 2)), (2, 8))
    nodes = [(node.op, node.devices[-1]) for node in conversion.bundle.graph.nodes if node.op not in ("quantize", "dequantize")]
    assert nodes == [("conv2d", "c2d"), ("strided", "cpu"), ("conv_transpose2d", "c2d")]
    assert min(error.snr_db for error in conversion.errors) > 30


def test_rows_stay_rows_in_float() -> None:
    """Nothing is gained by images there, which would be copies."""
    model = Chain(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.ConvTranspose1d(4, 2, 3))
    nodes = convert(model.eval(), torch.randn(1, 3, 9), precision="float").graph.nodes
    assert [(node.op, node.attributes["stride"]) for node in nodes] == [("convolution", [1])] * 2


def test_in_place_operations_do_not_reach_other_readers() -> None:
    """`relu_` changes its own operand, and not the copy that was made before."""

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            copy = y.clone()
            y.relu_()
            return y + copy

    conversion, data = converted(InPlace(), (1, 3, 4, 4))
    found = emulation.run(conversion.bundle, data.numpy())[conversion.bundle.graph.outputs[0]]
    model = conversion.module
    expected = torch.cat([model(sample[None]) for sample in data]).detach().numpy()
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
    assert (expected < 0).any(), "the copy keeps its negative values"


def test_biases_take_back_what_rounding_shifts() -> None:
    """63 weights of a third of a step vanish, and with them a part of every sum, as the inputs are positive."""
    model = nn.Linear(64, 3)
    with torch.no_grad():
        model.weight[:] = 1 / 127 / 3
        model.weight[:, 0] = 1.0
    data = torch.rand(32, 64, generator=torch.Generator().manual_seed(1))
    conversion = convert_in_detail(model.eval(), data[:1], calibration=data)
    lost = (conversion.quantized.biases["linear"] - model.bias).detach().numpy()
    np.testing.assert_allclose(lost, 63 * float(data[:, 1:].mean()) / 127 / 3, rtol=0.05)
    found = emulation.run(conversion.bundle, data.numpy())[conversion.bundle.graph.outputs[0]]
    with torch.no_grad():
        error = found - model(data).numpy()
    assert np.abs(error.mean(0)).max() < 0.1 * lost.min()
    few = convert_in_detail(model, data[:1], calibration=data[:4])
    assert not few.quantized.biases, "four samples say nothing about a mean"


def test_a_range_without_the_rarest_values() -> None:
    """One value of 12,800 is a hundred times larger: int8 has steps for the others when it is clipped."""
    data = torch.randn(64, 2, 10, 10, generator=torch.Generator().manual_seed(2))
    data[1, 0, 5, 5] = 300.0
    torch.manual_seed(0)
    model = nn.Conv2d(2, 4, 3).eval()
    conversion = convert_in_detail(model, data[:1], calibration=data)
    name = conversion.module.graph.find_nodes(op="placeholder")[0].name
    assert conversion.quantized.observers[name] != "all"
    assert conversion.quantized.activations[name][0] < 0.1 * 300 / 255
    graph = conversion.bundle.graph
    stored = emulation.run(conversion.bundle, data[2:].numpy())[graph.nodes[0].outputs[0]]
    real = emulation.real_values(stored, *emulation.parameters(graph.tensors[graph.nodes[0].outputs[0]])).transpose(0, 3, 1, 2)
    noise = np.square(real - data[2:].numpy()).mean()
    assert noise < (300 / 255) ** 2 / 12 / 20, "with all of the range it is twenty times as much"


def test_pruned_channels_keep_their_bias() -> None:
    """A channel without weights has a tiny weight scale: its bias must not overflow int32."""
    model = nn.Conv2d(2, 3, 3)
    data = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.weight[1] = 0
        model.weight[2] = 1e-9
        model.bias[:] = torch.tensor([0.1, 3.0, -2.0])
    bundle = convert(model.eval(), data[:1], calibration=data)
    output = emulation.run(bundle, data.numpy())[bundle.graph.outputs[0]]
    step = bundle.graph.tensors[bundle.graph.nodes[-1].inputs[0]].scale or 0
    assert np.abs(output[:, 1] - 3.0).max() <= step
    assert np.abs(output[:, 2] + 2.0).max() <= step
    assert np.abs(bundle.constants["conv2d.bias"].astype(np.int64)).max() < 2**31
