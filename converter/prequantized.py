"""Models that PyTorch has quantized already (PT2E, also while training): their scales and integers are taken over as they are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.errors import ConversionError
from cosoc.converter.observe import Parameters
from cosoc.converter.rows import ROW
from cosoc.converter.steps import TRANSPOSED, output_first

PREFIX = "quantized_decomposed."


@dataclass(frozen=True)
class Given:
    """What a quantized model fixes.

    Attributes:
        activations: scale and zero point for int8, by the name of the node of the float graph.
        weights: int8 with the output channels first, and float32 scales (Cout,), by the name of the node that holds the weight.
    """

    activations: dict[str, Parameters] = field(default_factory=dict)
    weights: dict[str, tuple[NDArray[np.int8], NDArray[np.float32]]] = field(default_factory=dict)


def take_over(module: GraphModule) -> Given:
    """Removes the quantize and dequantize operations of a graph in place, and returns what they say; empty for a float model.

    Raises:
        ConversionError: other integers than c2d's, or one value quantized in two ways.
    """
    given = Given()
    for node in list(module.graph.nodes):
        kind = fx.operation(node)
        if node.op != "call_function" or not kind.startswith(f"{PREFIX}dequantize"):
            continue
        source = node.args[0]
        assert isinstance(source, Node)
        constant = fx.tensor_of(module, source)
        if constant is not None:
            take_weight(module, given, node, constant)
        elif fx.operation(source).startswith(f"{PREFIX}quantize_per_tensor"):
            take_activation(module, given, node, source)
        else:
            raise ConversionError(
                f"{fx.place(node)}: {kind} of a value that is not quantized per tensor; quantize activations per tensor"
            )
    if given.activations or given.weights:
        module.graph.eliminate_dead_code()
        module.graph.lint()
        module.recompile()
    return given


def of_images(module: GraphModule, given: Given) -> None:
    """What is given of rows is given of the images that they have become."""
    for node in module.graph.nodes:
        row = node.meta.get(ROW)
        if row in given.activations:
            given.activations[node.name] = given.activations[row]
        if row in given.weights:
            given.weights[node.name] = given.weights[row]


def number(module: GraphModule, value: object) -> float:
    """A scale or zero point: a number, or a tensor of one element."""
    tensor = fx.tensor_of(module, value)
    return float(tensor) if tensor is not None else float(value)  # type: ignore[arg-type]


def take_activation(module: GraphModule, given: Given, node: Node, quantize: Node) -> None:
    """`dequantize(quantize(x))` becomes `x`, with its scale."""
    value, scale, zero_point, least, largest = quantize.args[:5]
    assert isinstance(value, Node)
    if (least, largest) not in ((-128, 127), (0, 255)):
        raise ConversionError(
            f"{fx.place(value)} is quantized to {least}..{largest}; expected int8 (-128..127) or uint8 (0..255) activations"
        )
    assert isinstance(least, int)
    parameters = float(np.float32(number(module, scale))), round(number(module, zero_point)) - 128 - least
    if given.activations.setdefault(value.name, parameters) != parameters:
        raise ConversionError(f"{fx.place(value)} is quantized in two ways; quantize a value once for all of its readers")
    node.replace_all_uses_with(value)
    module.graph.erase_node(node)


def take_weight(module: GraphModule, given: Given, node: Node, stored: torch.Tensor) -> None:
    """A dequantized constant becomes a float constant, with its integers: per output channel or per tensor, symmetric."""
    reader = next(iter(node.users))
    transposed = fx.operation(reader) in TRANSPOSED
    # Of a transposed convolution's weight the second axis has the output channels of one group: all groups share their scales.
    axis, groups = (1, int(fx.arguments(reader)["groups"])) if transposed else (0, 1)
    channels = fx.operation(node).startswith(f"{PREFIX}dequantize_per_channel")
    scale, zero_point = (fx.tensor_of(module, argument) for argument in node.args[1:3])
    if scale is None:
        scale = torch.tensor(number(module, node.args[1]))
    if zero_point is None:
        zero_point = torch.tensor(number(module, node.args[2]))
    if stored.dtype != torch.int8 or zero_point.any() or (channels and node.args[3] != axis):
        raise ConversionError(
            f"{fx.place(node)}: the weight is {stored.dtype}, or has a zero point or another axis than its output channels; "
            "expected int8 weights, symmetric, per output channel or per tensor"
        )
    turned = output_first(reader, stored)
    scales = (scale.float().repeat(groups) if channels else scale.float().expand(len(turned))).contiguous()
    value = output_first(reader, turned.float() * scales.reshape(-1, *[1] * (stored.dim() - 1)))
    name = f"{node.name}_given"
    module.register_buffer(name, value)
    with module.graph.inserting_before(node):
        constant = module.graph.get_attr(name)
    constant.meta["val"] = value
    # The engine's weights are within -127..127: one more at the lower end, which symmetric quantizers do not make, is clipped.
    given.weights[constant.name] = turned.clamp(min=-127).numpy(), scales.numpy()
    node.replace_all_uses_with(constant)
    module.graph.erase_node(node)
