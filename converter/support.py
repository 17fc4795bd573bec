"""Understands the whole float graph; and the message that lists everything in it that cannot be converted."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.dense import LOWERINGS
from cosoc.converter.errors import ConversionError
from cosoc.converter.operators import INTERPRETATIONS
from cosoc.converter.steps import CONVOLUTIONS, Context, FeatureMap, Step, UnsupportedError

REMEDIES = {
    "nonzero": "the number of results depends on the data: keep all elements, and a mask beside them",
    "unique": "the number of results depends on the data: keep it outside the converted module",
    "_local_scalar_dense": "keep it a tensor: x.sum() instead of x.sum().item()",
    "_embedding_bag": "use nn.Embedding and a sum, a mean or a maximum over its results",
}
"""What to do about an operation, by its name without overload."""
SIZES_REMEDY = "keep all elements, and a mask beside them: torch.where(mask, x, 0) instead of x[mask]"
DEFAULT_REMEDY = "keep this part of the model outside the converted module"


@dataclass(frozen=True)
class Problem:
    """One node that cannot be converted."""

    node: Node
    reason: str
    remedy: str


def analyse(module: GraphModule, is_float: Callable[[Node], bool] = lambda _: False) -> list[Step]:
    """The int8 operations of the graph as steps, in order, clamps not yet fused; all others are computed on dense tensors.

    Convolutions and linear layers are int8 wherever they can be, other operations where all that they read is.

    Args:
        is_float: which nodes must not become int8.
    """
    feature_maps: dict[Node, FeatureMap] = {}
    context = Context(module, feature_maps)
    steps: dict[Node, Step] = {}
    for node in module.graph.nodes:
        if node.op not in ("placeholder", "call_function"):
            continue
        step = None if node.op == "placeholder" or is_float(node) else _interpret(context, node)
        if step is None and fx.operation(node).startswith("conv") and not is_float(node):
            step = _without_view(context, steps, node)
        if step is not None and (step.op in CONVOLUTIONS or all(source in steps or is_given(source) for source in step.inputs)):
            steps[node] = step
            feature_maps[node] = step.feature_map
        else:
            _remember(feature_maps, node)
    for node in [node for node, step in steps.items() if step.op == "pad" and not is_read(steps, node)]:
        del steps[node]
    operations = [node for node in module.graph.nodes if node.op == "call_function"]
    if len(steps) < len(operations):
        steps = with_convolutions(steps)
    return list(steps.values())


def is_read(steps: dict[Node, Step], node: Node) -> bool:
    """Whether an int8 operation reads a value, also reshaped. Zeros that only dense operations read are theirs."""
    return any(user in steps and (steps[user].op != "view" or is_read(steps, user)) for user in node.users)


def is_given(node: Node) -> bool:
    """Whether a value is an input of the model, or a row of it as an image."""
    (source,) = node.all_input_nodes if fx.operation(node) == "unsqueeze.default" else (node,)
    return source.op == "placeholder"


def with_convolutions(steps: dict[Node, Step]) -> dict[Node, Step]:
    """Without regions that have no convolution: in a graph that has dense operations, int8 gains nothing there."""
    region: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while region[node] is not node:
            node = region[node]
        return node

    for node, step in steps.items():
        region[node] = node
        for source in step.inputs:
            if source in steps:
                region[root(source)] = root(node)
    useful = {root(node) for node, step in steps.items() if step.op in CONVOLUTIONS}
    return {node: step for node, step in steps.items() if root(node) in useful}


def is_lowered(node: Node) -> bool:
    """Whether there is an operation on dense tensors for a node."""
    return node.target is operator.getitem or fx.operation(node) in LOWERINGS


def unknown(node: Node) -> Problem:
    """Why there is no operation for a node."""
    name = fx.operation(node)
    if not isinstance(node.target, torch._ops.OpOverload):
        return Problem(node, "it is no operation of ATen", "write it with PyTorch's tensor operations")
    if torch.Tag.nondeterministic_seeded in node.target.tags:
        return Problem(node, "its result is random", "pass random numbers to the model as an input; leave dropout out of inference")
    if not str(node.target).startswith("aten."):
        return Problem(
            node, "it is a custom operation, of which the converter knows no kernel", "write it with PyTorch's operations"
        )
    return Problem(node, "no kernel computes it", REMEDIES.get(name.split(".")[0], DEFAULT_REMEDY))


def _interpret(context: Context, node: Node) -> Step | None:
    """The node as an int8 operation, if it can be one."""
    interpretation = INTERPRETATIONS.get(fx.operation(node))
    if interpretation is None or not isinstance(node.meta.get("val"), torch.Tensor) or node.meta["val"].dtype != torch.float32:
        return None
    try:
        return interpretation(context, node)
    except UnsupportedError:
        return None


def _without_view(context: Context, steps: dict[Node, Step], node: Node) -> Step | None:
    """A convolution of a value that was reshaped: where it alone reads that, the reshaping is a dense operation instead."""
    source = node.all_input_nodes[0]
    if source not in steps or steps[source].op != "view" or len(source.users) > 1:
        return None
    view, feature_map = steps.pop(source), context.feature_maps.pop(source)
    _remember(context.feature_maps, source)
    step = _interpret(context, node)
    if step is None:
        steps[source], context.feature_maps[source] = view, feature_map
    return step


def _remember(feature_maps: dict[Node, FeatureMap], node: Node) -> None:
    """A dense value that int8 operations may read has its own shape as feature map."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return
    size = fx.shape(node)
    if len(size) == 4:
        feature_maps[node] = (size[0], size[1], size[2], size[3])
    elif len(size) == 3:
        feature_maps[node] = (size[0], size[2], 1, size[1])
    elif len(size) == 2:
        feature_maps[node] = (size[0], size[1], 1, 1)


def require_fixed_sizes(module: GraphModule) -> None:
    """Every result has a size and no number of the graph is taken from the data; what follows from one is not named.

    Raises:
        ConversionError: lists the operations whose result, or its size, depends on the data.
    """
    varying = dict.fromkeys(node for node in module.graph.nodes if not is_fixed(node.meta.get("val")))
    problems = []
    for node in varying:
        if varying.keys().isdisjoint(node.all_input_nodes):
            number = not isinstance(node.meta["val"], torch.Tensor | tuple | list)
            reason = f"{'its result is a number that' if number else 'the size of its result'} depends on the data"
            problems.append(Problem(node, reason, REMEDIES.get(fx.operation(node).split(".")[0], SIZES_REMEDY)))
    if problems:
        raise ConversionError(describe(problems))


def is_fixed(value: object) -> bool:
    """Whether a value without its data has sizes that are known."""
    if isinstance(value, tuple | list):
        return all(is_fixed(item) for item in value)
    sizes = value.shape if isinstance(value, torch.Tensor) else (value,)
    return not any(isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool) for size in sizes)


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
            if maker is not None and maker.op in (*CONVOLUTIONS, "add", "average_pool2d") and len(maker.output.users) == 1:
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


def set_precisions(steps: list[Step], wanted: Callable[[Node], str]) -> None:
    """Gives every step its precision: convolutions what is wanted, other operations the widest of what they read."""
    made: dict[Node, str] = {}
    for step in steps:
        read = {made.get(source, "int8") for source in step.inputs}
        widest = "int16" if "int16" in read else "int8"
        chosen = wanted(step.node)
        step.precision = chosen if step.op in CONVOLUTIONS and chosen != "float" else widest
        made[step.output] = step.precision
