"""`cosoc check` and `cosoc diff`: a bundle against its PyTorch model, and against another bundle."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Column, Table

from cosoc.converter.arithmetic import Kernels, arithmetic_of
from cosoc.converter.bundle import Bundle
from cosoc.converter.compare import LayerError, compare
from cosoc.converter.differences import differences
from cosoc.converter.loading import load_arrays, load_model, load_weights, one_message, random_input, require_count

SAMPLES = 16
"""Samples on which a bundle is checked."""

console = Console()


def wide() -> Console:
    """Where tables go: without a terminal nothing is cut off, since a file or a pipe has no width."""
    return console if console.is_terminal else Console(width=200)


@one_message
def check_command(
    bundle: Annotated[Path, typer.Argument(help="directory of the bundle")],
    model: Annotated[str, typer.Argument(help="path.py:Name, the model that it was converted from")],
    weights: Annotated[Path | None, typer.Option(help=".safetensors file with the model's weights")] = None,
    data: Annotated[Path | None, typer.Option(help=".npz or .npy with typical inputs; seeded random values when absent")] = None,
    worst: Annotated[int, typer.Option(min=1, help="layers to name as the worst")] = 3,
    soc: Annotated[
        Path | None, typer.Option(help="directory of a build: transforms of its FFT, and dense tensors by its kernels for the CPU")
    ] = None,
    least_snr: Annotated[float, typer.Option(help="status 1 when a layer has less signal to noise, in dB")] = -math.inf,
) -> None:
    """Runs the bit-exact emulation of a bundle and compares every layer with PyTorch."""
    loaded = Bundle.load(bundle)
    module = load_model(model)
    if weights is not None:
        load_weights(module, weights)
    with contextlib.ExitStack() as stack:
        arithmetic = None if soc is None else arithmetic_of(soc, stack.enter_context(Kernels(soc)))
        errors = compare(loaded, module, inputs(loaded, data), arithmetic)
    table = Table(*(Column(name, overflow="fold") for name in ("layer", "operation", "source")), title=loaded.graph.name)
    for column in ("largest error", "of its range", "SNR"):
        table.add_column(column, justify="right")
    for error in errors:
        table.add_row(
            error.node, error.op, error.source, f"{error.max_error:.4g}", f"{error.relative_error:.2%}", decibels(error.snr_db)
        )
    wide().print(table, markup=False)
    lowest = sorted(errors, key=lambda error: error.snr_db)[:worst]
    print("worst layers: " + "; ".join(f"{error.node} {decibels(error.snr_db)}{place(error)}" for error in lowest))
    if data is None:
        print("no --data: the inputs were random, which says little about accuracy")
    if lowest and lowest[0].snr_db < least_snr:
        print(f"{lowest[0].node} has {decibels(lowest[0].snr_db)}, less than {least_snr:g} dB")
        raise typer.Exit(1)


def inputs(bundle: Bundle, data: Path | None) -> list[torch.Tensor]:
    """Some samples for each input of a bundle, in whole batches."""
    tensors = [bundle.graph.tensors[name] for name in bundle.graph.inputs]
    dtypes = [getattr(torch, tensor.dtype) for tensor in tensors]
    if data is None:
        generator = torch.Generator().manual_seed(0)
        return [random_input(tensor.shape, dtype, generator) for tensor, dtype in zip(tensors, dtypes, strict=True)]
    arrays = load_arrays(data)
    require_count(data, arrays, len(tensors))
    batch = tensors[0].shape[0]
    count = max(1, min(SAMPLES, *(len(array) for array in arrays)) // batch) * batch
    return [torch.from_numpy(array[:count]).to(dtype) for array, dtype in zip(arrays, dtypes, strict=True)]


def decibels(value: float) -> str:
    """`38.2 dB`, or that nothing differs."""
    return "exact" if value == math.inf else f"{value:.1f} dB"


def place(error: LayerError) -> str:
    """` (model.py:12)`, or nothing."""
    return f" ({error.source})" if error.source else ""


@one_message
def diff_command(
    first: Annotated[Path, typer.Argument(help="directory of a bundle")],
    second: Annotated[Path, typer.Argument(help="directory of another bundle")],
) -> None:
    """Prints what differs between two bundles; status 1 when something does."""
    lines = differences(Bundle.load(first), Bundle.load(second))
    for line in lines:
        print(line)
    if lines:
        raise typer.Exit(1)
    print("both bundles are the same")
