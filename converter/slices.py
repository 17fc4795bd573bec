"""Slices of convolutions: what they leave out is never computed."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx

aten = torch.ops.aten

CONVOLUTIONS = (aten.conv1d.default, aten.conv2d.default)


def trim_convolutions(module: GraphModule) -> None:
    """A slice of a convolution that leaves out results at the ends of an axis becomes less padding at those ends.

    So a causal convolution that pads both ends and drops the last results (`Chomp1d` of temporal convolutional networks) pads one
    end only, and int8 layers around the slice need not become float between them.
    """
    for node in list(module.graph.nodes):
        layer = node.args[0] if node.target is aten.slice.Tensor else None
        if isinstance(layer, Node) and layer.target in CONVOLUTIONS and len(layer.users) == 1:
            trim(module, node, layer)


def trim(module: GraphModule, node: Node, layer: Node) -> None:
    """Puts a convolution of a padded value in the place of a slice along one of its axes, where the rest needs padding only."""
    cut, bound = fx.arguments(node), fx.arguments(layer)
    source, axes = bound["input"], len(fx.shape(layer)) - 2
    axis = cut["dim"] % (axes + 2) - 2
    if axis < 0 or cut["step"] != 1 or len(fx.shape(source)) != axes + 2:
        return
    stride, padding, dilation = (as_list(bound[name], axes) for name in ("stride", "padding", "dilation"))
    first, end, _ = slice(cut["start"], cut["end"]).indices(fx.shape(layer)[axis + 2])
    extent = dilation[axis] * (fx.shape(bound["weight"])[axis + 2] - 1) + 1
    before = padding[axis] - first * stride[axis]
    after = (end - 1) * stride[axis] + extent - padding[axis] - fx.shape(source)[axis + 2]
    if before < 0 or after < 0 or end <= first:
        return
    padding[axis] = 0
    if before or after:
        around = [0, 0] * (axes - 1 - axis) + [before, after]
        with module.graph.inserting_before(layer):
            padded = module.graph.call_function(aten.constant_pad_nd.default, (source, around, 0.0))
        padded.meta = {**layer.meta, "val": torch.nn.functional.pad(source.meta["val"], around)}
        source = padded
    layer.args = (source, bound["weight"], bound["bias"], stride, padding, dilation, bound["groups"])
    layer.kwargs = {}
    layer.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(layer)
    module.graph.erase_node(node)


def as_list(value: int | list[int], axes: int) -> list[int]:
    """ATen's integers of each axis; a single one counts for all."""
    values = [value] if isinstance(value, int) else [int(item) for item in value]
    return values * axes if len(values) == 1 else values
