"""Bit-exact interpreter of a bundle's graph: the same integers as the CPU kernels and the accelerators, layer by layer.

The rules stand in docs/architecture.md. The batch may differ from the graph's: every operation treats its samples separately, so
whole data sets go through in large pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosoc.converter import dense, emulation_signals
from cosoc.converter.arithmetic import Arithmetic
from cosoc.converter.bundle import Bundle
from cosoc.converter.errors import EmulationError
from cosoc.converter.ir import DTYPES, Constants, Graph, Node, Tensor
from cosoc.gateware.conv2d.golden import OutputFormat, requantize
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION

Array = NDArray[Any]
Activations = NDArray[Any]
"""int8 or int16 values."""


def saturated(value: NDArray[np.float32], zero_point: int, dtype: str) -> Activations:
    """`clamp(roundHalfEven(value) + zero_point)` to all that a dtype has, saturating to int32 before the zero point is added."""
    rounded = np.clip(np.rint(value).astype(np.float64), -(2**31), 2**31 - 1).astype(np.int64)
    limits = np.iinfo(DTYPES[dtype])
    return np.clip(rounded + zero_point, limits.min, limits.max).astype(limits.dtype)


def parameters(tensor: Tensor) -> tuple[np.float32, int]:
    """Scale and zero point of a quantized tensor."""
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    return np.float32(tensor.scale), tensor.zero_point


def quantize(graph: Graph, node: Node, x: NDArray[np.float32]) -> Activations:
    """float32 (N, C, H, W), (N, C, L) or (N, F), or with channels last (N, H, W, C) or (N, L, C) -> (N, H, W, C)."""
    output = graph.tensors[node.outputs[0]]
    scale, zero_point = parameters(output)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = np.nan_to_num(x.astype(np.float32) * (np.float32(1) / scale), nan=0.0, posinf=np.inf, neginf=-np.inf)
    stored = saturated(scaled, zero_point, output.dtype)
    if x.ndim == 2:
        return stored.reshape(len(x), 1, 1, -1)
    if node.attributes.get("channels_last"):
        return stored[:, None] if x.ndim == 3 else stored
    return stored.transpose(0, 2, 1)[:, None] if x.ndim == 3 else stored.transpose(0, 2, 3, 1)


def dequantize(graph: Graph, node: Node, x: Activations) -> NDArray[np.float32]:
    """(N, H, W, C) -> float32 (N, C, H, W), that without its only row, or that flattened; with channels last as it is."""
    scale, zero_point = parameters(graph.tensors[node.inputs[0]])
    real = real_values(x, scale, zero_point)
    rank = len(graph.tensors[node.outputs[0]].shape)
    if node.attributes.get("channels_last"):
        return real[:, 0] if rank == 3 else real
    real = real.transpose(0, 3, 1, 2)
    if rank == 2:
        return real.reshape(len(x), -1)
    return np.ascontiguousarray(real[:, :, 0] if rank == 3 else real)


def real_values(x: Activations, scale: np.float32, zero_point: int) -> NDArray[np.float32]:
    """`float32(x - zero_point) * scale`."""
    return (x.astype(np.int32) - zero_point).astype(np.float32) * scale


def padded(x: Activations, padding: Sequence[int], value: int) -> Activations:
    """The feature map with rows and columns of a value around it: top, left, bottom, right."""
    top, left, bottom, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def conv2d(
    graph: Graph,
    node: Node,
    x: Activations,
    weight: NDArray[np.int8],
    bias: NDArray[np.int32],
    multiplier: NDArray[np.float32],
    residual: Activations | None = None,
) -> Activations:
    """Integer convolution, with the residual and the pooling that were fused into it.

    Floats hold every sum exactly, and their matrix products are fast: float32 below 2^24, float64 below 2^53.
    """
    attributes = node.attributes
    _, in_zero_point = parameters(graph.tensors[node.inputs[0]])
    largest_sum = np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)).max() * -int(np.iinfo(x.dtype).min)
    exact = np.float32 if largest_sum < 2**24 else np.float64
    image = padded(x, attributes["padding"], in_zero_point).astype(exact).transpose(0, 3, 1, 2)
    kernels = weight.astype(exact).transpose(0, 3, 1, 2)
    sums = torch.nn.functional.conv2d(
        torch.from_numpy(np.ascontiguousarray(image)),
        torch.from_numpy(np.ascontiguousarray(kernels)),
        stride=attributes["stride"],
        dilation=attributes["dilation"],
        groups=attributes["groups"],
    )
    # Conversion has shown that the sum fits int32.
    acc = np.rint(sums.numpy()).astype(np.int64).transpose(0, 2, 3, 1) + bias
    rule = output_format(graph, node)
    averages = "pool_multiplier" in attributes
    if averages:
        rule = replace(rule, zero_point=attributes["pool_zero_point"])
    if residual is not None:
        zero_point = parameters(graph.tensors[node.inputs[4]])[1]
        rule = replace(rule, residual_zero_point=zero_point, residual_multiplier=attributes["residual_multiplier"])
    result: Activations = requantize(acc, multiplier, rule, residual)
    if "pool_kernel" not in attributes:
        return result
    pool = {name: attributes[f"pool_{name}"] for name in ("kernel", "stride", "padding")}
    if not averages:
        return largest(result, pool)
    low, high = attributes["pool_clamp"]
    rule = replace(output_format(graph, node), clamp_min=low, clamp_max=high)
    return requantize(window_sums(result, pool, attributes["pool_zero_point"]), attributes["pool_multiplier"], rule)


def conv_transpose2d(
    graph: Graph, node: Node, x: Activations, weight: NDArray[np.int8], bias: NDArray[np.int32], multiplier: NDArray[np.float32]
) -> Activations:
    """Transposed integer convolution. Zero points between the inputs are real zeros, whose products the bias takes away."""
    attributes = node.attributes
    groups = attributes["groups"]
    _, zero_point = parameters(graph.tensors[node.inputs[0]])
    centred = x.astype(np.float64).transpose(0, 3, 1, 2) - zero_point
    # PyTorch has input channels first, and output channels of a group behind them.
    kernels = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:]).transpose(0, 4, 1, 2, 3)
    sums = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(np.ascontiguousarray(centred)),
        torch.from_numpy(kernels.reshape(-1, *kernels.shape[2:])),
        stride=attributes["stride"],
        dilation=attributes["dilation"],
        groups=groups,
    )
    top, left, bottom, right = attributes["padding"]
    below, behind = attributes["output_padding"]
    whole = np.pad(np.rint(sums.numpy()).astype(np.int64), ((0, 0), (0, 0), (0, below), (0, behind)))
    image = whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right].transpose(0, 2, 3, 1)
    offset = zero_point * weight.sum(axis=(1, 2, 3), dtype=np.int64) + bias
    return requantize(image + offset, multiplier, output_format(graph, node))


def output_format(graph: Graph, node: Node) -> OutputFormat:
    """Number format of a node's output."""
    low, high = node.attributes["clamp"]
    output = graph.tensors[node.outputs[0]]
    bits = 8 * DTYPES[output.dtype].itemsize
    return OutputFormat(activation_bits=bits, zero_point=parameters(output)[1], clamp_min=low, clamp_max=high)


