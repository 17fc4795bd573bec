"""Small questions to a torch.fx node: its arguments by name, its shape, its module, its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch.fx import Node

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_TORCH = str(Path(torch.__file__).parent)


def is_library(filename: str) -> bool:
    """Whether a file belongs to PyTorch, not to the user's model."""
    return filename.startswith(_TORCH) or filename.startswith("<")


def operation(node: Node) -> str:
    """`conv2d.default` for a call of ATen's; the target's name otherwise."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target).removeprefix("aten.")
    return str(getattr(target, "__name__", target))


def arguments(node: Node) -> dict[str, Any]:
    """Arguments of an ATen call by the names of its schema, defaults filled in."""
    assert isinstance(node.target, torch._ops.OpOverload)
    bound: dict[str, Any] = {}
    for index, parameter in enumerate(node.target._schema.arguments):
        default = parameter.default_value if parameter.has_default_value() else None
        bound[parameter.name] = node.args[index] if index < len(node.args) else node.kwargs.get(parameter.name, default)
    return bound


def is_random(node: Node) -> bool:
    """Whether a call gives another result each time; dropout does in training only."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    return target is not torch.ops.aten.dropout.default or bool(arguments(node)["train"])


def shape(node: Node) -> tuple[int, ...]:
    """Shape of the node's value; empty when it has none."""
    value = node.meta.get("val")
    return tuple(int(size) for size in value.shape) if isinstance(value, torch.Tensor) else ()


def tensor_of(module: torch.fx.GraphModule, node: object) -> torch.Tensor | None:
    """The parameter or buffer that a `get_attr` node reads; None for any other node."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach() if isinstance(value, torch.Tensor) else None


def label(node: Node) -> str:
    """A name that the user recognizes: the module's path, and for a function call also the operation."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if stack and stack[-1][0] and str(stack[-1][1]).startswith("torch.nn.modules."):
        return str(stack[-1][0])
    path = f"{stack[-1][0]}." if stack and stack[-1][0] else ""
    name = operation(node)
    return path + (name.rpartition(".")[0] or name)


def source_line(node: Node) -> str:
    """`model.py:12`: the innermost line of the user's code that made the node, or empty."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    own = [(filename, line) for filename, line in frames if not is_library(filename)]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}" if own else ""


def place(node: Node) -> str:
    """For messages: `features.0 (model.py:12)`."""
    line = source_line(node)
    return label(node) + (f" ({line})" if line else "")
