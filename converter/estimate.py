"""How long a bundle takes on a SoC, by the runtime's cost model: a run that computes durations only."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosoc.converter.bundle import Bundle
from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import DTYPES


@dataclass(frozen=True)
class NodeTime:
    """Where a node runs, and how long it takes in nanoseconds."""

    device: str
    duration_ns: int


@dataclass(frozen=True)
class Estimate:
    """One run of a model on a SoC.

    Attributes:
        soc: name of the SoC.
        nodes: by name.
        total_ns: from the first node's start to the last one's end.
        peak_memory_bytes: device memory that the model takes at most.
    """

    soc: str
    nodes: dict[str, NodeTime]
    total_ns: int
    peak_memory_bytes: int

    def on_accelerators_ns(self) -> int:
        """Time in which accelerators work."""
        return sum(node.duration_ns for node in self.nodes.values() if not node.device.startswith("cpu"))


def estimate(bundle: Bundle, soc: Path) -> Estimate:
    """Runs a bundle in mode `model`.

    Args:
        soc: directory of a build, with soc.json.

    Raises:
        ConversionError: there is no such build, or it cannot run the bundle.
    """
    from cosoc.runtime import CosocError, Session  # the converter works without a build of the runtime

    try:
        with tempfile.TemporaryDirectory() as folder, Session(soc=soc, mode="model") as session:
            bundle.save(Path(folder) / "bundle")
            model = session.load(Path(folder) / "bundle")
            tensors = [bundle.graph.tensors[name] for name in bundle.graph.inputs]
            model.run([np.zeros(tensor.shape, DTYPES[tensor.dtype]) for tensor in tensors])
            tasks, summary = model.report(), model.summary()
    except CosocError as error:
        raise ConversionError(f"no times for {soc}: {error}") from error
    return Estimate(
        soc.resolve().name,
        {task["name"]: NodeTime(task["device"], task["end_ns"] - task["start_ns"]) for task in tasks},
        max((task["end_ns"] for task in tasks), default=0) - min((task["start_ns"] for task in tasks), default=0),
        summary["peak_memory_bytes"],
    )
