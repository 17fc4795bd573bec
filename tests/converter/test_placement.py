"""Device tags, their reasons, and `force`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cosoc.converter import ConversionError, convert
from cosoc.converter.convert import Conversion
from cosoc.converter.ir import Graph, Node, Tensor
from cosoc.converter.placement import apply_force, reason, tag_devices
from tests.converter.models import Chain, converted


def convolution(**changes: object) -> Graph:
    """A graph with one convolution at every limit of the accelerator, and changes to it."""
    attributes: dict[str, object] = {
        "stride": [7, 255],
        "padding": [255, 0, 255, 0],
        "dilation": [1, 127],
        "groups": 2,
        "clamp": [-128, 127],
        "residual_multiplier": 256 << 16,
        "pool_kernel": [15, 2],
        "pool_stride": [7, 7],
        "pool_padding": [14, 1, 14, 1],
    }
    kernel = changes.pop("kernel", (127, 1))
    weight = Tensor("w", "int8", (4, *kernel, 4), constant=True)  # type: ignore[misc]
    return graph_of("conv2d", ("x", "w", "b", "m", "r"), attributes | changes, w=weight)


def graph_of(op: str, inputs: tuple[str, ...], attributes: dict[str, object], **tensors: Tensor) -> Graph:
    """A graph of one node, enough to place it."""
    known = {"x": Tensor("x", "int8", (1, 8, 8, 8), 1.0, 0)} | tensors
    return Graph("one", ("x",), ("y",), known, (Node("node", op, inputs, ("y",), attributes),))


def check(graph: Graph, part: str) -> None:
    """The node is for c2d when `part` is empty; otherwise `part` is in the reason why not."""
    tagged = tag_devices(graph, ("c2d",))
    assert tagged.nodes[0].devices == (("cpu",) if part else ("cpu", "c2d"))
    assert (part or "c2d computes it") in reason(tagged, tagged.nodes[0])


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, ""),
        ({"kernel": (1, 127), "stride": [255, 7], "dilation": [127, 1]}, ""),
        ({"kernel": (2, 64), "stride": [7, 7], "dilation": [127, 2]}, ""),
        ({"kernel": (128, 1)}, "kernel 128x1: c2d computes up to 127x127"),
        ({"stride": [8, 1]}, "stride [8, 1]: c2d computes up to 7, or 255 where"),
        ({"stride": [1, 256]}, "stride [1, 256]"),
        ({"dilation": [2, 1]}, "dilation [2, 1]: the taps"),
        ({"dilation": [1, 128]}, "dilation [1, 128]: the taps"),
        ({"padding": [0, 0, 256, 0]}, "padding [0, 0, 256, 0]: c2d computes up to 255"),
        ({"residual_multiplier": (256 << 16) + 1}, "c2d adds with 2^-17 to 256"),
        ({"pool_kernel": [1, 16]}, "max pooling over 1x16: c2d pools up to 15x15"),
        ({"pool_stride": [1, 8]}, "max pooling with stride [1, 8]: c2d pools with up to 7"),
        ({"pool_padding": [0, 0, 0, 2]}, "max pooling with padding [0, 0, 0, 2]"),
    ],
)
def test_limits_of_convolutions(changes: dict[str, object], part: str) -> None:
    check(convolution(**changes), part)


@pytest.mark.parametrize(
    ("op", "attributes", "part"),
    [
        ("max_pool2d", {"kernel": [15, 15], "stride": [7, 7], "padding": [14] * 4}, ""),
        ("max_pool2d", {"kernel": [16, 1], "stride": [1, 1], "padding": [0] * 4}, "max pooling over 16x1"),
        ("max_pool2d", {"kernel": [2, 2], "stride": [8, 1], "padding": [0] * 4}, "max pooling with stride [8, 1]"),
        ("average_pool2d", {"kernel": [127, 1], "stride": [7, 255], "padding": [255] * 4}, ""),
        ("average_pool2d", {"kernel": [128, 128], "stride": [1, 1], "padding": [0] * 4}, "kernel 128x128"),
        ("add", {"multipliers": [1000.0, 256.0]}, ""),
        ("add", {"multipliers": [1.0, 2**-17]}, ""),
        ("add", {"multipliers": [1.0, 257.0]}, "a sum with factor 257: c2d adds with 2^-17 to 256"),
        ("add", {"multipliers": [1.0, 2**-18]}, "a sum with factor 3.8147e-06"),
        ("dequantize", {}, "no accelerator computes dequantize"),
    ],
)
def test_limits_of_other_operations(op: str, attributes: dict[str, object], part: str) -> None:
    check(graph_of(op, ("x",), attributes), part)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    stem = Chain(nn.MaxPool2d(3, stride=1), nn.Conv2d(2, 4, 3), nn.ReLU())
    model = nn.Sequential(stem, nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 2, stride=8, padding=1))
    return converted(model, (1, 2, 8, 8))[0]


def devices(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {node.name: node.devices for node in graph.nodes}


def test_tags(conversion: Conversion) -> None:
    found = devices(conversion.bundle.graph)
    assert found["0.0"] == found["0.1"] == found["1"] == ("cpu", "c2d")
    assert found["2"] == ("cpu",)


def test_force(conversion: Conversion) -> None:
    graph = conversion.bundle.graph
    found = devices(apply_force(graph, {"0": "cpu", "1": "c2d"}))
    assert found["0.0"] == found["0.1"] == ("cpu",)
    assert found["1"] == ("c2d",)
    forced = apply_force(graph, {"0.0": "cpu"})
    node = next(node for node in forced.nodes if node.name == "0.0")
    assert reason(forced, node) == "c2d could run it, but was excluded when the model was converted"


@pytest.mark.parametrize(
    ("force", "part"),
    [
        ({"2": "c2d"}, "2 cannot run on c2d (stride [8, 8]"),
        ({"dequantize": "c2d"}, "cannot run on c2d (no accelerator computes dequantize)"),
        ({"1": "gpu"}, "devices are cpu, c2d, fft, zip"),
        ({"7": "cpu"}, "no node or module is named 7; nodes are quantize.input_1, 0.0, 0.1"),
    ],
)
def test_impossible_force(conversion: Conversion, force: dict[str, str], part: str) -> None:
    with pytest.raises(ConversionError) as caught:
        apply_force(conversion.bundle.graph, force)
    assert part in str(caught.value)


class Windowed(nn.Module):
    """A window, a transform and magnitudes, beside which the converter puts layouts and casts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(x.unfold(1, 16, 8) * torch.hann_window(16)).abs() * 2


