"""Operations on rows (N, C, L) as those on images of one row (N, C, 1, L), which the accelerators compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx

aten = torch.ops.aten

CLAMPS = (aten.relu.default, aten.hardtanh.default, aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default)
"""Operations that limit every element to an interval."""

RESHAPES = (aten.reshape.default, aten.view.default, aten.flatten.using_ints, aten.squeeze.dim)

ROW_CONVOLUTIONS = (aten.conv1d.default, aten.conv1d.padding, aten.conv_transpose1d.default)
"""Convolutions of one axis."""

PADS = (aten.pad.default, aten.constant_pad_nd.default)

FOLLOWERS = (
    *CLAMPS,
    *RESHAPES,
    *PADS,
    aten.add.Tensor,
    aten.mean.dim,
    aten.max_pool1d.default,
    aten.avg_pool1d.default,
    aten.adaptive_avg_pool1d.default,
)
"""What may be done on the image of a row that a convolution made."""

ROW = "row"
"""Key of what a node's meta has for an image: the name that the row has, or had."""


def with_row(value: object, row: int) -> list[int]:
    """[row, value] from ATen's one integer; an empty list stays empty."""
    values = [value] if isinstance(value, int) else list(value)  # type: ignore[call-overload]
    return [row, int(values[0])] if values else []


class Rows:
    """Rewrites one graph.

    Attributes:
        images: of the values (N, C, L) that are also there as (N, C, 1, L).
    """

    def __init__(self, module: GraphModule) -> None:
        self.module = module
        self.images: dict[Node, Node] = {}

    def image(self, row: Node, reader: Node) -> Node:
        """A value as an image, made before its first reader."""
        if row not in self.images:
            with self.module.graph.inserting_before(reader):
                made = self.module.graph.create_node("call_function", aten.unsqueeze.default, (row, 2), name=f"{row.name}_image")
            made.meta = {**row.meta, "val": row.meta["val"].unsqueeze(2), ROW: row.name}
            self.images[row] = made
        return self.images[row]

    def kernel(self, weight: Node, reader: Node) -> Node:
        """The weight of a convolution with an axis for rows."""
        value = fx.tensor_of(self.module, weight)
        assert value is not None
        name = f"{reader.name}_kernel"
        self.module.register_buffer(name, value.unsqueeze(2))
        with self.module.graph.inserting_before(reader):
            constant = self.module.graph.get_attr(name)
        constant.meta = {"val": value.unsqueeze(2), ROW: weight.name}
        return constant

    def replace(
        self, node: Node, target: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None = None
    ) -> None:
        """Puts an operation on images, and a view of its result as rows, in the place of a node."""
        graph = self.module.graph
        with graph.inserting_before(node):
            image = graph.create_node("call_function", target, arguments, keywords, name=f"{node.name}_image")
            row = graph.call_function(aten.squeeze.dim, (image, 2))
        row.meta, image.meta = {**node.meta}, {**node.meta, "val": node.meta["val"].unsqueeze(2), ROW: node.name}
        node.replace_all_uses_with(row)
        graph.erase_node(node)
        self.images[row] = image

    def convolution(self, node: Node) -> None:
        """A convolution of one axis, also transposed, whose weight is known."""
        bound = fx.arguments(node)
        if len(fx.shape(bound["input"])) != 3 or fx.tensor_of(self.module, bound["weight"]) is None:
            return
        image, kernel = self.image(bound["input"], node), self.kernel(bound["weight"], node)
        named = isinstance(bound["padding"], str)
        padding = bound["padding"] if named else with_row(bound["padding"], 0)
        stride, dilation = with_row(bound["stride"], 1), with_row(bound["dilation"], 1)
        if node.target is aten.conv_transpose1d.default:
            around = (stride, padding, with_row(bound["output_padding"], 0), bound["groups"], dilation)
            self.replace(node, aten.conv_transpose2d.input, (image, kernel, bound["bias"], *around))
        else:
            target = aten.conv2d.padding if named else aten.conv2d.default
            self.replace(node, target, (image, kernel, bound["bias"], stride, padding, dilation, bound["groups"]))

    def follow(self, node: Node) -> None:
        """An operation that reads an image of a convolution is done on it, where that is the same."""
        source = node.args[0]
        target, bound = node.target, fx.arguments(node)
        if target in PADS:
            # What is padded for convolutions alone becomes an image with them.
            wanted = source in self.images or all(user.target in ROW_CONVOLUTIONS for user in node.users)
            if isinstance(source, Node) and wanted and len(fx.shape(node)) == 3 and len(bound["pad"]) == 2:
                self.replace(node, target, (self.image(source, node), *node.args[1:]), node.kwargs)
            return
        if target is aten.add.Tensor:
            operands = [operand for operand in node.args[:2] if isinstance(operand, Node) and fx.shape(operand) == fx.shape(node)]
            known = [operand in self.images for operand in operands]
            read = all(is_image or operand.op == "placeholder" for is_image, operand in zip(known, operands, strict=True))
            if any(known) and read and len(operands) == 2 and bound["alpha"] == 1:
                self.replace(node, target, tuple(self.image(operand, node) for operand in operands))
            return
        if not isinstance(source, Node) or source not in self.images:
            return
        image = self.images[source]
        if target in CLAMPS:
            self.replace(node, target, (image, *node.args[1:]))
        elif target in RESHAPES and len(fx.shape(node)) == 2:
            node.target, node.args, node.kwargs = aten.reshape.default, (image, list(fx.shape(node))), {}
        elif target is aten.mean.dim and {dim % 3 for dim in bound["dim"] or ()} == {2}:
            if bound["keepdim"]:
                self.replace(node, target, (image, [2, 3], True))
            else:
                node.args, node.kwargs = (image, [2, 3]), {}
        elif target is aten.adaptive_avg_pool1d.default:
            self.replace(node, aten.adaptive_avg_pool2d.default, (image, with_row(bound["output_size"], 1)))
        elif target in (aten.max_pool1d.default, aten.avg_pool1d.default):
            window = (with_row(bound["kernel_size"], 1), with_row(bound["stride"], 1), with_row(bound["padding"], 0))
            if target is aten.max_pool1d.default:
                self.replace(node, aten.max_pool2d.default, (image, *window, with_row(bound["dilation"], 1), bound["ceil_mode"]))
            else:
                self.replace(node, aten.avg_pool2d.default, (image, *window, bound["ceil_mode"], bound["count_include_pad"]))


def rows_as_images(module: GraphModule) -> None:
    """Convolutions of rows become convolutions of images of one row, and so does what follows them, as far as images can do it."""
    rows = Rows(module)
    for node in list(module.graph.nodes):
        if not isinstance(node.meta.get("val"), torch.Tensor) or node.meta["val"].dtype != torch.float32:
            continue
        if node.target in ROW_CONVOLUTIONS:
            rows.convolution(node)
        elif node.target in FOLLOWERS:
            rows.follow(node)
