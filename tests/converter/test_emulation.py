"""The emulation's rules of docs/architecture.md, by hand-computed values and against the accelerator's golden model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.converter import Bundle, emulation
from cosoc.converter.errors import EmulationError
from cosoc.converter.ir import Graph, Node, Tensor
from cosoc.gateware.conv2d import golden
from tests.converter.models import converted


def graph_of(node: Node, *tensors: Tensor) -> Graph:
    """A graph of one node, enough for `run_node`."""
    return Graph("one", (), (), {tensor.name: tensor for tensor in tensors}, (node,))


@pytest.mark.parametrize("seed", range(12))
def test_conv2d_equals_the_golden_model(seed: int) -> None:
    """Two independent implementations: torch's float64 convolution, and sums over kernel positions in NumPy."""
    random = np.random.default_rng(seed)
    groups = int(random.choice([1, 1, 2, 3]))
    shape = (2, *random.integers(5, 11, 2), groups * int(random.integers(1, 20)))
    out_channels, kernel = groups * int(random.integers(1, 9)), random.integers(1, 5, 2)
    attributes = {
        "stride": random.integers(1, 4, 2).tolist(),
        "padding": random.integers(0, 3, 4).tolist(),
        "dilation": (random.integers(1, 3, 2) if kernel.max() < 4 else np.ones(2, int)).tolist(),
        "groups": groups,
        "clamp": sorted(random.integers(-128, 128, 2).tolist()),
    }
    x = random.integers(-128, 128, shape).astype(np.int8)
    weight = random.integers(-127, 128, (out_channels, *kernel, shape[3] // groups)).astype(np.int8)
    bias = random.integers(-(2**20), 2**20, out_channels).astype(np.int32)
    multiplier = random.uniform(1e-5, 2e-3, out_channels).astype(np.float32)
    zero_points = random.integers(-128, 128, 2).tolist()
    node = Node("conv", "conv2d", ("x", "w", "b", "m"), ("y",), attributes)
    graph = graph_of(node, Tensor("x", "int8", shape, 1.0, zero_points[0]), Tensor("y", "int8", (), 1.0, zero_points[1]))
    low, high = attributes["clamp"]
    rule = golden.OutputFormat(zero_point=zero_points[1], clamp_min=low, clamp_max=high)
    geometry = {name: value for name, value in attributes.items() if name != "clamp"}
    expected = golden.convolve(x, weight, bias, multiplier, rule, in_zero_point=zero_points[0], **geometry)
    np.testing.assert_array_equal(emulation.run_node(graph, node, (x, weight, bias, multiplier)), expected)


def test_quantize_corners() -> None:
    """Halves go to even before the zero point is added; infinities saturate, NaN is the zero point, subnormals are not lost."""
    x = np.array([[0.25, 0.75, 1.25, -0.25, np.inf, -np.inf, np.nan, 1e38, 60.0, -70.0, -0.0]], np.float32)
    node = Node("q", "quantize", ("x",), ("y",))
    graph = graph_of(node, Tensor("x", "float32", x.shape), Tensor("y", "int8", (1, 1, 1, x.size), 0.5, 3))
    found = emulation.run_node(graph, node, (x,))
    assert found.shape == (1, 1, 1, x.size)
    assert found.ravel().tolist() == [3, 5, 5, 3, 127, -128, 3, 127, 123, -128, 3]


def test_quantize_equals_pytorch() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 5, 6, generator=random) * 3
    node = Node("q", "quantize", ("x",), ("y",))
    for scale, zero_point in ((0.01, -128), (0.023456789, 17), (1 / 3, 0)):
        scale = float(np.float32(scale))
        graph = graph_of(node, Tensor("x", "float32", x.shape), Tensor("y", "int8", (), scale, zero_point))
        expected = torch.ops.quantized_decomposed.quantize_per_tensor(x, scale, zero_point, -128, 127, torch.int8)
        np.testing.assert_array_equal(emulation.run_node(graph, node, (x.numpy(),)), expected.permute(0, 2, 3, 1).numpy())


def test_average_pool_padding_contributes_nothing() -> None:
    """Sum of (x - zp) inside the image: 3 pixels of value 10 at a corner of a 2x2 window outside."""
    attributes = {"kernel": [2, 2], "stride": [1, 1], "padding": [1, 1, 0, 0], "multiplier": 0.25, "clamp": [-128, 127]}
    node = Node("a", "average_pool2d", ("x",), ("y",), attributes)
    graph = graph_of(node, Tensor("x", "int8", (1, 2, 2, 1), 1.0, -5), Tensor("y", "int8", (), 1.0, 1))
    found = emulation.run_node(graph, node, (np.full((1, 2, 2, 1), 5, np.int8),))
    # 10/4 = 2.5 rounds to 2, 20/4 = 5, 40/4 = 10, each plus the zero point 1
    assert found[0, :, :, 0].tolist() == [[3, 6], [6, 11]]


def test_add_rounds_once() -> None:
    attributes = {"multipliers": [0.5, 0.25], "clamp": [-10, 20]}
    node = Node("s", "add", ("a", "b"), ("y",), attributes)
    graph = graph_of(node, Tensor("a", "int8", (), 1.0, 1), Tensor("b", "int8", (), 1.0, -2), Tensor("y", "int8", (), 1.0, 4))
    a = np.array([2, 127, -128, 4], np.int8).reshape(1, 1, 1, 4)
    b = np.array([2, 127, -128, 2], np.int8).reshape(1, 1, 1, 4)
    # 0.5 + 1 = 1.5 -> 2, + 4; saturated; saturated; 1.5 + 1 = 2.5 -> 2, + 4
    assert emulation.run_node(graph, node, (a, b)).ravel().tolist() == [6, 20, -10, 6]


def test_max_pool_ignores_padding() -> None:
    attributes = {"kernel": [2, 2], "stride": [2, 2], "padding": [1, 1, 1, 1]}
    node = Node("m", "max_pool2d", ("x",), ("y",), attributes)
    graph = graph_of(node, Tensor("x", "int8", (), 1.0, 0), Tensor("y", "int8", (), 1.0, 0))
    x = np.array([[-128, -7], [-9, -11]], np.int8).reshape(1, 2, 2, 1)
    assert emulation.run_node(graph, node, (x,)).ravel().tolist() == [-128, -7, -9, -11]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return converted(nn.Conv2d(2, 3, 3), (1, 2, 6, 6))[0].bundle


def test_pieces_do_not_change_the_result(bundle: Bundle) -> None:
    data = np.random.default_rng(0).normal(size=(7, 2, 6, 6)).astype(np.float32)
    whole = emulation.run(bundle, data)
    for samples in (1, 3):
        for name, value in emulation.run(bundle, [data], samples=samples).items():
            np.testing.assert_array_equal(value, whole[name])


@pytest.mark.parametrize("shape", [(1, 2, 6, 5), (0, 2, 6, 6), (2, 6, 6)])
def test_wrong_inputs(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(EmulationError, match=r"expected \(n, 2, 6, 6\)"):
        emulation.run(bundle, np.zeros(shape, np.float32))
    with pytest.raises(EmulationError, match="the graph has 1"):
        emulation.run(bundle, [np.zeros(shape, np.float32)] * 2)


def test_operations_of_other_models() -> None:
    with pytest.raises(EmulationError, match="gemm is not emulated; emulated are quantize"):
        emulation.run_node(graph_of(Node("f", "gemm", (), ())), Node("f", "gemm", (), ()), ())
