"""From the user's module to a graph of ATen operations."""

from __future__ import annotations

import linecache
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from cosoc.converter import fx
from cosoc.converter.checks import Inputs, check_constants, require_no_state, tensors
from cosoc.converter.decompositions import decompositions
from cosoc.converter.errors import ConversionError
from cosoc.converter.support import require_fixed_sizes

SEQUENCES = (Path(nn.utils.rnn.__file__), Path(nn.modules.rnn.__file__))
"""Where PyTorch packs sequences, and computes with packed ones."""


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


def remedy(error: BaseException) -> str:
    """What to do about a line that torch.export cannot record."""
    if any(Path(frame.filename) in SEQUENCES for frame in traceback.extract_tb(error.__traceback__)):
        return (
            "a packed sequence has a size that depends on the data: give the recurrent layer the padded batch, and take from its "
            "results what the lengths say, with torch.where or gather"
        )
    return "rewrite that line with tensor operations only, or keep it outside the converted model"


def first_line(error: BaseException) -> str:
    """First line of an exception's message, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
    copies = [tuple(value.clone() for value in inputs) for _ in range(2)]
    try:
        first, second = (tensors(model, values) for values in copies)
    except ConversionError:
        raise
    except Exception as error:
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        line = user_line(error)
        raise ConversionError(
            f"the model does not run on example inputs of shape {shapes}: {first_line(error)}"
            + (f"\n  at {line}" if line else "")
            + "\n  pass example inputs of the shape and dtype that the model expects"
        ) from error
    try:
        with quiet(), torch.no_grad():
            exported = torch.export.export(model, inputs, strict=False).run_decompositions(decompositions())
            module = exported.module(check_guards=False)
    except (GuardOnDataDependentSymNode, DataDependentOutputException) as error:
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
            + f"\n  {remedy(error)}"
        ) from error
    assert isinstance(module, GraphModule)
    check_constants(module)
    require_fixed_sizes(module)
    if not any(fx.is_random(node) for node in module.graph.nodes):
        require_no_state(inputs, copies[0], first, second, exported.graph_signature.buffers_to_mutate.values())
    return module
