"""Cycles and utilization of the Conv2D accelerator on five layer shapes, in RTL through the runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.support.node import run_node
from bench.support.report import Figure, Report

SHAPES = {
    "first_3x3": (32, 32, 3, 32, 3),
    "deep_3x3": (16, 16, 64, 64, 3),
    "deeper_3x3": (8, 8, 128, 128, 3),
    "pointwise": (16, 16, 64, 128, 1),
    "large_7x7": (32, 32, 16, 16, 7),
}
"""Name: height, width, input channels, output channels, kernel size; stride 1, output as large as the input."""


def run(build: Path) -> Report:
    """One call for each shape; utilization counts the multiply-accumulates that the layer needs."""
    config = next(a["config"] for a in json.loads((build / "soc.json").read_text())["accelerators"] if a["kind"] == "c2d")
    macs_per_cycle = 16 * config["output_lanes"]
    report = Report("conv2d", config)
    for name, (height, width, channels, filters, kernel) in SHAPES.items():
        generator = np.random.default_rng(0)
        padding = kernel // 2
        record, _ = run_node(
            build,
            "conv2d",
            {
                "stride": [1, 1],
                "padding": [padding] * 4,
                "dilation": [1, 1],
                "groups": 1,
                "clamp": [-128, 127],
            },
            {"input": generator.integers(-128, 128, (1, height, width, channels), np.int8)},
            np.empty((1, height, width, filters), np.int8),
            device="c2d",
            constants={
                "weight": generator.integers(-127, 128, (filters, kernel, kernel, channels), np.int8),
                "bias": generator.integers(-1000, 1000, filters, np.int32),
                "multiplier": np.full(filters, 1e-3, np.float32),
            },
        )
        macs = height * width * channels * filters * kernel**2
        report.add(Figure(name=f"{name}.cycles", value=record["cycles"], unit="cycles", better="lower", how="rtl"))
        utilization = 100 * macs / (record["cycles"] * macs_per_cycle)
        report.add(Figure(name=f"{name}.utilization", value=utilization, unit="%", better="higher", how="rtl"))
    return report
