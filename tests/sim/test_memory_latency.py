"""`memory.latency_ns` of soc.json reaches the memory of the RTL model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.support.node import run_node


def cycles_of_a_product(build: Path, folder: Path, latency_ns: int) -> int:
    """Cycles of a short ZIP command on a SoC that differs from that of the build in the latency of its memory."""
    soc = json.loads((build / "soc.json").read_text())
    soc["memory"]["latency_ns"] = latency_ns
    folder.mkdir()
    (folder / "soc.json").write_text(json.dumps(soc))
    (folder / "lib").symlink_to(build.resolve() / "lib")
    vector = np.ones(8, np.complex64)
    record, result = run_node(folder, "zip", {"operation": "mul"}, {"a": vector, "b": vector}, np.empty_like(vector), device="zip")
    assert np.array_equal(result, vector)
    return record["cycles"]


def test_every_access_waits_as_long_as_soc_json_says(build: Path, tmp_path: Path) -> None:
    """A command waits four times: for itself, for its operands, for the responses to its result and to its completion."""
    clock_hz = json.loads((build / "soc.json").read_text())["clock_hz"]
    latencies = (100, 150, 200, 300)
    cycles = [cycles_of_a_product(build, tmp_path / f"{latency}", latency) for latency in latencies]
    expected = [4 * (latency - latencies[0]) * clock_hz // 1_000_000_000 for latency in latencies]
    assert [count - cycles[0] for count in cycles] == expected
