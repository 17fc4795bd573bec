"""The commands `convert`, `inspect`, `check` and `diff`: thin, over the functions of this package."""

from __future__ import annotations

import math
import sys
from itertools import chain, repeat
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from numpy.typing import NDArray
from rich.table import Column, Table
from torch.export import ExportedProgram

from cosoc.converter.bundle import REPORT, Bundle, require_replaceable
from cosoc.converter.check_cli import check_command, diff_command, wide
from cosoc.converter.checks import check_inputs
from cosoc.converter.convert import convert
from cosoc.converter.dump import require_own
from cosoc.converter.emit import emit, parse
from cosoc.converter.errors import ConversionError
from cosoc.converter.exported import opened
from cosoc.converter.figures import describe_output, macs
from cosoc.converter.loading import (
    in_batches,
    load_arrays,
    load_function,
    load_model,
    load_weights,
    one_message,
    random_input,
)
from cosoc.converter.placement import reason

MAX_ELEMENTS = 2**28
"""Elements of an input: 1 GiB of float32."""


INPUT_DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "int64", "int32", "int16", "int8", "uint8", "bool")
"""Element types that --input may name."""

TAKEN_DTYPES = {"int64": "int64", "int32": "int32", "bool": "bool", "complex64": "complex64", "complex128": "complex64"}
"""Types of calibration data that are also the model's; others, such as uint8 images, are numbers for a float32 input."""


def parse_input(text: str) -> tuple[tuple[int, ...], str]:
    """`1x3x224x224` -> (1, 3, 224, 224) and no name; `2x5:int64` -> (2, 5) and the name of its element type."""
    size, _, dtype = text.partition(":")
    parts = size.split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConversionError(f"--input {text} is no shape; expected NxCxHxW or NxF, such as 1x3x224x224 or 1x16:int64")
    if ":" in text and dtype not in INPUT_DTYPES:
        raise ConversionError(f"--input {text} has the unknown type {dtype!r}; known are {', '.join(INPUT_DTYPES)}")
    shape = tuple(int(part) for part in parts)
    if math.prod(shape) > MAX_ELEMENTS:
        raise ConversionError(f"--input {text} has {math.prod(shape):,} elements; at most {MAX_ELEMENTS:,} are possible")
    return shape, dtype


def example_inputs(
    model: torch.nn.Module | ExportedProgram, wanted: list[tuple[tuple[int, ...], str]], samples: list[NDArray[Any]] | None
) -> tuple[torch.Tensor, ...]:
    """Random inputs of the given shapes and types; without shapes, those that an exported program has.

    Args:
        samples: calibration data, whose types count where none is given.

    Raises:
        ConversionError: neither.
    """
    if not wanted and isinstance(model, ExportedProgram):
        return check_inputs(opened(model, None)[1])
    if not wanted:
        raise ConversionError("--input is missing: the shape of each input of the model, such as --input 1x3x224x224")
    found = chain((TAKEN_DTYPES.get(str(array.dtype), "float32") for array in samples or []), repeat("float32"))
    generator = torch.Generator().manual_seed(0)
    return tuple(
        random_input(shape, getattr(torch, named or taken), generator) for (shape, named), taken in zip(wanted, found, strict=False)
    )


def parse_force(items: list[str]) -> dict[str, str]:
    """`["features.0=cpu"]` -> {"features.0": "cpu"}."""
    if wrong := [item for item in items if "=" not in item]:
        raise ConversionError(f"--force {wrong[0]} is not possible; expected NODE=cpu or NODE=c2d")
    return dict(item.rsplit("=", 1) for item in items)


def parse_precision(items: list[str]) -> str | dict[str, str]:
    """`["float"]` -> "float"; `["features.0=int16"]` -> {"features.0": "int16"}."""
    if len(items) == 1 and "=" not in items[0]:
        return items[0]
    if wrong := [item for item in items if "=" not in item]:
        raise ConversionError(f"--precision {wrong[0]} is not possible beside others; expected NODE=int8, NODE=int16 or NODE=float")
    return dict(item.rsplit("=", 1) for item in items) if items else "int8"


