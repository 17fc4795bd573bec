"""Which devices may run each node: tags only, the runtime chooses among them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import Graph, Node
from cosoc.converter.signals import SIGNALS, accelerator_of, signal_obstacle
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION

FORCED = ("cpu", "c2d", "fft", "zip")
"""Devices that the user may force."""

CONV2D_OPERATIONS = ("conv2d", "conv_transpose2d", "max_pool2d", "average_pool2d", "add")

FLOAT_PRODUCTS = ("convolution", "matmul")
"""Operations on dense tensors whose integers would be a `conv2d`."""

MAX_KERNEL = 127
"""Most rows or columns of a kernel, and largest distance between its taps."""

MAX_STRIDE, MAX_POINT_STRIDE = 7, 255
"""Largest strides of a kernel, and along an axis on which it has one tap."""

MAX_PADDING = 255
MAX_POOL, MAX_POOL_STRIDE = 15, 7
MIN_FACTOR_LOG2, MAX_FACTOR = -17, 256
"""Bounds of the scale of a residual by that of the output."""


def obstacle(graph: Graph, node: Node) -> str:
    """Why no accelerator of default size can run a node; empty when one can.

    The limits are those of the driver's compiler (`software/drivers/conv2d/layer.cpp`), which has the last word.
    """
    if node.op in SIGNALS:
        return signal_obstacle(graph, node)
    if node.op in FLOAT_PRODUCTS and graph.tensors[node.inputs[1]].constant:
        return f"no accelerator computes {node.op} in float: c2d has int8 and int16"
    if node.op not in CONV2D_OPERATIONS:
        return f"no accelerator computes {node.function}"
    attributes = node.attributes
    if node.op == "add":
        return factor_obstacle(attributes["multipliers"][1])
    if node.op == "max_pool2d":
        return pool_obstacle(attributes["kernel"], attributes["stride"], attributes["padding"])
    if node.op == "average_pool2d":
        return kernel_obstacle(attributes["kernel"], attributes["stride"], attributes["padding"], [1, 1])
    kernel = list(graph.tensors[node.inputs[1]].shape[1:3])
    if node.op == "conv_transpose2d":
        return transposed_obstacle(kernel, attributes)
    why = kernel_obstacle(kernel, attributes["stride"], attributes["padding"], attributes["dilation"])
    if not why and "residual_multiplier" in attributes:
        why = factor_obstacle(attributes["residual_multiplier"] / 2 ** RESIDUAL_FRACTION[8])
    if not why and "pool_kernel" in attributes:
        window = attributes["pool_kernel"], attributes["pool_stride"], attributes["pool_padding"]
        why = kernel_obstacle(*window, [1, 1]) if "pool_multiplier" in attributes else pool_obstacle(*window)
    return why


def kernel_obstacle(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> str:
    """Why c2d has no convolution, or average, with such a kernel; [rows, columns], padding [top, left, bottom, right]."""
    if max(kernel) > MAX_KERNEL:
        return f"kernel {kernel[0]}x{kernel[1]}: c2d computes up to {MAX_KERNEL}x{MAX_KERNEL}"
    if any(size > (MAX_POINT_STRIDE if taps == 1 else MAX_STRIDE) for size, taps in zip(stride, kernel, strict=True)):
        return f"stride {stride}: c2d computes up to {MAX_STRIDE}, or {MAX_POINT_STRIDE} where the kernel has one tap"
    if any(size > MAX_KERNEL or size * (taps - 1) > MAX_KERNEL for size, taps in zip(dilation, kernel, strict=True)):
        return f"dilation {dilation}: the taps of a kernel of c2d are at most {MAX_KERNEL} apart"
    if max(padding) > MAX_PADDING:
        return f"padding {padding}: c2d computes up to {MAX_PADDING}"
    return ""


def transposed_obstacle(kernel: Sequence[int], attributes: Mapping[str, Any]) -> str:
    """Why c2d has no such transposed convolution, whose strides only place its output."""
    if max(attributes["stride"]) > MAX_POINT_STRIDE or max(attributes["output_padding"]) >= MAX_POINT_STRIDE:
        return f"stride {attributes['stride']}: transposed convolutions of c2d have up to {MAX_POINT_STRIDE}"
    return kernel_obstacle(kernel, [1, 1], attributes["padding"], attributes["dilation"])


def pool_obstacle(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> str:
    """Why c2d has no max pooling over such windows."""
    if max(kernel) > MAX_POOL:
        return f"max pooling over {kernel[0]}x{kernel[1]}: c2d pools up to {MAX_POOL}x{MAX_POOL}"
    if max(stride) > MAX_POOL_STRIDE:
        return f"max pooling with stride {stride}: c2d pools with up to {MAX_POOL_STRIDE}"
    if any(size >= taps for size, taps in zip(padding, [*kernel, *kernel], strict=True)):
        return f"max pooling with padding {padding}: c2d pools with less than the window's {kernel[0]}x{kernel[1]}"
    return ""


def factor_obstacle(factor: float) -> str:
    """Why c2d cannot add a tensor of `factor` times the output's scale."""
    if 2.0**MIN_FACTOR_LOG2 <= factor <= MAX_FACTOR:
        return ""
    return f"a sum with factor {factor:g}: c2d adds with 2^{MIN_FACTOR_LOG2} to {MAX_FACTOR}"


