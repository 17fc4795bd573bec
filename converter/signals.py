"""Complex element-wise work becomes the operation `zip`, which CPU and ZIP accelerators have; transforms and zips are tagged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from cosoc.converter.ir import Graph, Node
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig

BINARY = {"add": "add", "sub": "sub", "mul": "mul", "div": "div"}
"""Operations of `binary` by those of `zip`."""

SIGNALS = ("fft", "rfft", "fft_multiply", "zip", "zip_int16")


def fuse_signals(graph: Graph) -> Graph:
    """The graph with `zip` in the place of complex element-wise operations, and of the product that makes a transform's input."""
    return replace(graph, nodes=tuple(as_zip(graph, node) or node for node in graph.nodes))


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
    """Whether only transforms read a real result, by way of a cast."""
    readers = [other for other in graph.nodes if node.outputs[0] in other.inputs]
    casts = [other for other in readers if other.op == "cast" and graph.tensors[other.outputs[0]].dtype == "complex64"]
    after = [other for cast in casts for other in graph.nodes if cast.outputs[0] in other.inputs]
    return bool(readers) and len(casts) == len(readers) and all(other.op == "fft" for other in after)


def signal_obstacle(graph: Graph, node: Node) -> str:
    """Why FFT or ZIP accelerators of default size cannot run a node; empty when they can. Their drivers have the last word."""
    if node.op != "fft":
        return ""
    shape = graph.tensors[node.inputs[0]].shape
    length = shape[node.attributes.get("axis", len(shape) - 1)]
    least, most = 1 << MIN_LOG2, 1 << FFTConfig().max_log2
    if length & (length - 1) or not least <= length <= most:
        return f"a transform of {length} points: fft has powers of two from {least} to {most}"
    return ""


def accelerator_of(node: Node) -> str:
    """The kind of accelerator for an operation on signals."""
    return "zip" if node.op.startswith("zip") else "fft"


def tag_signals(graph: Graph, accelerators: Collection[str]) -> Graph:
    """Adds fft and zip to the devices of every node that they can compute."""
    nodes = []
    for node in graph.nodes:
        kind = accelerator_of(node)
        capable = node.op in SIGNALS and kind in accelerators and not signal_obstacle(graph, node)
        nodes.append(replace(node, devices=("cpu", kind)) if capable else node)
    return replace(graph, nodes=tuple(nodes))
