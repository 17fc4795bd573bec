"""Complex element-wise work becomes the operation `zip`, which CPU and ZIP accelerators have; transforms and zips are tagged."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from cosoc.converter.errors import ConversionError
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
    """Whether only transforms read a real result, some of them by way of a cast."""

    def is_transform(reader: Node) -> bool:
        if reader.op == "rfft":
            return True
        after = [other for other in graph.nodes if reader.outputs[0] in other.inputs]
        return reader.op == "cast" and bool(after) and all(other.op == "fft" for other in after)

    readers = [other for other in graph.nodes if node.outputs[0] in other.inputs]
    return bool(readers) and all(map(is_transform, readers))


def signal_obstacle(graph: Graph, node: Node, max_log2: int = FFTConfig().max_log2) -> str:
    """Why FFT or ZIP accelerators cannot run a node; empty when they can. Their drivers have the last word.

    Args:
        max_log2: of the longest transform.
    """
    if node.op not in ("fft", "rfft"):
        return ""
    shape = graph.tensors[node.inputs[0]].shape
    length = shape[node.attributes.get("axis", len(shape) - 1)]
    factor, what = (2, "real samples") if node.op == "rfft" else (1, "points")
    least, most = factor << MIN_LOG2, factor << max_log2
    if length & (length - 1) or not least <= length <= most:
        return f"a transform of {length} {what}: fft has powers of two from {least} to {most}"
    return ""


@dataclass(frozen=True)
class Transforms:
    """What the FFT of a SoC computes.

    Attributes:
        real: transforms of real signals stay such. That is half the work; but FFT built without `fft_real_input` cannot do it.
        max_log2: of the longest transform.
    """

    real: bool
    max_log2: int = FFTConfig().max_log2


def transforms_of(accelerators: Collection[str], soc: str | Path | None) -> Transforms:
    """What FFT can do.

    Args:
        accelerators: that may run nodes.
        soc: directory of a build; without one the accelerators are those of the default one.

    Raises:
        ConversionError: there is no such build.
    """
    if "fft" not in accelerators:
        return Transforms(real=True)
    if soc is None:
        return Transforms(bool(FFTConfig().real_input))
    try:
        description = json.loads((Path(soc) / "soc.json").read_text())
    except (OSError, ValueError) as error:
        raise ConversionError(f"{soc} is no build; expected a directory with soc.json ({error})") from error
    found = [item["config"] for item in description["accelerators"] if item["kind"] == "fft"]
    longest = max((config["max_log2"] for config in found), default=FFTConfig().max_log2)
    return Transforms(all(config["real_input"] for config in found), longest)


def accelerator_of(node: Node) -> str:
    """The kind of accelerator for an operation on signals."""
    return "zip" if node.op.startswith("zip") else "fft"


def tag_signals(graph: Graph, accelerators: Collection[str], max_log2: int) -> Graph:
    """Adds fft and zip to the devices of every node that they can compute."""
    nodes = []
    for node in graph.nodes:
        kind = accelerator_of(node)
        capable = node.op in SIGNALS and kind in accelerators and not signal_obstacle(graph, node, max_log2)
        nodes.append(replace(node, devices=("cpu", kind)) if capable else node)
    return replace(graph, nodes=tuple(nodes))
