"""The definition of a valid graph, executable: `verify` runs after every pass and whenever a bundle is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cosoc.converter import dense
from cosoc.converter.ir import DTYPES, Graph, Node, Tensor
from cosoc.converter.spec_base import Operation, expect_shape, integers, is_factor, require
from cosoc.converter.spec_base import SpecError as SpecError
from cosoc.converter.spec_signals import SIGNALS
from cosoc.gateware.accelerators import ACCELERATORS

ACTIVATIONS = ("int8", "int16")
"""Types of feature maps."""

FEATURE_MAP_RANK = 4
"""(N, H, W, C). Tensors of these types with another rank are plain integers, which need no scale."""

DEVICES = ("cpu", *(accelerator.name for accelerator in ACCELERATORS))


def is_clamp(value: Any) -> bool:
    """[least, greatest] in int16; the output's dtype limits it further."""
    return integers(-32768, 2)(value) and value[0] <= value[1] <= 32767


def is_factors(value: Any) -> bool:
    """Two positive finite numbers."""
    return isinstance(value, list) and len(value) == 2 and all(is_factor(x) for x in value)


WINDOW = {"kernel": integers(1, 2), "stride": integers(1, 2), "padding": integers(0, 4)}


def is_feature_map(tensor: Tensor) -> bool:
    """int8 or int16 (N, H, W, C) that is computed."""
    return tensor.dtype in ACTIVATIONS and len(tensor.shape) == FEATURE_MAP_RANK and not tensor.constant


def require_feature_maps(node: Node, *tensors: Tensor) -> None:
    """Feature maps of one dtype, which can hold the node's clamp."""
    require(all(is_feature_map(tensor) for tensor in tensors), "inputs and output must be feature maps, int8 or int16")
    dtypes = {tensor.dtype for tensor in tensors}
    require(len(dtypes) == 1, f"feature maps of {' and '.join(sorted(dtypes))}; all must have one dtype")
    limits = np.iinfo(DTYPES[dtypes.pop()])
    low, high = node.attributes.get("clamp", (0, 0))
    require(limits.min <= low and high <= limits.max, f"clamp {low}..{high} is not possible for {limits.dtype}")


