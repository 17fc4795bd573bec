"""CPU kernels beside the field's libraries on this machine, one thread."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.support.report import Figure, Report

GOAL_RATIO = 2.0
"""Of FFTW's time, for powers of two from 256 to 4096."""


def run(build: Path) -> Report:
    """Time of one complex float32 transform, divided by FFTW's (planned by measurement) when Debian's libfftw3-single3 is there."""
    report = Report("kernels")
    done = subprocess.run([build / "bin" / "fourier-times"], check=True, capture_output=True, text=True, timeout=300)
    times = [json.loads(line) for line in done.stdout.splitlines()]
    for time in times:
        name, ours = f"fft.n{time['length']}", time["seconds"] * 1e6
        report.add(Figure(name=f"{name}.time", value=ours, unit="us", better="lower", how="measured"))
        if "fftw_seconds" in time:
            peer = time["fftw_seconds"] * 1e6
            goal = GOAL_RATIO if time["length"].bit_count() == 1 else None
            report.add(
                Figure(
                    name=f"{name}.fftw_ratio",
                    value=ours / peer,
                    unit="times FFTW's",
                    goal=goal,
                    better="lower",
                    peer=f"FFTW {peer:.3g} us",
                    how="measured",
                )
            )
    if not any("fftw_seconds" in time for time in times):
        report.config["peer"] = "libfftw3f.so.3 was not found; `apt-get install libfftw3-single3` for the comparison"
    return report
