"""Fusion into convolutions: what it makes, what it must leave alone, and that the integers stay those of the rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cosoc.converter.emulation import run_graph
from cosoc.converter.fuse import fuse
from cosoc.converter.ir import Constants, Graph, Node, Tensor
from cosoc.converter.model_cpp import model_cpp
from cosoc.converter.spec import SpecError, verify
from cosoc.gateware.conv2d.golden import OutputFormat, Pooling, convolve

SHAPE = (1, 6, 5, 3)


def block(clamp: tuple[int, int] = (-128, 127), pool: bool = True) -> tuple[Graph, Constants]:
    """quantize -> conv2d -> add(that, the quantized input) -> max_pool2d -> dequantize."""
    random = np.random.default_rng(7)
    constants: Constants = {
        "w": random.integers(-127, 128, (3, 3, 3, 3)).astype(np.int8),
        "b": random.integers(-999, 999, 3).astype(np.int32),
        "m": np.array([0.004, 0.002, 0.003], np.float32),
    }
    maps = {
        "x": Tensor("x", "float32", (1, 3, 6, 5)),
        "q": Tensor("q", "int8", SHAPE, 0.5, 3),
        "c": Tensor("c", "int8", SHAPE, 0.25, -4),
        "s": Tensor("s", "int8", SHAPE, 0.75, 9),
        "p": Tensor("p", "int8", (1, 3, 2, 3), 0.75, 9),
        "y": Tensor("y", "float32", (1, 3, 3, 2) if pool else (1, 3, 6, 5)),
    }
    tensors = maps | {name: Tensor(name, str(data.dtype), data.shape, constant=True) for name, data in constants.items()}
    attributes: dict[str, Any] = {"stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 1}
    factors = [float(np.float32(0.25 / 0.75)), float(np.float32(0.5 / 0.75))]
    nodes = [
        Node("in", "quantize", ("x",), ("q",)),
        Node("conv", "conv2d", ("q", "w", "b", "m"), ("c",), attributes | {"clamp": list(clamp)}),
        Node("sum", "add", ("c", "q"), ("s",), {"multipliers": factors, "clamp": [-100, 90]}),
        Node("pool", "max_pool2d", ("s",), ("p",), {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0, 0, 0]}),
        Node("out", "dequantize", ("p",), ("y",)),
    ]
    if not pool:
        nodes[3:] = [Node("out", "dequantize", ("s",), ("y",))]
        del tensors["p"]
    graph = Graph("block", ("x",), ("y",), tensors, tuple(nodes))
    verify(graph)
    return graph, constants


def test_what_an_activation_limits_is_no_part_of_a_sum() -> None:
    """Its limits may be the ends of int8, so that nothing in the convolution shows them."""
    graph, constants = block(pool=False)
    assert fuse(graph, dict(constants), limited={"c"}) == graph
    assert fuse(graph, dict(constants), limited={"s"}) != graph


def test_a_residual_block_becomes_one_convolution() -> None:
    graph, constants = block()
    before = dict(constants)
    fused = fuse(graph, constants)
    verify(fused)
    assert [node.op for node in fused.nodes] == ["quantize", "conv2d", "dequantize"]
    convolution = fused.nodes[1]
    assert convolution.inputs == ("q", "w", "b", "m", "q")
    assert "residual" in model_cpp(fused)

    x = np.random.default_rng(1).uniform(-60, 60, (1, 3, 6, 5)).astype(np.float32)
    values = run_graph(fused, constants, [x])
    multiplier = (before["m"].astype(np.float64) * np.float32(0.25 / 0.75)).astype(np.float32)
    residual = round(float(np.float32(0.5 / 0.75)) * 65536)
    expected = convolve(
        values["q"],
        before["w"],
        before["b"],
        multiplier,
        OutputFormat(zero_point=9, clamp_min=-100, clamp_max=90, residual_zero_point=3, residual_multiplier=residual),
        padding=(1, 1, 1, 1),
        in_zero_point=3,
        residual=values["q"],
        pooling=Pooling(window=(2, 2), stride=(2, 2)),
    )
    np.testing.assert_array_equal(values["p"], expected)


def test_fusion_changes_a_result_by_one_rounding_at_most() -> None:
    graph, constants = block(pool=False)
    x = np.random.default_rng(2).uniform(-30, 30, (1, 3, 6, 5)).astype(np.float32)
    separate = run_graph(graph, dict(constants), [x])["s"].astype(int)
    together = run_graph(fuse(graph, constants), constants, [x])["s"].astype(int)
    assert np.abs(separate - together).max() <= 1


@pytest.mark.parametrize("reason", ["activation", "second reader", "graph output", "added to itself"])
def test_what_must_stay(reason: str) -> None:
    graph, constants = block(clamp=(0, 127) if reason == "activation" else (-128, 127), pool=False)
    if reason == "second reader":
        extra = Node("more", "dequantize", ("c",), ("z",))
        tensors = graph.tensors | {"z": Tensor("z", "float32", (1, 3, 6, 5))}
        graph = replace(graph, tensors=tensors, nodes=(*graph.nodes, extra), outputs=("y", "z"))
    elif reason == "graph output":
        graph = replace(graph, outputs=("y", "c"))
    elif reason == "added to itself":
        graph = replace(graph, nodes=tuple(replace(n, inputs=("c", "c")) if n.op == "add" else n for n in graph.nodes))
    assert fuse(graph, constants) == graph


def test_a_residual_needs_its_multiplier_and_its_shape() -> None:
    graph, constants = block()
    fused = fuse(graph, constants)
    convolution = fused.nodes[1]
    without = {key: value for key, value in convolution.attributes.items() if key != "residual_multiplier"}
    for wrong in (replace(convolution, inputs=convolution.inputs[:4]), replace(convolution, attributes=without)):
        with pytest.raises(SpecError, match="residual_multiplier"):
            verify(replace(fused, nodes=(fused.nodes[0], wrong, fused.nodes[2])))


def averaging(kernel: list[int], stride: list[int]) -> tuple[Graph, Constants]:
    """`block` without the addition, and with an average pooling, whose output has a scale of its own."""
    graph, constants = block(clamp=(-100, 90))
    size = [(extent - taps) // step + 1 for extent, taps, step in zip((6, 5), kernel, stride, strict=True)]
    attributes = {"kernel": kernel, "stride": stride, "padding": [0, 0, 0, 0], "multiplier": 0.125, "clamp": [-90, 80]}
    pooling = Node("pool", "average_pool2d", ("c",), ("p",), attributes)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name != "s"}
    tensors |= {"p": Tensor("p", "int8", (1, *size, 3), 0.5, 6), "y": Tensor("y", "float32", (1, 3, *size))}
    return replace(graph, tensors=tensors, nodes=(*graph.nodes[:2], pooling, graph.nodes[4])), constants


@pytest.mark.parametrize(("kernel", "stride"), [([2, 2], [2, 1]), ([6, 5], [1, 1])])
def test_an_average_pooling_becomes_part_of_its_convolution(kernel: list[int], stride: list[int]) -> None:
    graph, constants = averaging(kernel, stride)
    verify(graph)
    fused = fuse(graph, constants)
    verify(fused)
    assert [node.op for node in fused.nodes] == ["quantize", "conv2d", "dequantize"]
    attributes = fused.nodes[1].attributes
    assert attributes["pool_zero_point"] == -4, "that of the convolution's result"
    assert "Conv2DAverage" in model_cpp(fused)
    x = np.random.default_rng(4).uniform(-60, 60, (1, 3, 6, 5)).astype(np.float32)
    separate = run_graph(graph, constants, [x])["p"]
    np.testing.assert_array_equal(run_graph(fused, constants, [x])["p"], separate)
    assert np.unique(separate).size > 2
    without = {key: value for key, value in attributes.items() if not key.startswith("pool_m")}
    with pytest.raises(SpecError, match="attributes"):
        verify(replace(fused, nodes=(fused.nodes[0], replace(fused.nodes[1], attributes=without), fused.nodes[2])))


@pytest.mark.parametrize("op", ["average_pool2d", "max_pool2d"])
def test_a_pooling_that_the_accelerator_cannot_do_stays_apart(op: str) -> None:
    """Else its convolution could not go there either."""
    graph, constants = averaging([2, 2], [8, 8])
    if op == "max_pool2d":
        graph, constants = block()
        window = {"kernel": [2, 2], "stride": [8, 8], "padding": [0, 0, 0, 0]}
        graph = replace(graph, nodes=tuple(replace(n, attributes=window) if n.op == op else n for n in graph.nodes))
    assert op in [node.op for node in fuse(graph, constants).nodes]
