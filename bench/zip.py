"""The ZIP accelerator in RTL under the DDR model, beside plain streams of the same traffic; its cost model; the CPU kernel."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from bench.support.report import Figure, Report

_SECONDS = 900


def run(build: Path) -> Report:
    """`port_fraction` is what the goal counts: the time that memory takes for plain reads and writes of as many bytes, at the pace
    of each other, by what a command takes in a queue of commands like it; the commands' own reading and completion count against
    it. One command alone on an idle accelerator is reported: `alone`, in cycles from its fetch to its completion;
    `alone_port_fraction` beside the same plain reads and writes; and `alone_port_bound`, which a machine reaches in which only
    memory takes time, fetch, data and completion one after the other, each with its latency, and so any other at most.
    """
    report = Report("zip", {"queue": "commands of 1,024 elements back to back, and of 4,096"})
    for line in _measure(build):
        if "cpu" in line:
            _add_cpu(report, line)
        else:
            _add_commands(report, line)
    return report


def _measure(build: Path) -> list[dict[str, Any]]:
    command = [str(build / "bin" / "zip-commands"), str(build)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}: {result.stderr.strip()}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def _add_commands(report: Report, line: dict[str, Any]) -> None:
    """A queue of 1,024-element commands gives the figures `<operation>.port_fraction`; longer ones are named by their length."""
    short = line["length"] == 1024
    name = line["operation"] if short else f"{line['operation']}.{line['length']}"
    fraction = line["limit"] / line["added"]
    report.add(Figure(name=f"{name}.port_fraction", value=fraction, unit="1", better="higher", how="rtl", goal=0.95))
    report.add(Figure(name=f"{name}.alone", value=line["alone"], unit="cycles", better="lower", how="rtl"))
    for figure, cycles, how in (("alone_port_fraction", line["alone"], "rtl"), ("alone_port_bound", line["limit_alone"], "model")):
        value = line["limit_one_port"] / cycles
        report.add(Figure(name=f"{name}.{figure}", value=value, unit="1", better="higher", how=how))
    for kind in ("added", "alone"):
        error = abs(line[f"modelled_{kind}"] / line[kind] - 1)
        report.add(Figure(name=f"{name}.{kind}.model_error", value=error, unit="1", better="lower", how="rtl", goal=0.02))
    if short:
        over = line["added"] - line["limit"]
        report.add(Figure(name=f"{name}.queued_overhead", value=over, unit="cycles", better="lower", how="rtl", goal=60))


def _add_cpu(report: Report, line: dict[str, Any]) -> None:
    peer = f"std::complex loop: {line['loop_ns']:.2f}" if "loop_ns" in line else None
    report.add(Figure(name=f"cpu.{line['cpu']}", value=line["ns"], unit="ns/element", better="lower", how="measured", peer=peer))
