"""The scheduler: rounds of its policies, overhead of calls, tasks per second on the wall clock and in simulated time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, cast

from bench.support.daemon import add_figures as add_daemon_figures
from bench.support.report import Figure, Report

TIMEOUT = 300
"""Limit of the program that measures, in s."""

PEER_TIMEOUT = 60
"""Limit of each part of StarPU, in s: its workers spin, and take very long on cores that others use."""

ROUND_GOALS = {"RR": 10.0, "EFT": 15.0, "HEFT_RT": 40.0, "ETF": 200.0}
"""Of a round over 1,000 ready tasks and 6 devices, in us."""

ROUND_PEERS = {"RR": "CEDR 49", "EFT": "CEDR 65", "HEFT_RT": "CEDR 144", "ETF": "CEDR 6,110"}
"""The same of CEDR, measured on another 2-core x86 machine."""


FIGURES: list[tuple[str, str, Literal["higher", "lower"], float | None, str | None]] = [
    ("inprocess_call_overhead_p50_us", "us", "lower", 1.0, None),
    ("round_trip_to_worker_p50_us", "us", "lower", None, None),
    ("tasks_per_second", "tasks/s", "higher", 1e6, None),
    ("graph_50us_tasks_efficiency", "of two plain threads", "higher", 0.95, None),
    ("trace_of_50us_tasks_percent", "%", "lower", 5.0, None),
    ("idle_cpu_percent", "% of one core", "lower", 1.0, None),
    ("model_tasks_per_second", "tasks/s", "higher", 2e6, None),
    ("cedr_tasks_per_second", "tasks/s", "higher", 1e6, "CEDR 142,000-221,000"),
    ("cedr_call_overhead_us", "us", "lower", 1.0, None),
    ("cedr_call_us", "us", "lower", None, "CEDR 7.1 through its daemon"),
]
"""Name, unit, direction, goal and peer of the others; peers were measured on another 2-core x86 machine."""


def measure(program: Path, *arguments: str, timeout: float = TIMEOUT, **environment: str) -> dict[str, Any]:
    """The figures that a program prints.

    Raises:
        RuntimeError: it failed.
        subprocess.TimeoutExpired: it took too long.
    """
    command, variables = [program, *arguments], os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=variables)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"{program.name} ended with status {done.returncode}")
    return cast(dict[str, Any], json.loads(done.stdout.splitlines()[-1]))


def measure_starpu(build: Path) -> dict[str, Any]:
    """StarPU with the same work in the same run; nothing without it."""
    program = build / "bin" / "starpu-times"
    if not program.exists():
        print("StarPU is not compared: install libstarpu-dev and pkg-config, and build again", file=sys.stderr)
        return {}
    figures: dict[str, Any] = {}
    for part in ("tasks", "graph"):
        # It would write what it measures of this machine into the home directory.
        with tempfile.TemporaryDirectory() as home:
            try:
                figures |= measure(program, part, timeout=PEER_TIMEOUT, STARPU_HOME=home, STARPU_SILENT="1")
            except subprocess.TimeoutExpired:
                print(f"StarPU is not compared in {part}: it took more than {PEER_TIMEOUT} s", file=sys.stderr)
    return figures


def run(build: Path) -> Report:
    """Figures of the scheduler are of one process, those of CEDR's calls and StarPU of others; those of rounds are medians.

    Raises:
        RuntimeError: a program failed.
    """
    times = measure(build / "bin" / "scheduler-times") | measure(build / "bin" / "cedr-times")
    starpu = measure_starpu(build)
    report = Report("runtime", {"ready_tasks": [100, 1000, 3000, 10000], "devices": 6})
    for policy, rounds in times["round"].items():
        for count, value in rounds.items():
            standard = count == "1000"
            report.add(
                Figure(
                    name=f"{policy.lower()}_round_{count}_us",
                    value=value,
                    unit="us",
                    better="lower",
                    how="measured",
                    goal=ROUND_GOALS[policy] if standard else None,
                    peer=ROUND_PEERS[policy] if standard else None,
                )
            )
    growth = times["round"]["ETF"]["10000"] / times["round"]["ETF"]["1000"]
    # n log n: 10 * log(10,000) / log(1,000).
    report.add(Figure(name="etf_growth_1000_to_10000", value=growth, unit="x", better="lower", how="measured", goal=13.3))
    for name, unit, better, goal, peer in FIGURES:
        if name in starpu:
            peer = f"StarPU {starpu[name]:,.3g}, ours x{times[name] / starpu[name]:.2f}"
        report.add(Figure(name=name, value=times[name], unit=unit, better=better, how="measured", goal=goal, peer=peer))
    add_daemon_figures(report, build)
    return report
