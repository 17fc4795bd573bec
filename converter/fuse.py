"""Residual additions and poolings become part of the convolution before them: its result need not leave the accelerator."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from cosoc.converter.ir import Constants, Graph, Node
from cosoc.converter.placement import kernel_obstacle, pool_obstacle
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION

INT8_RANGE = [-128, 127]
MAX_RESIDUAL = 16.0
"""Bound of the scale of a residual by that of the output: at it, a residual of 8 already saturates int8."""


def only_reader(graph: Graph, tensor: str) -> Node | None:
    """The one node that reads a tensor that nobody else sees."""
    found = [node for node in graph.nodes if tensor in node.inputs]
    return found[0] if len(found) == 1 and tensor not in graph.outputs and found[0].inputs.count(tensor) == 1 else None


def without(graph: Graph, removed: Node, fused: Node, tensor: str) -> Graph:
    """The graph with `fused` in the place of its last part, and without the node and the tensor that went into it."""
    nodes = tuple(fused if node.outputs == fused.outputs else node for node in graph.nodes if node is not removed)
    return replace(graph, nodes=nodes, tensors={name: value for name, value in graph.tensors.items() if name != tensor})


def fuse_residual(graph: Graph, constants: Constants, addition: Node, limited: Collection[str]) -> Graph | None:
    """The graph with this addition inside one of the convolutions that make its operands; None when neither can take it.

    The sum is then rounded once, not twice. A convolution whose own output is limited by an activation keeps it, so it cannot,
    also where the limits are the ends of the integers' range, as they are of a ReLU whose zero point is the least integer.
    """
    for position in (1, 0):
        tensor = addition.inputs[position]
        convolution = graph.producer(tensor)
        factors = addition.attributes["multipliers"]
        residual_factor = factors[1 - position]
        if (
            convolution is None
            or convolution.op != "conv2d"
            or len(convolution.inputs) != 4
            or "pool_kernel" in convolution.attributes
            or tensor in limited
            or convolution.attributes["clamp"] != INT8_RANGE
            or only_reader(graph, tensor) is not addition
            or residual_factor >= MAX_RESIDUAL
        ):
            continue
        name = convolution.inputs[3]
        multiplier = constants[name].astype(np.float64) * factors[position]
        constants[name] = multiplier.astype(np.float32)
        attributes = convolution.attributes | {
            "clamp": addition.attributes["clamp"],
            "residual_multiplier": max(1, round(residual_factor * 2 ** RESIDUAL_FRACTION[8])),
        }
        inputs = (*convolution.inputs, addition.inputs[1 - position])
        fused = replace(convolution, inputs=inputs, outputs=addition.outputs, attributes=attributes)
        return without(graph, convolution, fused, tensor)
    return None


def fuse_pooling(graph: Graph, pooling: Node) -> Graph | None:
    """The graph with this pooling inside the convolution that makes its input; None when there is none.

    A pooling that the accelerator cannot do stays apart, so that the convolution still can go there.
    """
    (tensor,) = pooling.inputs
    convolution = graph.producer(tensor)
    if convolution is None or convolution.op != "conv2d" or "pool_kernel" in convolution.attributes:
        return None
    if only_reader(graph, tensor) is not pooling:
        return None
    kernel, stride, padding = (pooling.attributes[key] for key in ("kernel", "stride", "padding"))
    averages = pooling.op == "average_pool2d"
    if kernel_obstacle(kernel, stride, padding, [1, 1]) if averages else pool_obstacle(kernel, stride, padding):
        return None
    attributes = {f"pool_{key}": value for key, value in pooling.attributes.items()}
    if averages:
        attributes["pool_zero_point"] = graph.tensors[tensor].zero_point
    fused = replace(convolution, outputs=pooling.outputs, attributes=convolution.attributes | attributes)
    return without(graph, convolution, fused, tensor)


def fuse(graph: Graph, constants: Constants, limited: Collection[str] = ()) -> Graph:
    """Fuses what can be fused, additions first; `constants` are rescaled with their convolution.

    Args:
        limited: tensors whose values an activation limits.
    """
    for node in graph.nodes:
        fused = None
        if node.op == "add":
            fused = fuse_residual(graph, constants, node, limited)
        elif node.op in ("max_pool2d", "average_pool2d"):
            fused = fuse_pooling(graph, node)
        graph = fused or graph
    return graph
