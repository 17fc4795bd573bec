"""Understands the whole float graph, or lists everything in it that cannot be converted, in one message."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.errors import ConversionError
from cosoc.converter.operators import INTERPRETATIONS, Context, FeatureMap, Step, UnsupportedError

SMOOTH = "train the model with ReLU or ReLU6 in its place"
OUTSIDE = "apply it to the converted model's result, outside the model"
REMEDIES = {
    **dict.fromkeys(
        ("gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "leaky_relu", "elu", "selu", "prelu", "mish"), SMOOTH
    ),
    **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax", "argmax", "topk"), OUTSIDE),
    "mul": "fold a constant factor into the layer before it; products of two activations have no int8 kernel",
    "cat": "add the branches instead of concatenating them",
    "conv1d": "use a Conv2d with a kernel of height 1 on (N, C, 1, L)",
    "native_layer_norm": "use BatchNorm2d, which becomes part of the convolution before it",
    "layer_norm": "use BatchNorm2d, which becomes part of the convolution before it",
    "group_norm": "use BatchNorm2d, which becomes part of the convolution before it",
    "permute": "keep activations in (N, C, H, W)",
    "transpose": "keep activations in (N, C, H, W)",
}
"""What to do about an operation, by its name without overload."""
DEFAULT_REMEDY = "keep this part of the model outside the converted module"


@dataclass(frozen=True)
class Problem:
    """One node that cannot be converted."""

    node: Node
    reason: str
    remedy: str


def analyse(module: GraphModule) -> list[Step]:
    """Every operation of the graph as a step, in order, clamps not yet fused.

    Raises:
        ConversionError: lists every operation that is not supported: how often, where, why, and what to do.
    """
    feature_maps: dict[Node, FeatureMap] = {}
    context = Context(module, feature_maps)
    steps: list[Step] = []
    problems: list[Problem] = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            _remember(feature_maps, node)
        elif node.op == "output":
            problems += _check_outputs(node, feature_maps)
        elif node.op != "get_attr":
            try:
                step = _interpret(context, node)
                steps.append(step)
                feature_maps[node] = step.feature_map
            except UnsupportedError as error:
                problems.append(Problem(node, error.reason, error.remedy))
                _remember(feature_maps, node)
    if problems:
        raise ConversionError(describe(problems))
    return steps


def _interpret(context: Context, node: Node) -> Step:
    name = fx.operation(node)
    interpretation = INTERPRETATIONS.get(name) if node.op == "call_function" else None
    if interpretation is None:
        raise UnsupportedError("no int8 kernel computes it", REMEDIES.get(name.split(".")[0], DEFAULT_REMEDY))
    return interpretation(context, node)


def _remember(feature_maps: dict[Node, FeatureMap], node: Node) -> None:
    """Takes a value's own shape as its feature map, so that one unsupported operation does not make its users fail too."""
    size = fx.shape(node)
    if len(size) == 4:
        feature_maps[node] = (size[0], size[1], size[2], size[3])
    else:
        flat = 1
        for dimension in size[1:]:
            flat *= dimension
        feature_maps[node] = (size[0] if size else 1, flat, 1, 1)


def _check_outputs(output: Node, feature_maps: dict[Node, FeatureMap]) -> list[Problem]:
    """A result must be a feature map, or one flattened to (N, F)."""
    problems = []
    for node in output.all_input_nodes:
        if node not in feature_maps:
            problems.append(Problem(node, "the model returns a constant", "return tensors that depend on the input"))
            continue
        batch, channels, height, width = feature_maps[node]
        size = fx.shape(node)
        if size not in (feature_maps[node], (batch, channels * height * width)) and node.op == "call_function":
            reason = f"the model returns shape {size}, reshaped from {feature_maps[node]}"
            problems.append(Problem(node, reason, "return (N, C, H, W) or (N, F) and reshape outside the model"))
    return problems


def describe(problems: list[Problem]) -> str:
    """The message: problems of the same kind stand together with their count and their places."""
    groups: dict[tuple[str, str, str], list[Node]] = defaultdict(list)
    for problem in problems:
        groups[fx.operation(problem.node), problem.reason, problem.remedy].append(problem.node)
    count = len(problems)
    lines = [f"{count} operation{'s' if count > 1 else ''} of the model cannot be converted:"]
    for (name, reason, remedy), nodes in groups.items():
        lines.append(f"  {name}  x{len(nodes)}")
        lines.append(f"      where: {', '.join(fx.place(node) for node in nodes)}")
        lines.append(f"      why:   {reason}")
        lines.append(f"      do:    {remedy}")
    return "\n".join(lines)


def fuse_clamps(steps: list[Step]) -> list[Step]:
    """Clamps become the output limits of the convolution, addition or average that they follow, if nothing else reads it.

    A clamp that stays alone becomes an average over one pixel: the operation that rescales and clamps, nothing more.
    """
    by_output: dict[Node, Step] = {}
    fused: list[Step] = []
    for step in steps:
        if step.op == "clamp":
            maker = by_output.get(step.inputs[0])
            if maker is not None and maker.op in ("conv2d", "add", "average_pool2d") and len(maker.output.users) == 1:
                low, high = step.limits
                maker.limits = (min(max(maker.limits[0], low), high), min(max(maker.limits[1], low), high))
                del by_output[maker.output]
                maker.output = step.node
                by_output[maker.output] = maker
                continue
            step.op = "average_pool2d"
            step.attributes = {"kernel": [1, 1], "stride": [1, 1], "padding": [0, 0, 0, 0], "divisor": 1}
        by_output[step.output] = step
        fused.append(step)
    return fused
