"""Copies that follow each other become one: a reshape of what was permuted, a slice of a copy, and every chain of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cosoc.converter.dense.call import row_major
from cosoc.converter.ir import MAX_RANK, Graph, Node


@dataclass(frozen=True)
class Walk:
    """Axes of a copy with their steps through what it reads, and where it starts."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @staticmethod
    def of(node: Node) -> Walk:
        """That of a `strided` node."""
        attributes = node.attributes
        return Walk(tuple(attributes["shape"]), tuple(attributes["strides"]), int(attributes["offset"]))


def compose_layouts(graph: Graph) -> Graph:
    """A `strided` node of a `strided` node reads what that one reads, where its axes allow it; nodes that nobody reads vanish."""
    made = {name: node for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        inner = made.get(node.inputs[0]) if node.op == "strided" else None
        if inner is None or inner.op != "strided":
            continue
        walk = composed(Walk.of(inner), Walk.of(node))
        if walk is None:
            continue
        shape = graph.tensors[node.outputs[0]].shape
        attributes: dict[str, Any] = {"strides": list(walk.strides), "offset": walk.offset, "shape": list(walk.shape)}
        if walk.shape != shape:
            attributes["result"] = list(shape)
        made[node.outputs[0]] = replace(node, inputs=inner.inputs, attributes=attributes)
    return without_unread(replace(graph, nodes=tuple(made[node.outputs[0]] for node in graph.nodes)))


def composed(inner: Walk, outer: Walk) -> Walk | None:
    """The copy that two copies are together; None where an axis of the second leaves a place in the middle of the first's axes."""
    steps = row_major(inner.shape)
    at = [outer.offset // step % size for step, size in zip(steps, inner.shape, strict=True)]
    offset = inner.offset + sum(index * stride for index, stride in zip(at, inner.strides, strict=True))
    axes: list[tuple[int, int]] = []
    for size, stride in zip(outer.shape, outer.strides, strict=True):
        parts = split(inner.shape, steps, size, stride)
        if parts is None:
            return None
        for count, axis, step in parts:
            axes.append((count, step * inner.strides[axis] if count > 1 else 0))
            at[axis] += (count - 1) * step
    # No axis of the first copy is left on its way, so that the steps along them can be added.
    if any(last >= size for last, size in zip(at, inner.shape, strict=True)):
        return None
    wide = [axis for axis in axes if axis[0] > 1] if len(axes) > MAX_RANK else axes
    if len(wide) > MAX_RANK:
        return None
    return Walk(tuple(size for size, _ in wide), tuple(stride for _, stride in wide), offset)


def split(shape: Sequence[int], steps: Sequence[int], size: int, stride: int) -> list[tuple[int, int, int]] | None:
    """An axis of `size` elements `stride` apart in a dense tensor, along that one's axes: (count, axis, step), outer first."""
    if not shape or size == 1 or stride == 0:
        return [(size, 0, 0)] if shape else None
    if stride < 0:
        return None
    for axis in reversed(range(len(shape))):
        step, left = divmod(stride, steps[axis])
        if shape[axis] == 1 or left or step >= shape[axis] or not step:
            continue
        if (size - 1) * step < shape[axis]:
            return [(size, axis, step)]
        count = shape[axis] // step
        if shape[axis] % step or size % count:
            return None
        outer = split(shape, steps, size // count, stride * count)
        return None if outer is None else [*outer, (count, axis, step)]
    return None


def without_unread(graph: Graph) -> Graph:
    """The graph without nodes whose results nobody reads, and without tensors that no node has."""
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    names = {*graph.inputs, *needed, *(name for node in kept for name in node.outputs)}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in names}
    return replace(graph, tensors=tensors, nodes=tuple(reversed(kept)))