@one_message
def convert_command(
    model: Annotated[str, typer.Argument(help="path.py:Name, a torch.nn.Module class, function or instance; or path.pt2")],
    output: Annotated[Path, typer.Option("--output", "-o", help="directory of the bundle")],
    input: Annotated[
        list[str] | None,
        typer.Option(
            help="shape of each input, such as 1x3x8x8; 1x16:int64 with its type, else that of the calibration data or float32"
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help=".safetensors file with the model's weights")] = None,
    calibration: Annotated[Path | None, typer.Option(help=".npz or .npy with typical inputs, about 100 samples")] = None,
    name: Annotated[str | None, typer.Option(help="name of the model in traces and reports")] = None,
    force: Annotated[list[str] | None, typer.Option(help="NODE=cpu or NODE=c2d; NODE is a node or a module")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="int8, int16 or float; NODE=int16 for a node or a module")] = None,
    evaluate: Annotated[str | None, typer.Option(help="path.py:name, a function from a model to its accuracy")] = None,
    max_accuracy_drop: Annotated[float | None, typer.Option(help="widens layers until the accuracy drops by at most this")] = None,
    soc: Annotated[
        Path | None,
        typer.Option(help="directory of a build; the report then has times, and long filters are transformed where that is faster"),
    ] = None,
    emit_forms: Annotated[str, typer.Option("--emit", help="JSON beside the bundle: layers, dag or layers,dag")] = "",
    dump: Annotated[Path | None, typer.Option(help="directory for the model as text after every step")] = None,
) -> None:
    """Converts a PyTorch model to an int8 bundle."""
    require_replaceable(output)
    if dump is not None and dump.is_dir():
        require_own(dump)
    forms = parse(emit_forms)
    module = load_model(model)
    if weights is not None:
        load_weights(module, weights)
    wanted = [parse_input(text) for text in input or []]
    arrays = None if calibration is None else load_arrays(calibration)
    examples = example_inputs(module, wanted, arrays)
    samples = None if calibration is None or arrays is None else in_batches(calibration, arrays, examples)
    bundle = convert(
        module,
        examples,
        calibration=samples,
        name=name or (model.rpartition(":")[2] if ":" in model else Path(model).stem),
        force=parse_force(force or []),
        precision=parse_precision(precision or []),
        evaluate=None if evaluate is None else load_function(evaluate),
        max_accuracy_drop=max_accuracy_drop,
        soc=soc,
        dump=dump,
        progress=lambda step: print(f"cosoc: {step}", file=sys.stderr, flush=True),
    )
    if samples is None:
        print("cosoc: no --calibration: scales come from random inputs, so expect poor accuracy", file=sys.stderr)
    bundle.save(output)
    for path in emit(bundle.graph, forms, output):
        print(f"wrote {path}")
    print(f"wrote {output}: {len(bundle.graph.nodes)} nodes, report in {output / REPORT}")


@one_message
def inspect_command(bundle: Annotated[Path, typer.Argument(help="directory of the bundle")]) -> None:
    """Checks a bundle and prints its nodes."""
    graph = Bundle.load(bundle).graph
    headers = [Column(header, overflow="fold") for header in ("node", "operation", "output", "MAC", "devices", "why", "source")]
    title = f"{graph.name}, for any batch" if graph.any_batch else graph.name
    table = Table(*headers, title=title)
    for node in graph.nodes:
        work = macs(graph, node)
        cells = (
            node.name,
            node.function,
            describe_output(graph, node.outputs[0]),
            f"{work:,}" if work else "",
            " ".join(node.devices),
        )
        table.add_row(*cells, reason(graph, node), node.source)
    wide().print(table, markup=False)


def register(app: typer.Typer) -> None:
    """Adds the commands to the `cosoc` command line."""
    app.command("convert")(convert_command)
    app.command("inspect")(inspect_command)
    app.command("check")(check_command)
    app.command("diff")(diff_command)