def reason(graph: Graph, node: Node) -> str:
    """Why a node may run where it may, in words."""
    kind = accelerator_of(node) if node.op in SIGNALS else "c2d"
    why = obstacle(graph, node)
    if why and kind not in node.devices:
        return why
    if kind not in node.devices:
        smaller = ", or the SoC's has shorter transforms only" if kind == "fft" else ""
        return f"{kind} could run it, but was excluded when the model was converted{smaller}"
    if kind == "c2d" and graph.tensors[node.inputs[0]].dtype == "int16":
        return "c2d computes it when it is built with c2d_activation_bits=16"
    return f"{kind} computes it" if "cpu" in node.devices else f"forced to {kind} when the model was converted"


def tag_devices(graph: Graph, accelerators: Collection[str]) -> Graph:
    """Adds c2d to the devices of every node that it can compute."""
    nodes = []
    for node in graph.nodes:
        capable = "c2d" in accelerators and node.op in CONV2D_OPERATIONS and not obstacle(graph, node)
        nodes.append(replace(node, devices=("cpu", "c2d") if capable else ("cpu",)))
    return replace(graph, nodes=tuple(nodes))


def computes(device: str, node: Node) -> bool:
    """Whether a kind of device has a node's operation at all."""
    if device == "c2d":
        return node.op in CONV2D_OPERATIONS
    return device == "cpu" or (node.op in SIGNALS and accelerator_of(node) == device)


def apply_force(graph: Graph, force: Mapping[str, str]) -> Graph:
    """Leaves one device to the named nodes, or to all nodes of the named modules whose operation it has at all: what the converter
    put beside them (`X.layout`, `X.cast`) stays where it was.

    Raises:
        ConversionError: no such node or device, or the device cannot run the node.
    """
    nodes = {node.name: node for node in graph.nodes}
    for wanted, device in force.items():
        chosen = [name for name in nodes if name == wanted or name.startswith((f"{wanted}.", f"{wanted}#"))]
        if device not in FORCED:
            raise ConversionError(f"force: {wanted}={device} is not possible; devices are {', '.join(FORCED)}")
        if not chosen:
            raise ConversionError(f"force: no node or module is named {wanted}; nodes are {', '.join(nodes)}")
        for name in [name for name in chosen if computes(device, nodes[name])] or chosen:
            if device not in nodes[name].devices:
                why = (
                    obstacle(graph, nodes[name])
                    or f"{device} does not compute {nodes[name].op}, or is not among the accelerators of this conversion"
                )
                raise ConversionError(f"force: {name} cannot run on {device} ({why})")
            nodes[name] = replace(nodes[name], devices=(device,))
    return replace(graph, nodes=tuple(nodes.values()))
