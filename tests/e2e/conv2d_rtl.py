"""Programs of layers on the RTL of a Conv2D: values against the functional model, counters against the schedule.

The schedule is within `ERROR` of the RTL's cycles for every layer, and for programs of several small ones; so are the cycles in
which readers starve and store engines are blocked, as parts of all cycles.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

TIMEOUT = 120

ERROR = 0.02


def run_in_rtl(
    soc: Path, program: Path, folder: Path, programs: list[list[dict[str, Any]]], seed: int, timeout: float = TIMEOUT
) -> list[dict[str, Any]]:
    """Runs each list of layers as one program and checks that RTL and functional model agree.

    Args:
        soc: soc.json beside the simulated SoC.
        program: conv2d-network.
        folder: for its input.
        programs: layers with the members of bench/support/networks.py.
        seed: of tensors and constants.
        timeout: in s.

    Returns:
        what conv2d-network prints for each program.
    """
    path = folder / "network.json"
    path.write_text(json.dumps({"soc": str(soc), "seed": seed, "programs": programs}))
    # In another folder than the project's: programs find their library beside themselves.
    done = subprocess.run([program, "rtl", path], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}\n{programs}"
    results: list[dict[str, Any]] = json.loads(done.stdout)
    for layers, result in zip(programs, results, strict=True):
        assert result["bit_exact"], f"seed {seed}: {layers}"
    return results


def check_schedule(layers: list[dict[str, Any]], result: dict[str, Any]) -> None:
    """The counters say what the schedule says."""
    estimated, cycles = result["estimated"], result["cycles"]
    assert {name: result[name] for name in ("beats_read", "beats_written")} == {
        name: estimated[name] for name in ("beats_read", "beats_written")
    }, layers
    for name in ("cycles", "cycles_starved", "cycles_blocked"):
        assert estimated[name] == pytest.approx(result[name], abs=ERROR * cycles), (name, layers)


def check_tasks(functional: list[Any], rtl: list[Any]) -> None:
    """Tasks on accelerators take the cycles of the functional model, which are those of the schedule."""
    for model, task in zip(functional, rtl, strict=True):
        assert model["cycles"] == pytest.approx(task["cycles"], rel=ERROR), (model, task)
