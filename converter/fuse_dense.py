"""What follows a float convolution, an addition and limits of the result, becomes part of it: values are written once."""

from __future__ import annotations

from dataclasses import replace

from cosoc.converter.fuse import only_reader, without
from cosoc.converter.ir import Graph, Node

LIMITS = ("low", "high")


def fuse_dense(graph: Graph) -> Graph:
    """Fuses additions, then activations, into the convolutions before them."""
    for node in graph.nodes:
        if node.op == "binary" and node.attributes["operation"] == "add":
            graph = fuse_addition(graph, node) or graph
        elif node.op == "unary":
            graph = fuse_limits(graph, node) or graph
    return graph


def open_convolution(graph: Graph, tensor: str, reader: Node) -> Node | None:
    """The float convolution that makes a tensor for this reader alone and does not clamp it yet."""
    convolution = graph.producer(tensor)
    if convolution is None or convolution.op != "convolution" or set(LIMITS) & set(convolution.attributes):
        return None
    found = only_reader(graph, tensor)
    return convolution if found is not None and found.outputs == reader.outputs else None


def fuse_addition(graph: Graph, addition: Node) -> Graph | None:
    """The graph with an addition inside one of the convolutions that make its operands."""
    for position in (1, 0):
        tensor, other = addition.inputs[position], addition.inputs[1 - position]
        convolution = open_convolution(graph, tensor, addition)
        if (
            convolution is None
            or convolution.attributes.get("residual")
            or graph.tensors[other].shape != graph.tensors[tensor].shape
        ):
            continue
        fused = replace(
            convolution,
            inputs=(*convolution.inputs, other),
            outputs=addition.outputs,
            attributes=convolution.attributes | {"residual": True},
        )
        return without(graph, convolution, fused, tensor)
    return None


def fuse_limits(graph: Graph, activation: Node) -> Graph | None:
    """The graph with a ReLU or a clamp inside the convolution before it."""
    if activation.attributes["operation"] == "relu":
        limits = {"low": 0.0}
    elif activation.attributes["operation"] == "clamp":
        limits = dict(zip(LIMITS, activation.attributes["parameters"], strict=True))
    else:
        return None
    (tensor,) = activation.inputs
    convolution = open_convolution(graph, tensor, activation)
    if convolution is None:
        return None
    fused = replace(convolution, outputs=activation.outputs, attributes=convolution.attributes | limits)
    return without(graph, convolution, fused, tensor)
