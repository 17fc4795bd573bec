"""Which devices may run each node: tags only, the runtime chooses among them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import Graph, Node

CONV2D_OPERATIONS = ("conv2d", "max_pool2d", "average_pool2d", "add")

MAX_KERNEL, MAX_STRIDE, MAX_POOL, MAX_POOL_PADDING = 127, 7, 15, 16
"""Limits of the fields of the engine's instructions: offsets of a tap, strides, window and padding of a max pooling."""


def obstacle(graph: Graph, node: Node) -> str:
    """Why the Conv2D accelerator cannot run a node; empty when it can."""
    if node.op not in CONV2D_OPERATIONS:
        return f"no accelerator computes {node.op}"
    attributes = node.attributes
    if "pool_kernel" in attributes or node.op == "max_pool2d":
        prefix = "pool_" if node.op == "conv2d" else ""
        kernel, stride, padding = (attributes[prefix + name] for name in ("kernel", "stride", "padding"))
        if max(kernel) > MAX_POOL or max(stride) > MAX_STRIDE or max(padding) > MAX_POOL_PADDING:
            return f"max pooling over {kernel}, stride {stride}: c2d pools up to {MAX_POOL}x{MAX_POOL}, stride {MAX_STRIDE}"
    if node.op in ("add", "max_pool2d"):
        return ""
    kernel = graph.tensors[node.inputs[1]].shape[1:3] if node.op == "conv2d" else attributes["kernel"]
    if max(kernel) > MAX_KERNEL:
        return f"kernel {kernel[0]}x{kernel[1]}: c2d computes up to {MAX_KERNEL}x{MAX_KERNEL}"
    if max(attributes["stride"]) > MAX_STRIDE:
        return f"stride {attributes['stride']}: c2d computes up to {MAX_STRIDE}"
    return ""


def reason(graph: Graph, node: Node) -> str:
    """Why a node may run where it may, in words."""
    why = obstacle(graph, node)
    if why:
        return why
    if "c2d" not in node.devices:
        return "c2d could run it, but was excluded when the model was converted"
    return "c2d computes it" if "cpu" in node.devices else "forced to c2d when the model was converted"


def tag_devices(graph: Graph, accelerators: Collection[str]) -> Graph:
    """Adds c2d to the devices of every node that it can compute."""
    nodes = []
    for node in graph.nodes:
        capable = "c2d" in accelerators and not obstacle(graph, node)
        nodes.append(replace(node, devices=("cpu", "c2d") if capable else ("cpu",)))
    return replace(graph, nodes=tuple(nodes))


def apply_force(graph: Graph, force: Mapping[str, str]) -> Graph:
    """Leaves one device to the named nodes, or to all nodes of the named modules.

    Raises:
        ConversionError: no such node or device, or the device cannot run the node.
    """
    nodes = {node.name: node for node in graph.nodes}
    for wanted, device in force.items():
        chosen = [name for name in nodes if name == wanted or name.startswith((f"{wanted}.", f"{wanted}#"))]
        if device not in ("cpu", "c2d"):
            raise ConversionError(f"force: {wanted}={device} is not possible; devices are cpu and c2d")
        if not chosen:
            raise ConversionError(f"force: no node or module is named {wanted}; nodes are {', '.join(nodes)}")
        for name in chosen:
            if device not in nodes[name].devices:
                why = obstacle(graph, nodes[name]) or "c2d is not among the accelerators of this conversion"
                raise ConversionError(f"force: {name} cannot run on {device} ({why})")
            nodes[name] = replace(nodes[name], devices=(device,))
    return replace(graph, nodes=tuple(nodes.values()))
