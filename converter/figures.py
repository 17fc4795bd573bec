"""Numbers about a graph, and how they are written: work, sizes, precision, crossings."""

from __future__ import annotations

import math

from cosoc.converter.estimate import Estimate
from cosoc.converter.ir import DTYPES, Graph, Node
from cosoc.converter.spec import window_output

STATES = {"lstm": 2, "gru": 1}
"""Inputs of a recurrent layer between its sequence and its two weights."""


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of a node for the graph's batch, before its pooling, as each output's definition counts them: of
    convolutions, matrix products, recurrent layers and attention; 0 for other operations."""
    shapes = [graph.tensors[name].shape for name in node.inputs]
    attributes = node.attributes
    if node.op == "conv2d":
        batch, *size, _ = shapes[0]
        extent = [step * (taps - 1) + 1 for step, taps in zip(attributes["dilation"], shapes[1][1:3], strict=True)]
        return batch * math.prod(window_output(size, extent, attributes["stride"], attributes["padding"])) * math.prod(shapes[1])
    if node.op == "conv_transpose2d":
        return math.prod(shapes[0][:3]) * math.prod(shapes[1])
    output = graph.tensors[node.outputs[0]].shape
    if node.op == "convolution":
        # Every pixel, of the input where it is transposed, meets the whole weight once.
        batch, _, *pixels = shapes[0] if attributes["transposed"] else output
        return batch * math.prod(pixels) * math.prod(shapes[1])
    if node.op == "matmul":
        return math.prod(output) * shapes[0][-1]
    if node.op in ("lstm", "gru"):
        states = STATES[node.op]
        return math.prod(shapes[0][:2]) * sum(math.prod(shape) for shape in shapes[1 + states :] if len(shape) == 2)
    if node.op == "attention":
        batch, queries, features = shapes[0]
        return batch * queries * shapes[1][1] * (features + shapes[2][2])
    return 0


def describe_output(graph: Graph, tensor: str) -> str:
    """`int8 (1, 32, 32, 16)`."""
    found = graph.tensors[tensor]
    return f"{found.dtype} ({', '.join(map(str, found.shape))})"


def precision(graph: Graph, node: Node) -> str:
    """Type in which a node computes: that of its integers where it has some."""
    dtypes = [graph.tensors[name].dtype for name in (*node.outputs, *node.inputs)]
    return next((dtype for dtype in dtypes if dtype in ("int8", "int16")), dtypes[0])


def device_of(node: Node, estimate: Estimate | None) -> str:
    """Kind of device that runs a node: where the estimate places it, or else the accelerator that may."""
    if estimate is not None and node.name in estimate.nodes:
        return estimate.nodes[node.name].device.rstrip("0123456789")
    return next((device for device in node.devices if device != "cpu"), "cpu")


def crossings(graph: Graph, estimate: Estimate | None) -> int:
    """Tensors that one kind of device makes and another one reads: the CPU and accelerators count as two."""
    where = {name: device_of(node, estimate) == "cpu" for node in graph.nodes for name in node.outputs}
    pairs = {(name, device_of(node, estimate) == "cpu") for node in graph.nodes for name in node.inputs if name in where}
    return sum(where[name] != reader for name, reader in pairs)


def weight_bytes(graph: Graph) -> int:
    """Bytes of all constants."""
    return sum(math.prod(tensor.shape) * DTYPES[tensor.dtype].itemsize for tensor in graph.tensors.values() if tensor.constant)


def duration(nanoseconds: float) -> str:
    """`12.3 us`, `4.56 ms`."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def quantity(count: int) -> str:
    """`9.59 M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def size_of(count: int) -> str:
    """`1.2 MB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
