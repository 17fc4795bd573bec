"""From the quantized float graph to the graph of a bundle: integers, NHWC, one node for each operation of the runtime."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx, ir
from cosoc.converter.dense import LOWERINGS, Call, DenseBuilder, View, dense_dtype
from cosoc.converter.dense.call import MissingValueError, row_major, shape_of
from cosoc.converter.dense.narrow import wrapped
from cosoc.converter.errors import ConversionError
from cosoc.converter.layers import identity, integer_layer, quantized_value
from cosoc.converter.layouts import without_unread
from cosoc.converter.placement import kernel_obstacle
from cosoc.converter.quantize import Quantized
from cosoc.converter.steps import CONVOLUTIONS, FeatureMap, Step, UnsupportedError, is_tokens
from cosoc.converter.support import Problem, describe, is_lowered, unknown


def turned(view: View, *order: int) -> View:
    """A view with its axes in another order."""
    return replace(view, shape=tuple(view.shape[axis] for axis in order), strides=tuple(view.strides[axis] for axis in order))


def without_rows(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Three of four axes, without the one of rows."""
    return *axes[:2], axes[3]


@dataclass
class Lowering(DenseBuilder):
    """Builds one graph of int8 and dense parts.

    Attributes:
        quantized: scales and weights of the int8 parts.
        values: maps a node of the float graph to the feature maps that hold its value, by precision, its own one first; `views` has
            the dense values. They are made from each other where an operation of the other kind reads a value.
        problems: what could not be lowered.
        steps: nodes that read integers.
        pads: steps that put zeros around images, by the node whose value they make; convolutions do that themselves.
    """

    quantized: Quantized = field(default_factory=lambda: Quantized.empty())
    values: dict[Node, dict[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    steps: set[Node] = field(default_factory=set)
    pads: dict[Node, Step] = field(default_factory=dict)

    def feature_map(self, name: str, source: Node, shape: FeatureMap, precision: str) -> ir.Tensor:
        """Declares the tensor of integers that holds the value of a node of the float graph."""
        scale, zero_point = self.quantized.parameters(source.name, precision)
        batch, channels, height, width = shape
        return self.declare(ir.Tensor(name, precision, (batch, height, width, channels), scale, zero_point))

    def input(self, node: Node) -> str:
        """A graph input: a dense tensor; its name."""
        size = shape_of(node.meta["val"])
        tensor = self.declare(ir.Tensor(node.name, dense_dtype(node.meta["val"].dtype), size))
        self.views[node] = self.whole(tensor.name)
        return tensor.name

    def feature_map_of(self, node: Node, precision: str) -> str:
        """The feature map of a value in a precision, made from what there is of it."""
        found = self.values.setdefault(node, {})
        if precision in found:
            return found[precision]
        last = False
        if found:
            batch, height, width, channels = self.tensors[next(iter(found.values()))].shape
            shape = (batch, channels, height, width)
            source = self.dequantized(node, shape)
        else:
            source, shape, last = self.ordered(node)
        feature_map = self.feature_map(self.free(f"{node.name}.{precision}"), node, shape, precision)
        found[precision] = feature_map.name
        attributes = {"channels_last": True} if last else {}
        self.nodes.append(ir.Node(self.unique(f"quantize.{node.name}"), "quantize", (source,), (feature_map.name,), attributes))
        return feature_map.name

    def ordered(self, node: Node) -> tuple[str, FeatureMap, bool]:
        """The dense tensor of a value that becomes a feature map, the map's shape, and whether the channels are its last axis.

        Either order is read as it lies; only what lies in neither is copied.
        """
        view, last = self.view(node), False
        rank = len(view.shape)
        if rank == 3:  # (B, T, F): the features become channels
            channels_first = turned(view, 0, 2, 1)
            last = channels_first != self.whole(view.base)
            batch, width, channels = view.shape
            shape = (batch, channels, 1, width)
            view = view if last else channels_first
        else:
            size = (*view.shape[:2], *(1,) * (4 - rank), *view.shape[2:])
            shape = (size[0], size[1], size[2], size[3])
            if rank == 4 and turned(view, 0, 2, 3, 1) == self.whole(view.base):
                view, last = turned(view, 0, 2, 3, 1), True
            elif view != self.whole(view.base) and rank == 4 and view.shape[2] == 1:  # a row as an image: as it lies
                view = replace(view, shape=without_rows(view.shape), strides=without_rows(view.strides))
        return self.materialize(view, "float32", node.name, fx.label(node), fx.source_line(node)), shape, last

    def dequantized(self, node: Node, shape: tuple[int, ...], channels_last: bool = False) -> str:
        """A dense tensor of one of the shapes of `dequantize` with the value of a node that is a feature map."""
        source = next(iter(self.values[node].values()))
        attributes = {"channels_last": True} if channels_last else {}
        name = self.declare(ir.Tensor(self.free(f"{node.name}.float"), "float32", shape)).name
        self.nodes.append(ir.Node(self.unique(f"dequantize.{node.name}"), "dequantize", (source,), (name,), attributes))
        return name

    def view(self, node: Node) -> View:
        """The dense value of a node, dequantized where it is a feature map only."""
        if node not in self.views and self.values.get(node):
            batch, height, width, channels = self.tensors[next(iter(self.values[node].values()))].shape
            size = fx.shape(node)
            if is_tokens(size, (batch, channels, height, width)):
                self.views[node] = self.whole(self.dequantized(node, (batch, width, channels), True))
                return super().view(node)
            if len(size) == 4 and all(is_turned(user) for user in node.users if user not in self.steps):
                whole = self.whole(self.dequantized(node, (batch, height, width, channels), True))
                self.views[node] = turned(whole, 0, 3, 1, 2)
                return super().view(node)
            flat = size == (batch, channels * height * width)
            # An image of one row that is read as a row is a row at once.
            row = height == 1 and (len(size) == 3 or all(len(fx.shape(user)) == 3 for user in node.users if user not in self.steps))
            shape = size if flat else (batch, channels, width) if row else (batch, channels, height, width)
            name = self.dequantized(node, shape)
            self.views[node] = View(name, size, row_major(size))
        return super().view(node)

    def output(self, node: Node) -> str:
        """A graph output: a dense tensor that a node makes and that is no other output; its name."""
        view = self.view(node)
        name = self.materialize(view, self.tensors[view.base].dtype, node.name, fx.label(node), fx.source_line(node))
        if not any(name in made.outputs for made in self.nodes):
            (name,) = self.copy(node, name)
        return name

    def outputs(self) -> list[str]:
        """All graph outputs, each once; a problem is kept."""
        names: list[str] = []
        assert self.module is not None
        for node in dict.fromkeys(output_nodes(self.module)):
            try:
                name = self.output(node)
                names += self.copy(node, name) if name in names else [name]
            except UnsupportedError as error:
                self.keep(node, error)
        return names

    def keep(self, node: Node, error: UnsupportedError) -> None:
        """Remembers a problem, unless it follows from another one."""
        if not isinstance(error, MissingValueError):
            self.problems.append(Problem(node, error.reason, error.remedy))

    def copy(self, node: Node, name: str) -> list[str]:
        """A node that copies a tensor: outputs are neither inputs nor constants."""
        tensor = self.tensors[name]
        attributes = {"strides": list(row_major(tensor.shape)), "offset": 0, "shape": list(tensor.shape)}
        outputs = [(f"{node.name}.copy", tensor.shape, tensor.dtype)]
        return self.emit("strided", [name], outputs, attributes, name=f"{node.name}.copy", source=fx.source_line(node))

    def item(self, node: Node) -> View:
        """One output of an operation with several."""
        source, index = node.args
        assert isinstance(source, Node)
        assert isinstance(index, int)
        values = self.views.get(source)
        value = values[index] if isinstance(values, tuple) else None
        if value is None:
            raise MissingValueError("it reads a value that could not be converted", "see the operation that makes it")
        return value

    def call(self, node: Node) -> None:
        """Lowers one operation on dense values; a problem is kept, and what depends on it fails quietly."""
        try:
            if node.target is operator.getitem:
                self.views[node] = self.item(node)
            else:
                call = Call(self, node, fx.arguments(node))
                self.views[node] = wrapped(call, LOWERINGS[fx.operation(node)](call))
        except UnsupportedError as error:
            self.keep(node, error)

    def step(self, step: Step) -> None:
        """Adds the node of one step."""
        if step.op == "view":
            self.values[step.node] = {step.precision: self.feature_map_of(step.inputs[0], step.precision)}
            return
        attributes, sources = dict(step.attributes), step.inputs
        if step.op == "conv2d" and (padding := self.pads.get(sources[0])) is not None:
            wider = [inner + outer for inner, outer in zip(attributes["padding"], padding.attributes["padding"], strict=True)]
            assert step.weight is not None
            if not kernel_obstacle(step.weight.shape[2:], attributes["stride"], wider, attributes["dilation"]):
                sources, attributes["padding"] = padding.inputs, wider
        inputs = tuple(self.feature_map_of(node, step.precision) for node in sources)
        output = self.feature_map(step.output.name, step.output, step.feature_map, step.precision)
        name = self.unique(fx.label(step.node))
        scales = [self.scale(tensor) for tensor in inputs]
        scale, zero_point = self.quantized.parameters(step.output.name, step.precision)
        if step.op == "pad":
            self.pads[step.output] = step
        if step.op in (*CONVOLUTIONS, "pad"):
            inputs += self.layer(name, step, self.tensors[inputs[0]], output)
        elif step.op == "average_pool2d":
            attributes["multiplier"] = float(np.float32(scales[0] / (scale * attributes.pop("divisor"))))
        elif step.op == "add":
            attributes["multipliers"] = [float(np.float32(in_scale / scale)) for in_scale in scales]
        if step.op != "max_pool2d":
            attributes["clamp"] = [quantized_value(limit, scale, zero_point, step.precision) for limit in step.limits]
        self.values[step.output] = {step.precision: output.name}
        op = "conv2d" if step.op == "pad" else step.op
        self.nodes.append(ir.Node(name, op, inputs, (output.name,), attributes, ("cpu",), fx.source_line(step.node)))

    def scale(self, tensor: str) -> float:
        """Scale of a feature map."""
        scale = self.tensors[tensor].scale
        assert scale is not None
        return scale

    def layer(self, name: str, step: Step, source: ir.Tensor, output: ir.Tensor) -> tuple[str, str, str]:
        """Weight, bias and multiplier of a convolution, or of zeros around an image."""
        if step.op == "pad":
            weight, bias, multiplier = identity(source)
        else:
            weight, bias, multiplier = integer_layer(step, self.quantized, source, output)
        return (
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", bias),
            self.constant(f"{name}.multiplier", multiplier),
        )


def require_supported(module: GraphModule, steps: list[Step]) -> None:
    """All that no step computes is computed on dense tensors: it is lowered to see whether it can be.

    Raises:
        ConversionError: lists every operation that is not supported: how often, where, why, and what to do.
    """
    integer = {step.output for step in steps} | fused_nodes(steps)
    lowering = Lowering(module=module)
    problems = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            lowering.input(node)
        elif node.op == "call_function" and is_lowered(node):
            lowering.call(node)
        elif node.op == "call_function":
            problems.append(unknown(node))
    lowering.outputs()
    problems = [problem for problem in (*problems, *lowering.problems) if problem.node not in integer]
    if problems:
        raise ConversionError(describe(problems))


def lower(
    name: str, module: GraphModule, steps: list[Step], quantized: Quantized, real_transforms: bool
) -> tuple[ir.Graph, ir.Constants]:
    """The graph of a bundle and its constants, every node for the CPU; with `real_transforms` those of real signals are `rfft`.

    Raises:
        ConversionError: an operation that int8 ones surround cannot be lowered: see `require_supported`.
    """
    lowering = Lowering(module=module, quantized=quantized, real_transforms=real_transforms, steps={step.node for step in steps})
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    names = [lowering.input(node) for node in placeholders]
    by_node = {step.output: step for step in steps}
    fused = fused_nodes(steps)
    for node in module.graph.nodes:
        if node in by_node:
            lowering.step(by_node[node])
        elif node.op == "call_function" and node not in fused:
            lowering.call(node)
    outputs = lowering.outputs()
    if lowering.problems:
        raise ConversionError(describe(lowering.problems))
    graph = ir.Graph(name, tuple(names), tuple(outputs), lowering.tensors, tuple(lowering.nodes))
    graph = without_unread(graph)
    return graph, {name: data for name, data in lowering.constants.items() if name in graph.tensors}


def is_turned(node: Node) -> bool:
    """Whether an operation moves the channels of an image behind its columns."""
    return node.target is torch.ops.aten.permute.default and list(node.args[1]) in ([0, 2, 3, 1], [0, -2, -1, 1])  # type: ignore[arg-type]


def fused_nodes(steps: Sequence[Step]) -> set[Node]:
    """Nodes inside a step: all from its first to the one before its output, which a clamp follows."""
    inner: set[Node] = set()
    for step in steps:
        node = step.output
        while node is not step.node:
            (node,) = [source for source in node.all_input_nodes if source.op == "call_function"]
            inner.add(node)
    return inner


def output_nodes(module: GraphModule) -> list[Node]:
    """Nodes whose values the model returns, in order."""
    leaves = torch.utils._pytree.tree_leaves(module.graph.output_node().args[0])
    return [node for node in leaves if isinstance(node, Node)]
