"""Cycles of the FFT accelerator for one transform and per transform of many, in RTL through the runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.support.node import run_node
from bench.support.report import Figure, Report

LENGTHS = (64, 256, 1024, 2048)
FRAMES = 16


def run(build: Path) -> Report:
    """The core takes one point in a cycle, so N cycles per transform are its limit."""
    report = Report("fft", {"frames": FRAMES})
    for length in LENGTHS:
        for frames in (1, FRAMES):
            parts = np.random.default_rng(0).standard_normal((2, frames, length))
            signal = (parts[0] + 1j * parts[1]).astype(np.complex64)
            record, _ = run_node(build, "fft", {"direction": "forward"}, {"input": signal}, np.empty_like(signal), device="fft")
            report.add(
                Figure(
                    name=f"fft{length}.{'one' if frames == 1 else 'many'}",
                    value=record["cycles"] / frames,
                    unit="cycles/transform",
                    better="lower",
                    how="rtl",
                )
            )
    return report
