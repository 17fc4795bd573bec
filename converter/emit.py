"""Intermediate forms of a model as JSON: `layers`, a list of what is computed, and `dag`, the same with who follows whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosoc.converter.errors import ConversionError
from cosoc.converter.figures import macs
from cosoc.converter.ir import Graph


def layers(graph: Graph) -> list[dict[str, Any]]:
    """Layers in execution order: name, operation, shapes and types of the data and the parameters, attributes."""
    found = []
    for node in graph.nodes:
        data = [name for name in node.inputs if not graph.tensors[name].constant]
        parameters = [name for name in node.inputs if graph.tensors[name].constant]
        found.append(
            {
                "name": node.name,
                "op": node.op,
                "source": node.source,
                "input": [describe(graph, name) for name in data],
                "parameters": [describe(graph, name) for name in parameters],
                "output": [describe(graph, name) for name in node.outputs],
                "attributes": node.attributes,
                "macs": macs(graph, node),
            }
        )
    return found


def dag(graph: Graph) -> list[dict[str, Any]]:
    """Nodes with the tensors that they read and make, the nodes that read these next, and the devices that may run them."""
    found = []
    for node in graph.nodes:
        followers = [other.name for other in graph.nodes if set(node.outputs) & set(other.inputs)]
        found.append(
            {
                "name": node.name,
                "op": node.op,
                "input": [name for name in node.inputs if not graph.tensors[name].constant],
                "output": list(node.outputs),
                "next": followers,
                "devices": list(node.devices),
            }
        )
    return found


def describe(graph: Graph, name: str) -> dict[str, Any]:
    """Name, type and shape of a tensor."""
    tensor = graph.tensors[name]
    return {"name": name, "dtype": tensor.dtype, "shape": list(tensor.shape)}


FORMS: dict[str, Callable[[Graph], list[dict[str, Any]]]] = {"layers": layers, "dag": dag}
"""What can be written, by name."""


def parse(text: str) -> list[str]:
    """`layers,dag` -> ["layers", "dag"].

    Raises:
        ConversionError: an unknown form.
    """
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in FORMS:
            raise ConversionError(f"--emit {name} is not possible; expected {', '.join(FORMS)}, separated by commas")
    return names


def emit(graph: Graph, names: list[str], bundle: Path) -> list[Path]:
    """Writes the forms beside a bundle: `my.bundle` gets `my.layers.json` and `my.dag.json`.

    Raises:
        ConversionError: a file cannot be written.
    """
    written = []
    for name in names:
        path = bundle.with_name(f"{bundle.stem}.{name}.json")
        try:
            path.write_text(json.dumps(FORMS[name](graph), indent=1) + "\n")
        except OSError as error:
            raise ConversionError(f"cannot write {path}: {error.strerror}") from error
        written.append(path)
    return written