def windows(x: Array, attributes: Mapping[str, Any]) -> Array:
    """Every window of a padded feature map: (N, Ho, Wo, C, Kh, Kw)."""
    view = np.lib.stride_tricks.sliding_window_view(x, attributes["kernel"], axis=(1, 2))
    rows, columns = attributes["stride"]
    result: Array = view[:, ::rows, ::columns]
    return result


def max_pool2d(graph: Graph, node: Node, x: Activations) -> Activations:
    """Largest value of every window."""
    return largest(x, node.attributes)


def largest(x: Activations, attributes: Mapping[str, Any]) -> Activations:
    """Maximum over windows. Padding never wins: it has the least value."""
    result: Activations = windows(padded(x, attributes["padding"], np.iinfo(x.dtype).min), attributes).max(axis=(-2, -1))
    return result


def average_pool2d(graph: Graph, node: Node, x: Activations) -> Activations:
    """Sum of the window inside the image, scaled."""
    _, zero_point = parameters(graph.tensors[node.inputs[0]])
    sums = window_sums(x, node.attributes, zero_point)
    return requantize(sums, node.attributes["multiplier"], output_format(graph, node))


def window_sums(x: Activations, attributes: Mapping[str, Any], zero_point: int) -> NDArray[np.int64]:
    """Sums over windows of what is above the zero point; padding adds nothing."""
    centred = padded(x, attributes["padding"], zero_point).astype(np.int32) - zero_point
    sums: NDArray[np.int64] = windows(centred, attributes).sum(axis=(-2, -1), dtype=np.int64)
    return sums


