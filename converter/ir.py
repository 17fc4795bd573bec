"""The graph of a bundle: tensors by name, and nodes in execution order. `graph.json` is this and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "complex64": np.dtype(np.complex64),
    "int64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
}

Constants = dict[str, NDArray[Any]]
"""Data of the constant tensors, by name."""


MAX_RANK = 8
"""Axes of a tensor, at most; the schema says so too."""


@dataclass(frozen=True)
class Tensor:
    """Type of a value.

    Attributes:
        name: unique in its graph.
        dtype: a key of `DTYPES`.
        shape: dimensions; an int8 or int16 tensor of rank 4 that is no constant is a feature map (N, H, W, C).
        scale, zero_point: of int8 and int16 tensors that are no constants: real = scale * (stored - zero_point). The scale is a
            float32.
        constant: its data lies among the constants under the same name.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None
    constant: bool = False

    @property
    def value(self) -> str:
        """Name of the node of the float graph whose value a feature map holds."""
        return self.name.removesuffix(".int8").removesuffix(".int16")

    def to_json(self) -> dict[str, Any]:
        """The tensor as it stands in graph.json."""
        entry: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.scale is not None:
            entry |= {"scale": self.scale, "zero_point": self.zero_point}
        if self.constant:
            entry["constant"] = True
        return entry

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> Tensor:
        """Reads an entry that the schema has accepted."""
        return Tensor(
            entry["name"],
            entry["dtype"],
            tuple(entry["shape"]),
            entry.get("scale"),
            entry.get("zero_point"),
            entry.get("constant", False),
        )


@dataclass(frozen=True)
class Node:
    """One operation: the table of docs/architecture.md gives its inputs and attributes.

    Attributes:
        name: unique; the path of the user's module where there is one (`features.0`).
        devices: kinds of devices that may run it.
        source: line of the user's model, `model.py:12`, or empty.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    source: str = ""

    @property
    def function(self) -> str:
        """What it computes, for readers: `unary gelu`, `pool max`, `conv2d`."""
        kind = self.attributes.get("operation", self.attributes.get("kind"))
        return f"{self.op} {kind}" if kind else self.op

    def to_json(self) -> dict[str, Any]:
        """The node as it stands in graph.json."""
        entry: dict[str, Any] = {
            "name": self.name,
            "op": self.op,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "attributes": self.attributes,
            "devices": list(self.devices),
        }
        return entry | ({"source": self.source} if self.source else {})

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> Node:
        """Reads an entry that the schema has accepted."""
        return Node(
            entry["name"],
            entry["op"],
            tuple(entry["inputs"]),
            tuple(entry["outputs"]),
            dict(entry["attributes"]),
            tuple(entry["devices"]),
            entry.get("source", ""),
        )


@dataclass(frozen=True)
class Graph:
    """A model: `nodes` stand in an order in which every input is made before it is used.

    Attributes:
        any_batch: no result of a sample depends on another one, so that a run may cut any number of samples into batches of this
            graph's.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: dict[str, Tensor]
    nodes: tuple[Node, ...]
    any_batch: bool = False

    def producer(self, tensor: str) -> Node | None:
        """The node that makes a tensor; None for graph inputs and constants."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def to_json(self) -> dict[str, Any]:
        """graph.json without its entry `weights`, which only a saved bundle has."""
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            **({"any_batch": True} if self.any_batch else {}),
            "tensors": [tensor.to_json() for tensor in self.tensors.values()],
            "nodes": [node.to_json() for node in self.nodes],
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Graph:
        """Reads a document that the schema has accepted and whose tensors have unique names."""
        tensors = [Tensor.from_json(entry) for entry in document["tensors"]]
        return Graph(
            document["name"],
            tuple(document["inputs"]),
            tuple(document["outputs"]),
            {tensor.name: tensor for tensor in tensors},
            tuple(Node.from_json(entry) for entry in document["nodes"]),
            document.get("any_batch", False),
        )
