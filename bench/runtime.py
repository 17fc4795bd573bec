"""Overhead of the runtime per task: a chain of small additions on the CPU, on the wall clock."""

from __future__ import annotations

import itertools
import json
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import safetensors.numpy

from bench.support.report import Figure, Report
from cosoc.runtime import Session

TASKS = 200
RUNS = 20
ELEMENTS = 16


def run(build: Path) -> Report:
    """Wall time of a run divided by its tasks; each adds 16 complex numbers, which takes nanoseconds. The best of some runs."""
    report = Report("runtime", {"tasks": TASKS, "runs": RUNS})
    with tempfile.TemporaryDirectory() as folder:
        _write_chain(Path(folder))
        signal = np.ones(ELEMENTS, np.complex64)
        for policy in ("RR", "EFT", "HEFT_RT"):
            with Session(soc=build, mode="cpu", policy=policy) as session:
                model = session.load(folder)
                best = float("inf")
                for _ in range(RUNS):
                    start = time.perf_counter()
                    model.run([signal])
                    best = min(best, time.perf_counter() - start)
            report.add(Figure(name=f"{policy}.overhead", value=best / TASKS * 1e6, unit="us/task", better="lower", how="measured"))
    return report


def _write_chain(folder: Path) -> None:
    """A bundle of `TASKS` additions, each of the result before it to itself."""
    names = ["input", *(f"sum{i}" for i in range(TASKS))]
    weights = safetensors.numpy.save({})
    (folder / "weights.safetensors").write_bytes(weights)
    graph = {
        "schema": 1,
        "name": "chain",
        "inputs": [names[0]],
        "outputs": [names[-1]],
        "tensors": [{"name": name, "dtype": "complex64", "shape": [ELEMENTS]} for name in names],
        "nodes": [
            {
                "name": after,
                "op": "zip",
                "inputs": [before, before],
                "outputs": [after],
                "attributes": {"operation": "add"},
                "devices": ["cpu"],
            }
            for before, after in itertools.pairwise(names)
        ],
        "weights": {"file": "weights.safetensors", "bytes": len(weights), "crc32": zlib.crc32(weights)},
    }
    (folder / "graph.json").write_text(json.dumps(graph))
