"""`cosoc convert` and `cosoc inspect`: thin, over the functions of this package."""

from __future__ import annotations

import importlib.util
import math
import sys
import zipfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors.torch
import torch
import typer
from rich.console import Console
from rich.table import Column, Table

from cosoc.converter.bundle import REPORT, Bundle, require_replaceable
from cosoc.converter.capture import first_line, user_line
from cosoc.converter.convert import convert
from cosoc.converter.errors import BundleError, ConversionError
from cosoc.converter.placement import reason
from cosoc.converter.report import describe_output, macs

MAX_ELEMENTS = 2**28
"""Elements of an input: 1 GiB of float32."""


def one_message(command: Callable[..., None]) -> Callable[..., None]:
    """A command that prints the message of a user's mistake and ends with status 1, without a traceback."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ConversionError, BundleError) as error:
            print(f"cosoc: {error}", file=sys.stderr)
            raise typer.Exit(1) from None

    return guarded


def load_model(text: str) -> torch.nn.Module:
    """The model that `path.py:Name` names: a module, or a class or function that makes one without arguments; in eval mode.

    Raises:
        ConversionError: no such file or name, or its code fails.
    """
    file, _, name = text.rpartition(":")
    path = Path(file)
    if not file or not name.isidentifier():
        raise ConversionError(f"{text} names no model; expected path.py:Name, such as model.py:Model")
    if not path.is_file():
        raise ConversionError(f"there is no file {path}; expected path.py:Name, such as model.py:Model")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise ConversionError(f"{path} is no Python file; expected path.py:Name, such as model.py:Model")
    # The model may import files that lie beside it; source lines and pickling need the module by name.
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    try:
        specification.loader.exec_module(module)
        found = getattr(module, name, None)
        model = found() if callable(found) and not isinstance(found, torch.nn.Module) else found
    except Exception as error:
        line = user_line(error)
        raise ConversionError(
            f"{text} fails: {type(error).__name__}: {first_line(error)}"
            + (f"\n  at {line}" if line else "\n  expected a class or function that needs no arguments")
        ) from error
    if not isinstance(model, torch.nn.Module):
        classes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, torch.nn.Module)]
        raise ConversionError(f"{path} has no torch.nn.Module named {name}; it has {', '.join(sorted(classes)) or 'none at all'}")
    return model.eval()


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Loads a .safetensors file into a model. Counters of batches may be missing: only training uses them.

    Raises:
        ConversionError: unreadable, or of another model.
    """
    try:
        state = safetensors.torch.load_file(path)
    except Exception as error:  # a missing file, or one of the library's own errors
        raise ConversionError(f"the weights {path} cannot be read: {first_line(error)}; expected a .safetensors file") from error
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ConversionError(f"the weights {path} do not fit the model: {error}") from error
    absent = [name for name in missing if not name.endswith("num_batches_tracked")]
    if absent or unexpected:
        parts = [f"missing {', '.join(absent)}"] * bool(absent) + [f"unknown {', '.join(unexpected)}"] * bool(unexpected)
        raise ConversionError(f"the weights {path} do not fit the model: {'; '.join(parts)}")


def load_calibration(path: Path, inputs: tuple[torch.Tensor, ...]) -> object:
    """Samples from a .npz file with one array for each input of the model, in their order, or from a .npy file.

    Raises:
        ConversionError: unreadable, or another number of arrays.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConversionError(f"the calibration data {path} cannot be read: {first_line(error)}; expected .npz or .npy") from error
    if len(arrays) != len(inputs):
        raise ConversionError(f"the calibration data {path} has {len(arrays)} arrays; the model has {len(inputs)} inputs")
    if len(arrays) == 1:
        return arrays[0]
    batch = inputs[0].shape[0]
    count = min(len(array) for array in arrays) // batch
    return [tuple(array[index * batch : (index + 1) * batch] for array in arrays) for index in range(count)]


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x3x224x224` -> (1, 3, 224, 224)."""
    parts = text.split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConversionError(f"--input {text} is no shape; expected NxCxHxW or NxF, such as 1x3x224x224")
    shape = tuple(int(part) for part in parts)
    if math.prod(shape) > MAX_ELEMENTS:
        raise ConversionError(f"--input {text} has {math.prod(shape):,} elements; at most {MAX_ELEMENTS:,} are possible")
    return shape


def parse_force(items: list[str]) -> dict[str, str]:
    """`["features.0=cpu"]` -> {"features.0": "cpu"}."""
    if wrong := [item for item in items if "=" not in item]:
        raise ConversionError(f"--force {wrong[0]} is not possible; expected NODE=cpu or NODE=c2d")
    return dict(item.rsplit("=", 1) for item in items)


@one_message
def convert_command(
    model: Annotated[str, typer.Argument(help="path.py:Name, a torch.nn.Module class, function or instance")],
    input: Annotated[list[str], typer.Option(help="shape NxCxHxW or NxF, once for each input of the model")],
    output: Annotated[Path, typer.Option("--output", "-o", help="directory of the bundle")],
    weights: Annotated[Path | None, typer.Option(help=".safetensors file with the model's weights")] = None,
    calibration: Annotated[Path | None, typer.Option(help=".npz or .npy with typical inputs, about 100 samples")] = None,
    name: Annotated[str | None, typer.Option(help="name of the model in traces and reports")] = None,
    force: Annotated[list[str] | None, typer.Option(help="NODE=cpu or NODE=c2d; NODE is a node or a module")] = None,
) -> None:
    """Converts a PyTorch model to an int8 bundle."""
    require_replaceable(output)
    module = load_model(model)
    if weights is not None:
        load_weights(module, weights)
    generator = torch.Generator().manual_seed(0)
    examples = tuple(torch.randn(parse_shape(shape), generator=generator) for shape in input)
    samples = None if calibration is None else load_calibration(calibration, examples)
    bundle = convert(
        module,
        examples,
        calibration=samples,
        name=name or model.rpartition(":")[2],
        force=parse_force(force or []),
        progress=lambda step: print(f"cosoc: {step}", file=sys.stderr, flush=True),
    )
    if samples is None:
        print("cosoc: no --calibration: scales come from random inputs, so expect poor accuracy", file=sys.stderr)
    bundle.save(output)
    print(f"wrote {output}: {len(bundle.graph.nodes)} nodes, report in {output / REPORT}")


@one_message
def inspect_command(bundle: Annotated[Path, typer.Argument(help="directory of the bundle")]) -> None:
    """Checks a bundle and prints its nodes."""
    graph = Bundle.load(bundle).graph
    headers = [Column(header, overflow="fold") for header in ("node", "operation", "output", "MAC", "devices", "why", "source")]
    table = Table(*headers, title=graph.name)
    for node in graph.nodes:
        work = macs(graph, node)
        cells = (node.name, node.op, describe_output(graph, node), f"{work:,}" if work else "", " ".join(node.devices))
        table.add_row(*cells, reason(graph, node), node.source)
    console = Console()
    # Without a terminal nothing is cut off: a file or a pipe has no width.
    console = console if console.is_terminal else Console(width=200)
    console.print(table, markup=False)


def register(app: typer.Typer) -> None:
    """Adds the commands to the `cosoc` command line."""
    app.command("convert")(convert_command)
    app.command("inspect")(inspect_command)
