"""Whose floats an emulation has: an FFT of which parameters, and which kernels for operations on dense tensors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosoc.converter import dense
from cosoc.converter.bundle import Bundle
from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import Graph, Node
from cosoc.converter.signals import fft_of
from cosoc.gateware.fft.config import FFTConfig

Arrays = tuple[NDArray[Any], ...]


def pytorch(graph: Graph, node: Node, inputs: Sequence[NDArray[Any]]) -> Arrays:
    """All outputs of an operation on dense tensors, as PyTorch computes it."""
    tensors = [torch.from_numpy(np.require(value, requirements=["C", "W"])) for value in inputs]
    with torch.no_grad():
        results = dense.OPERATIONS[node.op].outputs(node.attributes, tensors)
    return tuple(result.resolve_conj().numpy() for result in results)


@dataclass(frozen=True)
class Arithmetic:
    """Where the last bits of floats come from.

    Attributes:
        fft: parameters of the accelerator that computes transforms.
        dense: computes all outputs of a node that no accelerator has.
        is_runtime: whether `dense` also computes transforms that no accelerator may run; otherwise PyTorch does.
    """

    fft: FFTConfig = field(default_factory=FFTConfig)
    dense: Callable[[Graph, Node, Sequence[NDArray[Any]]], Arrays] = pytorch
    is_runtime: bool = False


class Kernels:
    """The runtime's kernels for the CPU, one node at a time; a context, which ends their session.

    Args:
        soc: directory of a build, whose runtime it is.

    Raises:
        ConversionError: there is no such build.
    """

    def __init__(self, soc: str | Path) -> None:
        from cosoc.runtime import CosocError, Model, Session  # the converter works without a build of the runtime

        try:
            self._session = Session(mode="cpu", soc=soc, cpu_cores=1)
        except CosocError as error:
            raise ConversionError(f"no kernels of {soc}: {error}") from error
        self._folder = tempfile.TemporaryDirectory(prefix="cosoc-")
        self._models: dict[tuple[int, str], tuple[Graph, Model]] = {}

    def __enter__(self) -> Kernels:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        self._folder.cleanup()

    def outputs(self, graph: Graph, node: Node, inputs: Sequence[NDArray[Any]]) -> Arrays:
        """All outputs of a node. The batch is the graph's."""
        given = dict(zip(node.inputs, inputs, strict=True))
        names = tuple(name for name in given if not graph.tensors[name].constant)
        key = id(graph), node.name
        if key not in self._models:
            tensors = {name: graph.tensors[name] for name in (*given, *node.outputs)}
            alone = Graph(
                node.name, names, node.outputs, tensors, (Node(node.name, node.op, node.inputs, node.outputs, node.attributes),)
            )
            folder = Path(self._folder.name) / str(len(self._models))
            constants = {name: value for name, value in given.items() if graph.tensors[name].constant}
            Bundle(alone, constants, "").save(folder)
            self._models[key] = graph, self._session.load(folder)  # with the graph, so that its id stays its own
        return tuple(self._models[key][1].run([np.ascontiguousarray(given[name]) for name in names]))


def arithmetic_of(soc: str | Path, kernels: Kernels | None = None) -> Arithmetic:
    """That of a SoC: its FFT's, and with `kernels` the runtime's.

    Raises:
        ConversionError: there is no such build.
    """
    config = fft_of(soc) or FFTConfig()
    return Arithmetic(config) if kernels is None else Arithmetic(config, kernels.outputs, is_runtime=True)
