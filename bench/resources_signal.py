"""FPGA resources of all accelerators but Conv2D by open-source synthesis of the whole: nothing is left out or estimated.

Registers, command ring, DMA and core of each, module by module for UltraScale+. The estimates, which decide whether a SoC fits its
board, stand beside.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.support.report import Figure, Report
from bench.support.synthesis import place, synthesize_modules
from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.parameters import Config
from cosoc.gateware.peripheral.accelerator import AcceleratorPeripheral
from cosoc.gateware.resources import Resources

_BLOCK = {"number_format": int(NumberFormat.BLOCK_FLOATING_POINT), "mantissa_bits": 16}
_SMALL = FFTConfig(max_log2=4, number_format=int(NumberFormat.BLOCK_FLOATING_POINT))

_SIZES: dict[str, tuple[str, dict[str, int], Resources]] = {
    "fft.float32.p1.n1024": ("fft", {"max_log2": 10}, Resources(dsp=40, lut=35_000)),
    "fft.float32.p2.n1024": ("fft", {"max_log2": 10, "samples": 2}, Resources()),
    "fft.bfp16.p1.n1024": ("fft", {"max_log2": 10, **_BLOCK}, Resources(dsp=16)),
    "fft.bfp16.p2.n1024": ("fft", {"max_log2": 10, "samples": 2, **_BLOCK}, Resources()),
    "zip.float32.lanes2": ("zip", {"lanes": 2}, Resources()),
    "zip.float32.lanes1": ("zip", {"lanes": 1}, Resources()),
    "zip.int16.lanes2": ("zip", {"lanes": 2, "number_format": 1}, Resources()),
}
"""Name: the accelerator, its parameters, and goals."""

RATIO_GOAL = 1.9
"""Two samples per cycle take less than this, by one."""

FREQUENCY_GOAL = 150
"""MHz of a small FFT on ECP5."""

_AMOUNTS = ("dsp", "lut", "ff", "bram36")


def run(build: Path) -> Report:
    """Two tools at a time; what they found before is in `build/synthesis`. Accelerators without sizes above have their defaults."""
    cache = build.parent / "synthesis"
    report = Report("resources_signal", {name: parameters for name, (_, parameters, _) in _SIZES.items()})
    kinds = {accelerator.name: accelerator for accelerator in ACCELERATORS}
    sizes = {name: (kinds[kind], kinds[kind].config(**values), goal) for name, (kind, values, goal) in _SIZES.items()}
    for kind in kinds.values():
        if kind.name != "c2d" and not any(kind is accelerator for accelerator, _, _ in sizes.values()):
            sizes[kind.name] = (kind, kind.config(), Resources())
    with ThreadPoolExecutor(2) as pool:
        timing = pool.submit(place, FFTPipeline(_SMALL), cache)
        found = dict(zip(sizes, pool.map(lambda size: _synthesized(size[0], size[1], cache), sizes.values()), strict=True))
        for name, (accelerator, config, goal) in sizes.items():
            _add(report, name, found[name], accelerator.resources(config), goal)
        for number_format in ("float32", "bfp16"):
            one, two = (found[f"fft.{number_format}.p{samples}.n1024"] for samples in (1, 2))
            for amount in ("dsp", "lut", "ff"):
                ratio = getattr(two, amount) / getattr(one, amount)
                name = f"fft.{number_format}.p2_by_p1.{amount}"
                report.add(Figure(name=name, value=ratio, unit="1", better="lower", how="synthesis", goal=RATIO_GOAL))
        mhz = timing.result().mhz
        report.add(Figure(name="fft.bfp16.n16.ecp5", value=mhz, unit="MHz", better="higher", how="synthesis", goal=FREQUENCY_GOAL))
    return report


def _synthesized(accelerator: Accelerator, config: Config, cache: Path) -> Resources:
    return synthesize_modules(AcceleratorPeripheral(accelerator, config), cache)


def _add(report: Report, name: str, found: Resources, estimated: Resources, goal: Resources) -> None:
    for amount in _AMOUNTS:
        value, wanted = getattr(found, amount), getattr(goal, amount) or None
        peer = f"estimate {getattr(estimated, amount):,}"
        report.add(
            Figure(
                name=f"{name}.{amount}", value=value, unit=amount.upper(), better="lower", how="synthesis", goal=wanted, peer=peer
            )
        )
