"""Complex element-wise work becomes the operation `zip`, which CPU and ZIP accelerators have, or a part of a transform."""

from __future__ import annotations

from dataclasses import replace

from cosoc.converter.fuse import only_reader, without
from cosoc.converter.ir import Graph, Node
from cosoc.converter.signals import Transforms

BINARY = {"add": "add", "sub": "sub", "mul": "mul", "div": "div"}
"""Operations of `binary` by those of `zip`."""


def fuse_signals(graph: Graph) -> Graph:
    """The graph with `zip` in the place of complex element-wise operations, and of the product that makes a transform's input."""
    return fuse_conjugates(replace(graph, nodes=tuple(as_zip(graph, node) or node for node in graph.nodes)))


def fuse_conjugates(graph: Graph) -> Graph:
    """The graph with `a * conj(b)` as one product, as correlations have it; the conjugate may be either operand."""
    for node in graph.nodes:
        if node.op != "zip" or node.attributes["operation"] != "mul":
            continue
        shapes = [graph.tensors[name].shape for name in node.inputs]
        for index in (1, 0) if shapes[0] == shapes[1] else (1,):
            maker = graph.producer(node.inputs[index])
            conjugates = maker is not None and maker.op == "unary" and maker.attributes["operation"] == "conj"
            if maker is None or not conjugates or only_reader(graph, node.inputs[index]) is not node:
                continue
            inputs = (node.inputs[1 - index], maker.inputs[0])
            fused = replace(node, inputs=inputs, attributes={"operation": "conjugate_mul"})
            graph = without(graph, maker, fused, node.inputs[index])
            break
    return graph


def as_zip(graph: Graph, node: Node) -> Node | None:
    """A node as a `zip`; None where it is none, or the runtime would gain nothing."""
    tensors = [graph.tensors[name] for name in node.inputs]
    output = graph.tensors[node.outputs[0]]
    operation = node.attributes.get("operation")
    if node.op == "unary" and operation == "abs" and tensors[0].dtype == "complex64":
        return replace(node, op="zip", attributes={"operation": "magnitude"})
    if node.op != "binary" or operation not in BINARY or output.dtype not in ("complex64", "float32"):
        return None
    first, second = tensors
    repeats = first.shape[len(first.shape) - len(second.shape) :] == second.shape and len(second.shape) <= len(first.shape)
    if first.shape != output.shape or not repeats or any(tensor.dtype != output.dtype for tensor in tensors):
        return None
    if output.dtype == "float32" and not windows(graph, node):
        return None
    return replace(node, op="zip", attributes={"operation": BINARY[operation]})


def windows(graph: Graph, node: Node) -> bool:
    """Whether only transforms read a real result, some of them by way of a cast."""

    def is_transform(reader: Node) -> bool:
        if reader.op == "rfft":
            return True
        after = [other for other in graph.nodes if reader.outputs[0] in other.inputs]
        return reader.op == "cast" and bool(after) and all(other.op == "fft" for other in after)

    readers = [other for other in graph.nodes if node.outputs[0] in other.inputs]
    return bool(readers) and all(map(is_transform, readers))


def fuse_products(graph: Graph, transforms: Transforms) -> Graph:
    """The graph with `fft_multiply` in the place of transforms along the last axis that only a product reads, where FFT has it."""
    if not transforms.present or not transforms.config.multiply:
        return graph
    for node in graph.nodes:
        product = node.op == "zip" and node.attributes["operation"] in ("mul", "conjugate_mul")
        transform = graph.producer(node.inputs[0]) if product else None
        if transform is None or transform.op != "fft" or only_reader(graph, node.inputs[0]) is not node:
            continue
        rank = len(graph.tensors[node.inputs[0]].shape)
        if transform.attributes.get("axis", rank - 1) == rank - 1 and graph.tensors[node.inputs[1]].shape:
            attributes = {"direction": transform.attributes["direction"], "operation": node.attributes["operation"]}
            inputs = (transform.inputs[0], node.inputs[1])
            fused = replace(node, op="fft_multiply", inputs=inputs, attributes=attributes)
            graph = without(graph, transform, fused, node.inputs[0])
    return graph