def test_force_leaves_helper_nodes_alone() -> None:
    """`mul` names the window, its `mul.layout` and a product of another type: the one that zip has is forced."""
    bundle = convert(Windowed().eval(), torch.randn(1, 64), force={"mul": "zip", "_fft_r2c": "fft", "abs": "zip"})
    found = {node.name: node.devices for node in bundle.graph.nodes}
    assert {"mul.layout", "mul", "_fft_r2c.cast", "_fft_r2c", "abs", "mul#2"} <= found.keys()
    assert {name for name, kinds in found.items() if kinds != ("cpu",)} == {"mul", "_fft_r2c", "abs"}
    assert (found["mul"], found["_fft_r2c"], found["abs"]) == (("zip",), ("fft",), ("zip",))
    for helper in ("mul.layout", "_fft_r2c.cast"):
        with pytest.raises(ConversionError, match=rf"force: {helper} cannot run on zip \(no accelerator computes"):
            convert(Windowed().eval(), torch.randn(1, 64), force={helper: "zip"})


def test_without_the_accelerator() -> None:
    example = torch.ones(1, 2, 5, 5)
    bundle = convert(nn.Conv2d(2, 4, 3).eval(), example, accelerators=())
    assert {node.devices for node in bundle.graph.nodes} == {("cpu",)}
    with pytest.raises(ConversionError, match="is not among the accelerators"):
        convert(nn.Conv2d(2, 4, 3).eval(), example, accelerators=(), force={"conv2d": "c2d"})
    with pytest.raises(ConversionError, match="unknown accelerator npu; known are c2d, fft, zip"):
        convert(nn.Conv2d(2, 4, 3).eval(), example, accelerators=("npu",))
