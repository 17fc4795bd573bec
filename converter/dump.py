"""The model as text after every step of its conversion: `convert(.., dump=DIR)`, `cosoc convert --dump DIR`.

One file for each step, numbered in their order. First come the rewrites of PyTorch's float graph, then the lowered graph and the
passes over it; from one file to the next `diff` shows what a step did. The same model gives the same text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import Graph, Tensor

Stage = tuple[str, str]
"""Name of a step, and the model after it."""


def float_text(module: GraphModule) -> str:
    """PyTorch's graph: a line for every constant, input, operation and output."""
    lines = []
    for node in module.graph.nodes:
        if node.op == "get_attr":
            lines.append(f"{node.name}: {fake_type(node, module)} = constant {node.target}")
        elif node.op == "placeholder":
            lines.append(f"{node.name}: {fake_type(node, module)} = input")
        elif node.op == "output":
            lines.append(f"return {node.args[0]}")
        else:
            arguments = [str(value) for value in node.args] + [f"{name}={value}" for name, value in node.kwargs.items()]
            lines.append(
                f"{node.name}: {fake_type(node, module)} = {fx.operation(node)}({', '.join(arguments)})  # {fx.place(node)}"
            )
    return "\n".join(lines) + "\n"


def fake_type(node: Node, module: GraphModule) -> str:
    """`float32[1, 3, 8, 8]`, of several outputs in parentheses."""
    value = fx.tensor_of(module, node)
    value = node.meta.get("val") if value is None else value
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, tuple | list):
        parts = [f"{str(part.dtype).removeprefix('torch.')}{list(part.shape)}" for part in value if isinstance(part, torch.Tensor)]
        return f"({', '.join(parts)})"
    return type(value).__name__


def graph_text(graph: Graph) -> str:
    """A bundle's graph: a line for every input, operation and output. Constants stand where they are read."""
    lines = [f"{name}: {type_text(graph.tensors[name])} = input" for name in graph.inputs]
    for node in graph.nodes:
        outputs = ", ".join(f"{name}: {type_text(graph.tensors[name])}" for name in node.outputs)
        operands = [
            f"{name}: constant {type_text(graph.tensors[name])}" if graph.tensors[name].constant else name for name in node.inputs
        ]
        attributes = f" {json.dumps(node.attributes)}" if node.attributes else ""
        source = f" ({node.source})" if node.source else ""
        lines.append(f"{outputs} = {node.op}({', '.join(operands)}){attributes} on {'|'.join(node.devices)}  # {node.name}{source}")
    return "\n".join([*lines, f"return {', '.join(graph.outputs)}"]) + "\n"


def type_text(tensor: Tensor) -> str:
    """`int8[1, 8, 8, 4] scale 0.05 zero 3`: type, shape, and of integers that stand for reals scale and zero point."""
    scaled = "" if tensor.scale is None else f" scale {tensor.scale!r} zero {tensor.zero_point}"
    return f"{tensor.dtype}{list(tensor.shape)}{scaled}"


def write(folder: Path, stages: Sequence[Stage]) -> None:
    """Writes `00-captured.txt` and so on; what an earlier conversion left there goes.

    Raises:
        ConversionError: the folder holds other files, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        require_own(folder)
        for old in folder.iterdir():
            old.unlink()
        for index, (name, text) in enumerate(stages):
            (folder / f"{index:02}-{name}.txt").write_text(text)
    except OSError as error:
        raise ConversionError(f"--dump {folder} cannot be written: {error.strerror}") from error


def require_own(folder: Path) -> None:
    """Only a folder of such files, or an empty one, is written to.

    Raises:
        ConversionError: something else is there.
    """
    others = [path.name for path in folder.iterdir() if not (path.is_file() and path.match("[0-9][0-9]-*.txt"))]
    if others:
        raise ConversionError(f"--dump {folder} has other files ({others[0]}); name an empty or a new folder")
