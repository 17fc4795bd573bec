"""How fast the Verilated SoC runs: simulated clock cycles per second of wall time, while the Conv2D accelerator is busy."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from bench.support.node import run_node
from bench.support.report import Figure, Report


def run(build: Path) -> Report:
    """One convolution of 16x16x64x64; the time includes opening the model, which is small beside it."""
    generator = np.random.default_rng(0)
    soc = json.loads((build / "soc.json").read_text())
    report = Report("rtl_speed", {"accelerators": [accelerator["name"] for accelerator in soc["accelerators"]]})
    start = time.perf_counter()
    record, _ = run_node(
        build,
        "conv2d",
        {"stride": [1, 1], "padding": [1] * 4, "dilation": [1, 1], "groups": 1, "clamp": [-128, 127]},
        {"input": generator.integers(-128, 128, (1, 16, 16, 64), np.int8)},
        np.empty((1, 16, 16, 64), np.int8),
        device="c2d",
        constants={
            "weight": generator.integers(-127, 128, (64, 3, 3, 64), np.int8),
            "bias": np.zeros(64, np.int32),
            "multiplier": np.full(64, 1e-3, np.float32),
        },
    )
    seconds = time.perf_counter() - start
    report.add(
        Figure(name="soc.cycles_per_second", value=record["cycles"] / seconds, unit="cycles/s", better="higher", how="measured")
    )
    return report
