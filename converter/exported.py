"""Models that come as an exported program: `torch.export.export(..)`, or a file of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from cosoc.converter import fx
from cosoc.converter.capture import first_line, quiet
from cosoc.converter.errors import ConversionError

SUFFIX = ".pt2"


def read(path: Path) -> ExportedProgram:
    """The program of a file that `torch.export.save` wrote.

    Raises:
        ConversionError: no such file, a damaged one, or one of another kind.
    """
    expected = "expected a file that torch.export.save(torch.export.export(model.eval(), inputs), path) wrote"
    if not path.is_file():
        raise ConversionError(f"there is no file {path}; {expected}")
    try:
        with quiet():
            return torch.export.load(path)
    except Exception as error:  # of many types, after lines of its own that say no more
        raise ConversionError(f"{path} is no exported program, or is damaged, or of another PyTorch; {expected}") from error


def opened(model: object, example_inputs: object) -> tuple[Any, Any]:
    """Model and example inputs; of an exported program its module, and its own example inputs where none are given.

    Raises:
        ConversionError: a program without example inputs, called by keywords, or exported in training mode.
    """
    if not isinstance(model, ExportedProgram):
        return model, example_inputs
    if example_inputs is None:
        arguments, keywords = model.example_inputs or ((), {})
        if not arguments or keywords:
            raise ConversionError(
                "the exported program has no example inputs that are given by position; pass example_inputs (--input on the "
                "command line), or export the model with positional arguments only"
            )
        example_inputs = arguments
    training = [fx.place(node) for node in model.graph.nodes if is_training(node)]
    if training:
        raise ConversionError(
            f"the program was exported in training mode ({training[0]}); call model.eval() before torch.export.export"
        )
    try:
        return model.module(), example_inputs
    except Exception as error:
        raise ConversionError(f"the exported program has no module: {first_line(error)}; export the model again") from error


def is_training(node: Node) -> bool:
    """Whether a node is a batch norm or dropout as training computes it."""
    if node.op != "call_function" or fx.operation(node) not in ("batch_norm.default", "dropout.default"):
        return False
    bound = fx.arguments(node)
    return bool(bound.get("training", bound.get("train")))


def name_of(program: ExportedProgram) -> str:
    """Class of the model that was exported, as far as it is known."""
    stacks = (node.meta.get("nn_module_stack") for node in program.graph.nodes)
    roots = [str(next(iter(stack.values()))[1]) for stack in stacks if stack]
    return roots[0].rpartition(".")[2] if roots else "exported"
