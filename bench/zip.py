"""Cycles per element of every operation of the ZIP accelerator, in RTL through the runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.support.node import run_node
from bench.support.report import Figure, Report

OPERATIONS = ("add", "sub", "mul", "div", "conjugate_mul")
ELEMENTS = 8192


def run(build: Path) -> Report:
    """A goal of one cycle per element is what the memory port allows: two operands, two elements in a beat."""
    report = Report("zip", {"elements": ELEMENTS})
    parts = np.random.default_rng(0).standard_normal((4, ELEMENTS))
    a, b = ((parts[i] + 1j * parts[i + 1]).astype(np.complex64) for i in (0, 2))
    for operation in OPERATIONS:
        record, _ = run_node(build, "zip", {"operation": operation}, {"a": a, "b": b}, np.empty_like(a), device="zip")
        report.add(
            Figure(
                name=f"{operation}.cycles",
                value=record["cycles"] / ELEMENTS,
                unit="cycles/element",
                better="lower",
                how="rtl",
                goal=1.0,
            )
        )
    return report
