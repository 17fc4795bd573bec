"""From the quantized float graph to the graph of a bundle: integers, NHWC, one node for each operation of the runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from cosoc.converter import fx, ir
from cosoc.converter.errors import ConversionError
from cosoc.converter.operators import FeatureMap, Step
from cosoc.converter.quantize import Quantized

INT8_MIN, INT8_MAX = -128, 127
MAX_BIAS = 2**30
"""Largest magnitude of a quantized bias: half of int32, so that the products have the other half."""


def quantized_value(real: float, scale: float, zero_point: int) -> int:
    """`clamp(round(real / scale) + zero_point)` to int8; infinities become the ends of the range."""
    if np.isinf(real):
        return INT8_MAX if real > 0 else INT8_MIN
    inverse = np.float32(1) / np.float32(scale)
    return int(np.clip(np.rint(np.float32(real) * inverse) + zero_point, INT8_MIN, INT8_MAX))


@dataclass
class Lowering:
    """Builds one graph. `values` maps a node of the float graph to the feature map that holds its value."""

    module: GraphModule
    quantized: Quantized
    tensors: dict[str, ir.Tensor] = field(default_factory=dict)
    constants: ir.Constants = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    values: dict[Node, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """A node name: the wanted one, with `#2` and so on where a module is called again."""
        self.names[name] = self.names.get(name, 0) + 1
        return name if self.names[name] == 1 else f"{name}#{self.names[name]}"

    def feature_map(self, name: str, source: Node, shape: FeatureMap) -> ir.Tensor:
        """Declares the int8 tensor that holds the value of a node of the float graph."""
        scale, zero_point = self.quantized.activations[source.name]
        batch, channels, height, width = shape
        return self.declare(ir.Tensor(name, "int8", (batch, height, width, channels), scale, zero_point))

    def declare(self, tensor: ir.Tensor) -> ir.Tensor:
        """Adds a tensor to the graph."""
        self.tensors[tensor.name] = tensor
        return tensor

    def constant(self, name: str, data: NDArray[Any]) -> str:
        """Adds a constant to the graph; its name."""
        self.constants[name] = np.ascontiguousarray(data)
        self.declare(ir.Tensor(name, str(data.dtype), tuple(data.shape), constant=True))
        return name

    def input(self, node: Node) -> str:
        """A graph input and its quantization; the name of the float tensor."""
        size = fx.shape(node)
        tensor = self.declare(ir.Tensor(node.name, "float32", size))
        if node.users:
            shape = size if len(size) == 4 else (*size, 1, 1)
            feature_map = self.feature_map(f"{node.name}.int8", node, (shape[0], shape[1], shape[2], shape[3]))
            self.values[node] = feature_map.name
            self.nodes.append(ir.Node(self.unique(f"quantize.{node.name}"), "quantize", (tensor.name,), (feature_map.name,)))
        return tensor.name

    def output(self, node: Node) -> str:
        """A graph output and its dequantization; the name of the float tensor."""
        value = self.values[node]
        name = f"{node.name}.float"
        if name not in self.tensors:
            self.declare(ir.Tensor(name, "float32", fx.shape(node)))
            self.nodes.append(ir.Node(self.unique(f"dequantize.{node.name}"), "dequantize", (value,), (name,)))
        return name

    def step(self, step: Step) -> None:
        """Adds the node of one step."""
        if step.op == "view":
            self.values[step.node] = self.values[step.inputs[0]]
            return
        inputs = tuple(self.values[node] for node in step.inputs)
        output = self.feature_map(step.output.name, step.output, step.feature_map)
        name = self.unique(fx.label(step.node))
        attributes = dict(step.attributes)
        scales = [self.scale(tensor) for tensor in inputs]
        scale, zero_point = self.quantized.activations[step.output.name]
        if step.op == "conv2d":
            inputs += self.convolution(name, step, self.tensors[inputs[0]], output)
        elif step.op == "average_pool2d":
            attributes["multiplier"] = float(np.float32(scales[0] / (scale * attributes.pop("divisor"))))
        elif step.op == "add":
            attributes["multipliers"] = [float(np.float32(in_scale / scale)) for in_scale in scales]
        if step.op != "max_pool2d":
            attributes["clamp"] = [quantized_value(limit, scale, zero_point) for limit in step.limits]
        self.values[step.output] = output.name
        self.nodes.append(ir.Node(name, step.op, inputs, (output.name,), attributes, ("cpu",), fx.source_line(step.node)))

    def scale(self, tensor: str) -> float:
        """Scale of a feature map."""
        scale = self.tensors[tensor].scale
        assert scale is not None
        return scale

    def convolution(self, name: str, step: Step, source: ir.Tensor, output: ir.Tensor) -> tuple[str, str, str]:
        """Weight, bias and multiplier of a convolution.

        The integer sum has scale `s_in * s_w`; the bias in that scale also takes up the input's zero point, so that the hardware
        sums plain products.

        Raises:
            ConversionError: the sum could leave int32.
        """
        assert step.weight is not None
        in_scale, in_zero_point = self.scale(source.name), source.zero_point or 0
        weight, weight_scale = self.quantized.weights[step.node.name]
        scale = weight_scale.astype(np.float64)
        given = self.quantized.biases.get(step.node.name, step.bias)
        real_bias = np.zeros(len(scale)) if given is None else given.double().numpy()
        weight, scale = widen(weight.reshape(step.weight.shape), scale, np.abs(real_bias) / (in_scale * MAX_BIAS))
        products = weight.astype(np.int64).sum(axis=(1, 2, 3))
        bias = np.rint(real_bias / (in_scale * scale)).astype(np.int64) - in_zero_point * products
        largest = np.abs(bias) + 128 * np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3))
        if largest.max() >= 2**31:
            raise ConversionError(
                f"{fx.place(step.node)}: the sum of output channel {int(largest.argmax())} can reach {int(largest.max())}, "
                f"beyond the accumulator's 2^31; a kernel of {int(np.prod(weight.shape[1:]))} weights is too large: split the layer"
            )
        return (
            self.constant(f"{name}.weight", weight.transpose(0, 2, 3, 1)),
            self.constant(f"{name}.bias", bias.astype(np.int32)),
            self.constant(f"{name}.multiplier", (in_scale * scale / self.scale(output.name)).astype(np.float32)),
        )


def widen(
    weight: NDArray[np.int8], scale: NDArray[np.float64], smallest: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Raises the scale of channels whose bias would not fit int32, and rounds their weights anew.

    Such a channel is all but constant (a pruned one has weights of zero and thus the smallest of scales): its bias exceeds its
    largest product more than 30,000 times, so that the coarser weights stay far below one step of the output.
    """
    wider = np.maximum(scale, smallest)
    ratio = (scale / wider).reshape(-1, 1, 1, 1)
    return np.rint(weight * ratio).astype(np.int8), wider


def lower(name: str, module: GraphModule, steps: list[Step], quantized: Quantized) -> tuple[ir.Graph, ir.Constants]:
    """The graph of a bundle and its constants, every node for the CPU."""
    lowering = Lowering(module, quantized)
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    inputs = [lowering.input(node) for node in placeholders]
    for step in steps:
        lowering.step(step)
    results = module.graph.output_node().args[0]
    leaves = torch.utils._pytree.tree_leaves(results)
    outputs = dict.fromkeys(lowering.output(node) for node in leaves if isinstance(node, Node))
    return ir.Graph(name, tuple(inputs), tuple(outputs), lowering.tensors, tuple(lowering.nodes)), lowering.constants
