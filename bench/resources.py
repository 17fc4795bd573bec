"""FPGA resources of the Conv2D accelerator by open-source synthesis, and timing evidence from place and route.

Every unit is synthesized for UltraScale+ at its smallest size; with `full=1` at all sizes from which the coefficients of the
estimate come, and at that of the engine with 2,048 multipliers: `deviation` tells how far the estimate is off there. The
coefficients of COMPUTE, the largest unit, and of the flip-flops of output, features and STORE come from the small sizes alone,
others from both. Memories are shallower than in that engine, because deep ones take long; the estimate computes their block RAM.
`2048` is the estimate of the whole core, without the memory interconnect.

Place and route of a small core for ECP5, an older and much slower family, shows where the longest path is: there is no open one for
UltraScale+. The frequency is a relative measure. Each unit is placed alone too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.support.report import Figure, Report
from bench.support.synthesis import Timing, place, synthesize
from cosoc.gateware.conv2d.array import packs
from cosoc.gateware.conv2d.compute import ComputeUnit
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from cosoc.gateware.conv2d.dispatch import Dispatcher
from cosoc.gateware.conv2d.features import FeatureBuffer
from cosoc.gateware.conv2d.load import LoadUnit
from cosoc.gateware.conv2d.output import OutputUnit
from cosoc.gateware.conv2d.resources import UNITS, core
from cosoc.gateware.conv2d.store import StoreUnit
from cosoc.gateware.conv2d.weights import WeightUnit
from cosoc.gateware.device import ULTRASCALE
from cosoc.gateware.resources import Resources

LARGE = Conv2DConfig(
    input_lanes=16, output_lanes=16, pixel_lanes=8, feature_words=65536, weight_steps=2048, channel_blocks=128, memory_ports=2
)
"""The engine of 2,048 multiplications per cycle."""

GOALS = Resources(dsp=1100, lut=100_000, bram36=420)
"""Two such engines fit the XCZU9EG."""

SMALL = Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=1, feature_words=256, weight_steps=64, channel_blocks=8)
"""What is placed and routed: the smallest core, of 16 multiplications per cycle."""

FREQUENCY_GOAL = 180
"""MHz, on ECP5."""

_CORES: dict[str, Callable[[Conv2DConfig], Any]] = {
    "dispatch": Dispatcher,
    "load": LoadUnit,
    "weights": WeightUnit,
    "compute": ComputeUnit,
    "output": OutputUnit,
    "features": FeatureBuffer,
    "store": StoreUnit,
}


def _size(input_lanes: int, output_lanes: int, pixel_lanes: int, memory_ports: int = 1, bits: int = 8) -> Conv2DConfig:
    """Banks of 1,024 words and weight buffers of 1,024 steps: the smallest that use the block RAM's full width."""
    config = Conv2DConfig(
        activation_bits=bits,
        input_lanes=input_lanes,
        output_lanes=output_lanes,
        pixel_lanes=pixel_lanes,
        memory_ports=memory_ports,
        weight_steps=1024,
    )
    return replace(config, feature_words=1024 * config.banks)


_FITTED = {
    "dispatch": [_size(4, 4, 2)],
    "load": [_size(4, 4, 2), _size(8, 8, 2, 2)],
    "weights": [_size(4, 4, 2), _size(8, 8, 2), _size(8, 8, 2, 2)],
    "compute": [
        _size(4, 4, 2),
        _size(8, 8, 2),
        _size(8, 8, 4),
        _size(16, 8, 4),
        _size(8, 8, 1),
        *(_size(*lanes, bits=16) for lanes in ((4, 4, 2), (8, 8, 2), (8, 8, 4))),
    ],
    "output": [_size(4, 4, 2), _size(4, 8, 2), _size(4, 8, 4), _size(4, 4, 2, bits=16)],
    "features": [_size(4, 4, 1), _size(4, 4, 2), _size(8, 8, 4, 2)],
    "store": [_size(4, 4, 2), _size(8, 8, 2, 2)],
}
"""Sizes from which the coefficients of the estimate come."""

_CHECK = _size(16, 16, 8, 2)
"""The size that checks them."""


def run(build: Path) -> Report:
    """Two tools at a time; what they found before is in `build/synthesis`."""
    full = os.environ.get("COSOC_FULL") == "1"
    cache = build.parent / "synthesis"
    report = Report("resources", {"2048": LARGE.__dict__, "ecp5": SMALL.__dict__})
    points = [(unit, config) for unit in UNITS for config in ((*_FITTED[unit], _CHECK) if full else _FITTED[unit][:1])]
    with ThreadPoolExecutor(2) as pool:
        core_timing = pool.submit(place, Conv2DCore(SMALL), cache)
        found = pool.map(lambda point: synthesize(_CORES[point[0]](point[1]), cache), points)
        timings = pool.map(lambda unit: place(_CORES[unit](SMALL), cache), UNITS)
        for (unit, config), resources in zip(points, found, strict=True):
            _add_point(report, unit, config, resources)
        for unit, timing in zip(UNITS, timings, strict=True):
            _add_timing(report, f"ecp5.{unit}", timing)
        _add_timing(report, f"ecp5.{_name(SMALL)}", core_timing.result(), goal=FREQUENCY_GOAL)
    total = core(LARGE)
    for name in ("dsp", "lut", "bram36"):
        report.add(
            Figure(
                name=f"2048.{name}",
                value=getattr(total, name),
                unit=name.upper(),
                better="lower",
                how="estimate",
                goal=getattr(GOALS, name),
            )
        )
    return report


def _name(config: Conv2DConfig) -> str:
    lanes = f"{config.input_lanes}x{config.output_lanes}x{config.pixel_lanes}"
    return lanes if config.activation_bits == 8 else f"{lanes}-int{config.activation_bits}"


def _add_point(report: Report, unit: str, config: Conv2DConfig, found: Resources) -> None:
    """What was found of a unit, beside its estimate; of the size that checks, also how far they are apart."""
    name = f"{unit}.{_name(config)}.p{config.memory_ports}"
    estimated = UNITS[unit](config)
    for item in ("lut", "ff", "dsp", "bram36"):
        value, peer = getattr(found, item), getattr(estimated, item)
        if value or peer:
            report.add(
                Figure(
                    name=f"{name}.{item}",
                    value=value,
                    unit=item.upper(),
                    better="lower",
                    how="synthesis",
                    peer=f"estimate {peer:,}",
                )
            )
    if config is _CHECK:
        deviation = 100 * (estimated.lut - found.lut) / found.lut
        report.add(Figure(name=f"{unit}.deviation", value=deviation, unit="%", better="lower", how="estimate"))
    if unit == "compute" and packs(config, ULTRASCALE):
        per_mac = found.dsp / config.macs
        report.add(Figure(name=f"{name}.dsp_per_mac", value=per_mac, unit="DSP", better="lower", how="synthesis", goal=0.5))


def _add_timing(report: Report, name: str, timing: Timing, goal: float | None = None) -> None:
    """The frequency, and what bounds it."""
    path = f"{timing.start} to {timing.end}, {timing.logic:.2f} ns logic and {timing.routing:.2f} ns routing"
    report.add(Figure(name=f"{name}.mhz", value=timing.mhz, unit="MHz", better="higher", how="synthesis", goal=goal, peer=path))
