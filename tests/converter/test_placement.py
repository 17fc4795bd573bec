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
    """A graph with one convolution of a 15x15 kernel at every limit of the accelerator, and changes to it."""
    attributes = {"stride": [7, 7], "padding": [15, 15, 15, 15], "dilation": [1, 1], "groups": 1, "clamp": [-128, 127]}
    kernel = changes.pop("kernel", (15, 15))
    weight = Tensor("w", "int8", (4, *kernel, 4), constant=True)  # type: ignore[misc]
    node = Node("conv", "conv2d", ("x", "w", "b", "m"), ("y",), attributes | changes)
    return Graph("one", ("x",), ("y",), {"w": weight}, (node,))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, ""),
        ({"groups": 2}, "groups 2: c2d computes groups 1"),
        ({"dilation": [1, 2]}, "dilation [1, 2]"),
        ({"kernel": (16, 1)}, "kernel 16x1: c2d computes up to 15x15"),
        ({"stride": [1, 8]}, "stride [1, 8]: c2d computes up to 7"),
        ({"padding": [0, 0, 16, 0]}, "padding [0, 0, 16, 0]: c2d computes up to 15"),
    ],
)
def test_limits_of_the_accelerator(changes: dict[str, object], part: str) -> None:
    graph = tag_devices(convolution(**changes), ("c2d",))
    assert graph.nodes[0].devices == (("cpu",) if part else ("cpu", "c2d"))
    assert part in reason(graph, graph.nodes[0])


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    model = nn.Sequential(Chain(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2)), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1, groups=2))
    return converted(model, (1, 2, 8, 8))[0]


def devices(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {node.name: node.devices for node in graph.nodes}


def test_tags(conversion: Conversion) -> None:
    found = devices(conversion.bundle.graph)
    assert found["0.0"] == found["1"] == ("cpu", "c2d")
    assert found["0.2"] == found["2"] == ("cpu",)


def test_force(conversion: Conversion) -> None:
    graph = conversion.bundle.graph
    found = devices(apply_force(graph, {"0": "cpu", "1": "c2d"}))
    assert found["0.0"] == found["0.2"] == ("cpu",)
    assert found["1"] == ("c2d",)
    forced = apply_force(graph, {"0.0": "cpu"})
    node = next(node for node in forced.nodes if node.name == "0.0")
    assert reason(forced, node) == "c2d could run it, but was excluded when the model was converted"


@pytest.mark.parametrize(
    ("force", "part"),
    [
        ({"2": "c2d"}, "2 cannot run on c2d (groups 2"),
        ({"0": "c2d"}, "0.2 cannot run on c2d (no accelerator computes max_pool2d)"),
        ({"1": "gpu"}, "devices are cpu and c2d"),
        ({"7": "cpu"}, "no node or module is named 7; nodes are quantize.input_1, 0.0"),
    ],
)
def test_impossible_force(conversion: Conversion, force: dict[str, str], part: str) -> None:
    with pytest.raises(ConversionError) as caught:
        apply_force(conversion.bundle.graph, force)
    assert part in str(caught.value)


def test_without_the_accelerator() -> None:
    example = torch.ones(1, 2, 5, 5)
    bundle = convert(nn.Conv2d(2, 4, 3).eval(), example, accelerators=())
    assert {node.devices for node in bundle.graph.nodes} == {("cpu",)}
    with pytest.raises(ConversionError, match="c2d is not among the accelerators"):
        convert(nn.Conv2d(2, 4, 3).eval(), example, accelerators=(), force={"conv2d": "c2d"})
    with pytest.raises(ConversionError, match="unknown accelerator npu; known are c2d, fft, zip"):
        convert(nn.Conv2d(2, 4, 3).eval(), example, accelerators=("npu",))
