"""Bundles of one node: what a benchmark of one kernel runs."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from cosoc.runtime import Session, TaskRecord

Array = NDArray[Any]


def run_node(
    build: Path,
    op: str,
    attributes: Mapping[str, Any],
    inputs: Mapping[str, Array],
    output: Array,
    *,
    device: str | Sequence[str],
    constants: Mapping[str, Array] | None = None,
    mode: str = "rtl",
    trace: Path | None = None,
    without: Sequence[str] = (),
) -> tuple[TaskRecord, Array]:
    """Runs one operation on one kind of device.

    Args:
        build: directory of the build.
        inputs: arrays by name, in the order of the operation's inputs; `constants` follow them.
        output: an array of the shape and dtype of the result.
        device: `cpu` or the kind of accelerator, or several of them.
        trace: where the trace goes, if there shall be one.
        without: names of devices that leave the SoC before.

    Returns:
        What the runtime recorded of the node, and the result.
    """
    constants = constants or {}
    with tempfile.TemporaryDirectory() as folder:
        weights = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in constants.items()})
        Path(folder, "weights.safetensors").write_bytes(weights)
        tensors = [
            *(_tensor(name, array) for name, array in inputs.items()),
            *(_tensor(name, array) | {"constant": True} for name, array in constants.items()),
            _tensor("output", output),
        ]
        node = {
            "name": op,
            "op": op,
            "inputs": [*inputs, *constants],
            "outputs": ["output"],
            "attributes": dict(attributes),
            "devices": [device] if isinstance(device, str) else list(device),
        }
        graph = {
            "schema": 1,
            "name": f"bench_{op}",
            "inputs": list(inputs),
            "outputs": ["output"],
            "tensors": tensors,
            "nodes": [node],
            "weights": {"file": "weights.safetensors", "bytes": len(weights), "crc32": zlib.crc32(weights)},
        }
        Path(folder, "graph.json").write_text(json.dumps(graph))
        with Session(soc=build, mode=mode, trace=trace) as session:
            for name in without:
                session.remove_device(name)
            model = session.load(folder)
            (result,) = model.run(inputs)
            return model.report()[0], result


def _tensor(name: str, array: Array) -> dict[str, Any]:
    """Quantized tensors have scale 1/64 and zero point 0: benchmarks look at cycles, not at values."""
    quantized = {"scale": 1 / 64, "zero_point": 0} if array.dtype == np.int8 and array.ndim == 4 else {}
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), **quantized}
