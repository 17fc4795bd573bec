"""Layers that are split over two Conv2D engines of 512 multiply-accumulates per cycle, against one engine.

VGG-16's convolutions run layer by layer in mode `model`; with `full=1` three of them also in RTL, both engines at the same time
before one calibrated DDR model. Times are simulated.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from bench.support.report import Figure, Report
from bench.support.soc import build_soc

TIMEOUT = 3600
SOC = {"c2d": "2", "fft": "0", "zip": "0", "c2d_output_lanes": "16", "c2d_pixel_lanes": "2"}
"""What sharding_times.cpp has for its model."""


def run(build: Path) -> Report:
    """All figures are ratios of times.

    Raises:
        RuntimeError: the program failed.
    """
    command: list[str | Path] = [build / "bin" / "sharding-times"]
    if os.environ.get("COSOC_FULL") == "1":
        command.append(build_soc(SOC, TIMEOUT))
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode or done.stderr:
        raise RuntimeError(done.stderr.strip() or f"sharding-times ended with status {done.returncode}")
    times = json.loads(done.stdout)
    report = Report("sharding", dict(SOC))
    one, two = times["vgg16"]["one"], times["vgg16"]["two"]
    report.add(Figure(name="vgg16.one_engine_us", value=one, unit="us", better="lower", how="model"))
    report.add(Figure(name="vgg16.two_engines_us", value=two, unit="us", better="lower", how="model"))
    report.add(Figure(name="vgg16.speedup", value=one / two, unit="x", better="higher", how="model", goal=1.8))
    for layer, measured in times.get("rtl", {}).items():
        speedup = measured["one"] / measured["two"]
        report.add(Figure(name=f"{layer}.speedup", value=speedup, unit="x", better="higher", how="rtl", goal=1.8))
    return report