def add(graph: Graph, node: Node, a: Activations, b: Activations) -> Activations:
    """The first operand as the product of a convolution, the second one as its residual; rounded once."""
    (_, first_zero), (_, second_zero) = (parameters(graph.tensors[name]) for name in node.inputs)
    first, second = node.attributes["multipliers"]
    rule = output_format(graph, node)
    factor = math.floor(float(np.float32(second)) * 2 ** RESIDUAL_FRACTION[rule.activation_bits] + 0.5)
    rule = replace(rule, residual_zero_point=second_zero, residual_multiplier=factor)
    return requantize(a.astype(np.int64) - first_zero, first, rule, b)


OPERATIONS: dict[str, Callable[..., Array]] = {
    "quantize": quantize,
    "dequantize": dequantize,
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "max_pool2d": max_pool2d,
    "average_pool2d": average_pool2d,
    "add": add,
}


def run_node(graph: Graph, node: Node, inputs: Sequence[Array]) -> Array:
    """The first output of one node for given inputs, constants included."""
    return run_outputs(graph, node, inputs, Arithmetic())[0]


def run_outputs(graph: Graph, node: Node, inputs: Sequence[Array], arithmetic: Arithmetic) -> tuple[Array, ...]:
    """All outputs of one node for given inputs, constants included."""
    signal = node.op in emulation_signals.OPERATIONS
    kernel = signal and arithmetic.is_runtime and not emulation_signals.accelerated(arithmetic.fft, node, inputs[0])
    if node.op in dense.OPERATIONS or kernel:
        return arithmetic.dense(graph, node, inputs)
    if signal:
        return (emulation_signals.OPERATIONS[node.op](arithmetic.fft, graph, node, *inputs),)
    if node.op not in OPERATIONS:
        known = ", ".join((*OPERATIONS, *emulation_signals.OPERATIONS, *dense.OPERATIONS))
        raise EmulationError(f"node {node.name}: {node.op} is not emulated; emulated are {known}")
    return (OPERATIONS[node.op](graph, node, *inputs),)


def has_dense(graph: Graph) -> bool:
    """Whether there are operations on dense tensors, which may do anything with the axis of the batch."""
    return any(node.op in dense.OPERATIONS for node in graph.nodes)


def run_graph(
    graph: Graph, constants: Constants, inputs: Sequence[Array], arithmetic: Arithmetic | None = None
) -> dict[str, Array]:
    """Every computed tensor of a graph, and its inputs, by name; all samples at once. Arguments as of `run`."""
    arithmetic = arithmetic or Arithmetic()
    if len(inputs) != len(graph.inputs):
        raise EmulationError(f"{len(inputs)} inputs; the graph has {len(graph.inputs)}: {', '.join(graph.inputs)}")
    values: dict[str, Array] = {}
    for name, value in zip(graph.inputs, inputs, strict=True):
        expected = graph.tensors[name].shape
        whole = value.shape == expected
        if not whole and (has_dense(graph) or value.shape[1:] != expected[1:] or len(value) != len(inputs[0]) or not len(value)):
            raise EmulationError(f"input {name} has shape {value.shape}; expected (n, {', '.join(map(str, expected[1:]))})")
        values[name] = np.asarray(value, DTYPES[graph.tensors[name].dtype])
    for node in graph.nodes:
        operands = [constants[name] if graph.tensors[name].constant else values[name] for name in node.inputs]
        values.update(zip(node.outputs, run_outputs(graph, node, operands, arithmetic), strict=True))
    return values


def run(
    bundle: Bundle, inputs: Array | Sequence[Array], samples: int = 64, arithmetic: Arithmetic | None = None
) -> dict[str, Array]:
    """Runs a bundle on any number of samples.

    Args:
        inputs: float32, one array for each input of the graph, of its shape but for the number of samples; an array alone is the
            only input.
        samples: computed at a time, which bounds the memory.
        arithmetic: whose floats it has; by default those of a default FFT and of PyTorch.

    Returns:
        Inputs, intermediate tensors and outputs by name. Feature maps are int8 or int16 (N, H, W, C).

    Raises:
        EmulationError: number or shape of the inputs, or an operation that is not emulated.
    """
    arrays = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    shapes = [bundle.graph.tensors[name].shape for name in bundle.graph.inputs]
    if [array.shape for array in arrays] == shapes:
        return run_graph(bundle.graph, bundle.constants, arrays, arithmetic)
    if has_dense(bundle.graph):
        samples = shapes[0][0] if shapes[0] else 1
    count = len(arrays[0]) if arrays else 0
    pieces = [
        run_graph(bundle.graph, bundle.constants, [array[start : start + samples] for array in arrays], arithmetic)
        for start in range(0, max(count, 1), samples)
    ]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