def window_output(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> tuple[int, int]:
    """Height and width of the output of a sliding window."""
    height = (size[0] + padding[0] + padding[2] - kernel[0]) // stride[0] + 1
    width = (size[1] + padding[1] + padding[3] - kernel[1]) // stride[1] + 1
    return height, width


def check_constants(node: Node, tensors: Sequence[Tensor]) -> tuple[int, list[int]]:
    """Weight, bias and multiplier of a convolution; returns its output channels and the kernel's extents."""
    source, weight, bias, multiplier = tensors[:4]
    require(weight.dtype == "int8" and len(weight.shape) == 4 and weight.constant, "the weight must be constant int8 of rank 4")
    channels, *kernel, group_channels = weight.shape
    groups = node.attributes["groups"]
    require(channels % groups == 0, f"{channels} output channels do not divide into {groups} groups")
    require(
        source.shape[3] == group_channels * groups, f"{source.shape[3]} input channels; the weight has {groups} x {group_channels}"
    )
    for tensor, dtype in ((bias, "int32"), (multiplier, "float32")):
        fits = tensor.dtype == dtype and tensor.shape == (channels,) and tensor.constant
        require(fits, f"{tensor.name} must be constant {dtype} ({channels},)")
    return channels, kernel


def check_conv_transpose2d(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """Shapes and dtypes of a transposed convolution."""
    source = tensors[0]
    require_feature_maps(node, source, output)
    channels, kernel = check_constants(node, tensors)
    attributes = node.attributes
    padding = attributes["padding"]
    size = []
    for axis in (0, 1):
        reach = (source.shape[1 + axis] - 1) * attributes["stride"][axis] + attributes["dilation"][axis] * (kernel[axis] - 1) + 1
        size.append(reach - padding[axis] - padding[axis + 2] + attributes["output_padding"][axis])
    expect_shape(output, (source.shape[0], size[0], size[1], channels))


def check_conv2d(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """Shapes and dtypes of a convolution."""
    source = tensors[0]
    require_feature_maps(node, source, *tensors[4:], output)
    channels, kernel = check_constants(node, tensors)
    extent = [d * (k - 1) + 1 for d, k in zip(node.attributes["dilation"], kernel, strict=True)]
    size = window_output(source.shape[1:3], extent, node.attributes["stride"], node.attributes["padding"])
    result = replace(output, shape=(source.shape[0], *size, channels))
    require((len(tensors) == 5) == ("residual_multiplier" in node.attributes), "residual_multiplier goes with a fifth input")
    for residual in tensors[4:]:
        expect_shape(residual, result.shape)
    if "pool_kernel" not in node.attributes:
        require("pool_multiplier" not in node.attributes, "pool_multiplier goes with pool_kernel")
        expect_shape(output, result.shape)
        return
    pool = {key.removeprefix("pool_"): value for key, value in node.attributes.items() if key.startswith("pool_")}
    if "zero_point" in pool:
        result = replace(result, zero_point=pool["zero_point"])
        check_tensor(result)
    op = "average_pool2d" if "multiplier" in pool else "max_pool2d"
    check_pool(replace(node, op=op, attributes=pool), [result], output)


def check_pool(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """Shapes of a pooling. Every window must touch the image."""
    (source,) = tensors
    require_feature_maps(node, source, output)
    attributes = node.attributes
    kernel, stride, padding = attributes["kernel"], attributes["stride"], attributes["padding"]
    size = window_output(source.shape[1:3], kernel, stride, padding)
    for axis in (0, 1):
        last = (size[axis] - 1) * stride[axis] - padding[axis]
        require(padding[axis] < kernel[axis] and last < source.shape[1 + axis], "a window lies wholly in the padding")
    expect_shape(output, (source.shape[0], *size, source.shape[3]))
    if node.op == "max_pool2d":
        same = (source.scale, source.zero_point) == (output.scale, output.zero_point)
        require(same, "input and output must have the same scale and zero point")


def check_add(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """Two feature maps of one shape."""
    require_feature_maps(node, *tensors, output)
    require(tensors[0].shape == tensors[1].shape, f"shapes {tensors[0].shape} and {tensors[1].shape} differ")
    expect_shape(output, tensors[0].shape)


def float_shapes(node: Node, feature_map: Tensor) -> list[tuple[int, ...]]:
    """Shapes of float32 tensors that a feature map can hold, for `quantize` and `dequantize`."""
    batch, height, width, channels = feature_map.shape
    if node.attributes.get("channels_last"):
        return [feature_map.shape, *([(batch, width, channels)] if height == 1 else [])]
    rows = [(batch, channels, width)] if height == 1 else []
    return [(batch, channels, height, width), (batch, channels * height * width), *rows]


def check_quantize(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """(N, C, H, W), (N, C, L) or (N, F), or with channels last (N, H, W, C) or (N, L, C), into a feature map."""
    (source,) = tensors
    require(source.dtype == "float32" and is_feature_map(output), "float32 to a feature map, int8 or int16")
    fits = source.shape in float_shapes(node, output) and (len(source.shape) != 2 or output.shape[1:3] == (1, 1))
    require(fits, f"shape {source.shape} does not fit {output.shape}")


def check_dequantize(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """A feature map into (N, C, H, W), (N, C, L) or (N, C*H*W), or with channels last into (N, H, W, C) or (N, L, C)."""
    (source,) = tensors
    require(is_feature_map(source) and output.dtype == "float32", "a feature map, int8 or int16, to float32")
    require(output.shape in float_shapes(node, source), f"shape {source.shape} does not fit {output.shape}")


OPERATIONS: dict[str, Operation] = {
    "quantize": Operation(1, {}, check_quantize, options=({"channels_last": lambda value: isinstance(value, bool)},)),
    "dequantize": Operation(1, {}, check_dequantize, options=({"channels_last": lambda value: isinstance(value, bool)},)),
    "conv2d": Operation(
        4,
        {
            "stride": integers(1, 2),
            "padding": integers(0, 4),
            "dilation": integers(1, 2),
            "groups": lambda value: type(value) is int and value >= 1,
            "clamp": is_clamp,
        },
        check_conv2d,
        options=(
            {"residual_multiplier": lambda value: type(value) is int and 1 <= value < 1 << 28},
            {f"pool_{name}": test for name, test in WINDOW.items()},
            {"pool_multiplier": is_factor, "pool_zero_point": lambda value: type(value) is int, "pool_clamp": is_clamp},
        ),
        optional_inputs=1,
    ),
    "conv_transpose2d": Operation(
        4,
        {
            "stride": integers(1, 2),
            "padding": integers(0, 4),
            "output_padding": integers(0, 2),
            "dilation": integers(1, 2),
            "groups": lambda value: type(value) is int and value >= 1,
            "clamp": is_clamp,
        },
        check_conv_transpose2d,
    ),
    "max_pool2d": Operation(1, WINDOW, check_pool),
    "average_pool2d": Operation(1, {**WINDOW, "multiplier": is_factor, "clamp": is_clamp}, check_pool),
    "add": Operation(2, {"multipliers": is_factors, "clamp": is_clamp}, check_add),
    **SIGNALS,
}
"""Every operation of a bundle that is not one on dense tensors, see `cosoc.converter.dense`."""


def verify(graph: Graph) -> None:
    """Checks a whole graph: names, order, types, attributes, devices.

    Raises:
        SpecError: the first mistake found.
    """
    for tensor in graph.tensors.values():
        check_tensor(tensor)
    for name in (*graph.inputs, *graph.outputs):
        require(name in graph.tensors, f"the graph has no tensor {name}, which is one of its inputs or outputs")
    made = {name for name, tensor in graph.tensors.items() if tensor.constant} | set(graph.inputs)
    require(all(not graph.tensors[name].constant for name in graph.inputs), "an input of the graph is a constant")
    names: set[str] = set()
    for node in graph.nodes:
        require(node.name != "", f"a node of operation {node.op} has no name")
        require(node.name not in names, f"two nodes are named {node.name}")
        names.add(node.name)
        try:
            check_node(graph, node, made)
        except SpecError as error:
            raise SpecError(f"node {node.name} ({node.op}): {error}") from None
        made.update(node.outputs)
    for name in graph.tensors:
        require(name in made, f"nothing makes the tensor {name}")
    batches = {graph.tensors[name].shape[:1] for name in (*graph.inputs, *graph.outputs)}
    require(
        not graph.any_batch or (len(batches) == 1 and batches != {()}), "any_batch: inputs and outputs have batches of one size"
    )


def check_tensor(tensor: Tensor) -> None:
    """dtype, shape, scale and zero point."""
    require(tensor.dtype in DTYPES, f"tensor {tensor.name}: dtype {tensor.dtype}; known are {', '.join(DTYPES)}")
    require(all(size >= 1 for size in tensor.shape), f"tensor {tensor.name}: shape {tensor.shape}")
    if tensor.dtype in ACTIVATIONS and len(tensor.shape) == FEATURE_MAP_RANK and not tensor.constant:
        scaled = tensor.scale is not None and tensor.zero_point is not None
        require(scaled and is_factor(tensor.scale), f"tensor {tensor.name}: {tensor.dtype} needs a positive scale and a zero point")
        limits = np.iinfo(DTYPES[tensor.dtype])
        held = limits.min <= (tensor.zero_point or 0) <= limits.max
        require(held, f"tensor {tensor.name}: zero_point {tensor.zero_point}; {tensor.dtype} has {limits.min}..{limits.max}")


def check_node(graph: Graph, node: Node, made: set[str]) -> None:
    """One node against its operation; `made` holds the tensors that exist before it."""
    operation = OPERATIONS.get(node.op)
    if operation is None and node.op not in dense.OPERATIONS:
        raise SpecError(f"unknown operation; known are {', '.join((*OPERATIONS, *dense.OPERATIONS))}")
    if operation is not None:
        most = operation.inputs + operation.optional_inputs
        expected_inputs = f"{operation.inputs}..{most}" if operation.optional_inputs else f"{most}"
        require(operation.inputs <= len(node.inputs) <= most, f"{len(node.inputs)} inputs, expected {expected_inputs}")
        require(len(node.outputs) == 1, f"{len(node.outputs)} outputs, expected 1")
    for name in (*node.inputs, *node.outputs):
        require(name in graph.tensors, f"the graph has no tensor {name}")
    for name in node.inputs:
        require(name in made, f"{name} is used before it is made")
    for name in node.outputs:
        require(name not in made, f"{name} is made twice, or is an input or a constant")
    require(len(set(node.outputs)) == len(node.outputs), "two outputs have one name")
    require(len(node.devices) > 0, "no device may run it")
    for device in node.devices:
        require(device in DEVICES, f"unknown device {device}; known are {', '.join(DEVICES)}")
    inputs, outputs = ([graph.tensors[name] for name in names] for names in (node.inputs, node.outputs))
    if operation is None:
        problem = dense.OPERATIONS[node.op].problem(node.attributes, inputs, outputs)
        require(not problem, problem)
        return
    tests = dict(operation.attributes)
    for option in operation.options:
        tests |= option if option.keys() & node.attributes.keys() else {}
    found, expected = set(node.attributes), set(tests)
    require(found == expected, f"attributes {sorted(found)}, expected {sorted(expected)}")
    for name, test in tests.items():
        require(test(node.attributes[name]), f"attribute {name} = {node.attributes[name]!r} is not possible")
    operation.check(node, inputs, outputs[0])
