"""From the user's module to a graph of ATen operations, with every misuse named before any work is done."""

from __future__ import annotations

import linecache
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._decomp import get_decompositions
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from cosoc.converter import fx
from cosoc.converter.dense import LOWERINGS
from cosoc.converter.errors import ConversionError
from cosoc.converter.operators import INTERPRETATIONS
from cosoc.converter.plain_weights import with_plain_weights

Inputs = tuple[torch.Tensor, ...]

aten = torch.ops.aten


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs PyTorch on one thread: the order of its float sums, and with it a bundle's last bits, then depend on no core count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the warnings, log lines and graphs that torch.export and torchao print about themselves."""
    loggers = [logging.getLogger(name) for name in ("torch", "torchao", "torch.__trace")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        # torch.export prints the graph of a model that it refuses straight to standard error.
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def user_line(error: BaseException) -> str:
    """Innermost line of the user's code in a traceback: `model.py:12: if x.sum() > 0:`, or empty."""
    own = Path(__file__).parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not fx.is_library(frame.filename) and Path(frame.filename).parent != own
    ]
    if not frames:
        return ""
    last = frames[-1]
    text = linecache.getline(last.filename, last.lineno or 0).strip()
    return f"{Path(last.filename).name}:{last.lineno}: {text}"


def first_line(error: BaseException) -> str:
    """First line of an exception's message, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_inputs(example_inputs: object) -> Inputs:
    """The example inputs as a tuple of tensors.

    Raises:
        ConversionError: something else was given.
    """
    values = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else example_inputs
    if not isinstance(values, tuple | list) or not values or not all(isinstance(value, torch.Tensor) for value in values):
        raise ConversionError("example_inputs must be a tensor or a non-empty tuple of tensors, one for each input of the model")
    for index, value in enumerate(values):
        if 0 in value.shape or value.dim() > 8:
            raise ConversionError(f"example input {index} has shape {tuple(value.shape)}; expected 1..8 dimensions, none of them 0")
        if value.device.type != "cpu":
            raise ConversionError(f"example input {index} is on {value.device}; pass a tensor on the CPU")
        if (value.is_floating_point() or value.is_complex()) and not torch.isfinite(value).all():
            raise ConversionError(f"example input {index} contains NaN or infinity")
    return tuple(values)


def check_model(model: object) -> nn.Module:
    """The model, when it is ready to be converted.

    Raises:
        ConversionError: not a module, in training mode, or with parameters that are no finite float32 and do not become such.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ConversionError(f"{model.__name__} is a class; pass an instance of it: {model.__name__}()")
    if not isinstance(model, nn.Module):
        raise ConversionError(f"the model must be a torch.nn.Module, found {type(model).__name__}")
    model = with_plain_weights(model)
    # An exported graph has no mode: its operations say how they compute.
    modules = [] if isinstance(model, GraphModule) else model.named_modules()
    training = [name or "the model itself" for name, module in modules if module.training]
    if training:
        raise ConversionError(f"the model is in training mode ({shortened(training)}); call model.eval() before converting it")
    state = [*model.named_parameters(), *model.named_buffers()]
    elsewhere = [f"{name} is on {value.device}" for name, value in state if value.device.type != "cpu"]
    if elsewhere:
        raise ConversionError(
            f"parameters must be on the CPU: {shortened(elsewhere)}; call model.cpu(), or load weights where there are none yet"
        )
    wrong = [f"{name} is {value.dtype}" for name, value in state if value.is_floating_point() and value.dtype != torch.float32]
    if wrong:
        raise ConversionError(f"parameters must be torch.float32: {shortened(wrong)}; call model.float()")
    broken = [name for name, value in state if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise ConversionError(f"NaN or infinity in {shortened(broken)}; train the model again or load other weights")
    return model


def shortened(names: list[str], limit: int = 8) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


DECOMPOSED = (aten.grid_sampler_2d, aten._native_batch_norm_legit.no_stats)
"""Operations that torch.export leaves whole although PyTorch knows how to write them with others."""


def decompositions() -> Any:
    """PyTorch's table without the operations that are lowered as they are: the rest becomes operations of Core ATen."""
    table = torch.export.default_decompositions()
    for target, decomposition in get_decompositions(DECOMPOSED).items():
        table[target] = decomposition
    kept = LOWERINGS.keys() | INTERPRETATIONS.keys()
    for target in list(table):
        if str(target).removeprefix("aten.") in kept:
            del table[target]
    return table


@contextmanager
def plain_attention() -> Iterator[None]:
    """Transformer layers as their parts, not as PyTorch's fused functions for inference."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@plain_attention()
def capture(model: nn.Module, inputs: Inputs) -> GraphModule:
    """The model as a functional graph of ATen operations (no operation changes its inputs), on the example's shapes.

    Raises:
        ConversionError: the model does not run on the inputs, or its control flow depends on their values.
    """
    try:
        with torch.no_grad():
            model(*inputs)
    except Exception as error:
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        line = user_line(error)
        raise ConversionError(
            f"the model does not run on example inputs of shape {shapes}: {first_line(error)}"
            + (f"\n  at {line}" if line else "")
            + "\n  pass example inputs of the shape that the model expects"
        ) from error
    try:
        with quiet(), torch.no_grad():
            exported = torch.export.export(model, inputs, strict=False).run_decompositions(decompositions())
            module = exported.module(check_guards=False)
    except GuardOnDataDependentSymNode as error:
        raise ConversionError(
            f"control flow depends on the values of a tensor\n  at {user_line(error) or 'an unknown line'}\n"
            "  a converted model does the same operations for every input: choose between results with "
            "torch.where(condition, a, b), or decide by shapes or by attributes of the module"
        ) from error
    except Exception as error:
        line = user_line(error)
        raise ConversionError(
            f"torch.export cannot record the model: {first_line(error)}"
            + (f"\n  at {line}" if line else "")
            + "\n  rewrite that line with tensor operations only, or keep it outside the converted model"
        ) from error
    assert isinstance(module, GraphModule)
    check_constants(module)
    return module


def check_constants(module: GraphModule) -> None:
    """No tensor that the model keeps, also as a plain attribute, has a NaN; infinities, as masks have them, are numbers.

    Raises:
        ConversionError: one does.
    """
    for node in module.graph.nodes:
        value = fx.tensor_of(module, node)
        if value is not None and (value.is_floating_point() or value.is_complex()) and value.isnan().any():
            readers = ", ".join(fx.place(user) for user in node.users)
            raise ConversionError(f"NaN in the constant {node.target}, which {readers} reads; load other values")
