"""What differs between two bundles: layers, types, attributes, devices, weights."""

from __future__ import annotations

import numpy as np

from cosoc.converter.bundle import Bundle
from cosoc.converter.ir import Node, Tensor


def differences(first: Bundle, second: Bundle) -> list[str]:
    """A line for every difference, in the order of the graphs; empty when both compute the same in the same way."""
    lines: list[str] = []
    for what in ("inputs", "outputs"):
        one, other = getattr(first.graph, what), getattr(second.graph, what)
        if one != other:
            lines.append(f"{what}: {', '.join(one)} | {', '.join(other)}")
    if first.graph.any_batch != second.graph.any_batch:
        lines.append(f"any batch: {' | '.join('yes' if bundle.graph.any_batch else 'no' for bundle in (first, second))}")
    ours, theirs = ({node.name: node for node in bundle.graph.nodes} for bundle in (first, second))
    for name, node in ours.items():
        lines += of_nodes(first, second, node, theirs[name]) if name in theirs else [f"{name}: {node.op} | absent"]
    lines += [f"{name}: absent | {node.op}" for name, node in theirs.items() if name not in ours]
    shared = [name for name in ours if name in theirs]
    if shared != [name for name in theirs if name in ours]:
        lines.append("the nodes that both have stand in another order")
    return lines


def of_nodes(first: Bundle, second: Bundle, one: Node, other: Node) -> list[str]:
    """Differences of two nodes of one name."""
    lines = []
    if one.op != other.op:
        return [f"{one.name}: {one.op} | {other.op}"]
    for what in ("inputs", "outputs", "devices", "source"):
        mine, yours = getattr(one, what), getattr(other, what)
        if mine != yours:
            lines.append(f"{one.name}: {what} {written(mine)} | {written(yours)}")
    for name in sorted(one.attributes.keys() | other.attributes.keys()):
        mine, yours = one.attributes.get(name), other.attributes.get(name)
        if mine != yours:
            lines.append(f"{one.name}: {name} {mine} | {yours}")
    for name, counterpart in zip((*one.inputs, *one.outputs), (*other.inputs, *other.outputs), strict=False):
        tensor, partner = first.graph.tensors[name], second.graph.tensors[counterpart]
        if type_of(tensor) != type_of(partner):
            lines.append(f"{one.name}: {name} {type_of(tensor)} | {type_of(partner)}")
        elif tensor.constant and partner.constant:
            mine, yours = first.constants[name], second.constants[counterpart]
            count = int((mine != yours).sum())
            if count:
                largest = np.abs(mine.astype(np.float64) - yours.astype(np.float64)).max()
                lines.append(f"{one.name}: {name} differs in {count} of {mine.size} values, by at most {largest:g}")
    return lines


def written(value: str | tuple[str, ...]) -> str:
    """A tuple as words."""
    return (value or "none") if isinstance(value, str) else " ".join(value)


def type_of(tensor: Tensor) -> str:
    """`int8 [1, 8, 8, 16] scale 0.0123 zero point -128`."""
    scaled = "" if tensor.scale is None else f" scale {tensor.scale:.6g} zero point {tensor.zero_point}"
    return f"{tensor.dtype} {list(tensor.shape)}{scaled}"
