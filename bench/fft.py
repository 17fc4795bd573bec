"""The FFT accelerator in RTL under the DDR model, beside plain streams of the same traffic; its cost model; its noise."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.support.report import Figure, Report
from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.fft.transform import transform

_SECONDS = 900

_EFFICIENT_BYTES = 64
"""Memory takes shorter bursts no faster."""

_NOISE_LENGTH = 1024

_FORMATS = {
    "float32": (FFTConfig(), 130),
    "bfp16": (FFTConfig(number_format=NumberFormat.BLOCK_FLOATING_POINT, mantissa_bits=16), 76),
    "bfp24": (FFTConfig(number_format=NumberFormat.BLOCK_FLOATING_POINT, mantissa_bits=24), 100),
}
"""Number formats, and the goals for their signal-to-noise ratio in dB."""


def run(build: Path) -> Report:
    """`samples_per_cycle` is what a further frame of a command adds; `port_fraction` the time that memory takes for plain reads and
    writes of as many bytes, at the pace of each other, by that.
    """
    (description,) = (item for item in json.loads((build / "soc.json").read_text())["accelerators"] if item["name"] == "fft0")
    config = FFTConfig(**description["config"])
    report = Report("fft", dict(description["config"]))
    for line in _measure(build):
        _add_command(report, f"p{config.samples}.{line['name']}", line, config)
    for log2_length in (6, 8, 10):
        _add_latency(report, log2_length, config)
    for name, (format_config, goal) in _FORMATS.items():
        report.add(
            Figure(name=f"{name}.snr_db", value=_lowest_snr(format_config), unit="dB", better="higher", how="model", goal=goal)
        )
    return report


def _measure(build: Path) -> list[dict[str, Any]]:
    command = [str(build / "bin" / "fft-commands"), str(build)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}: {result.stderr.strip()}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def _add_command(report: Report, name: str, line: dict[str, Any], config: FFTConfig) -> None:
    """Where memory is slower than the pipeline, the goal is that of the port; it is for 256 points and more, in rows that are long
    enough for efficient bursts.
    """
    fraction = line["limit"] / line["added"]
    rate = line["samples"] / line["added"]
    bound_by_port = line["samples"] / line["limit"] < 0.98 * config.samples
    matters = line["samples"] >= 256 and line["row_bytes"] >= _EFFICIENT_BYTES
    goal = {True: 0.95 * line["samples"] / line["limit"], False: 0.98 * config.samples}[bound_by_port] if matters else None
    report.add(Figure(name=f"{name}.samples_per_cycle", value=rate, unit="1", better="higher", how="rtl", goal=goal))
    goal = 0.95 if matters and bound_by_port else None
    report.add(Figure(name=f"{name}.port_fraction", value=fraction, unit="1", better="higher", how="rtl", goal=goal))
    report.add(Figure(name=f"{name}.alone", value=line["alone"], unit="cycles", better="lower", how="rtl"))
    for kind in ("added", "alone"):
        error = abs(line[f"modelled_{kind}"] / line[kind] - 1)
        report.add(Figure(name=f"{name}.{kind}.model_error", value=error, unit="1", better="lower", how="rtl", goal=0.02))


def _add_latency(report: Report, log2_length: int, config: FFTConfig) -> None:
    """From the first sample into the pipeline to the first result; tests of the RTL check it."""
    if log2_length > config.max_log2:
        return
    latency = FFTPipeline.latency(config, log2_length)
    goal = (1 << log2_length) / config.samples + 12 * log2_length
    name = f"p{config.samples}.n{1 << log2_length}.latency"
    report.add(Figure(name=name, value=latency, unit="cycles", better="lower", how="model", goal=goal))


def _lowest_snr(config: FFTConfig) -> float:
    """The lowest ratio to float64, over forward and inverse transforms of white noise, tones, impulses and full-scale inputs."""
    return float(
        min(
            10 * np.log10(np.sum(np.abs(exact) ** 2) / np.sum(np.abs(exact - found) ** 2))
            for x in _signals().values()
            for inverse, exact in ((False, np.fft.fft(x.astype(complex))), (True, np.fft.ifft(x.astype(complex))))
            for found in (transform(x, inverse, config=config).astype(complex),)
            if not np.array_equal(exact, found)
        )
    )


def _signals() -> dict[str, NDArray[np.complex64]]:
    rng, n = np.random.default_rng(0), np.arange(_NOISE_LENGTH)
    parts = rng.standard_normal((2, 16, _NOISE_LENGTH))
    frequencies = rng.uniform(0, _NOISE_LENGTH, 16)[:, None]
    signs = rng.integers(0, 2, (2, 16, _NOISE_LENGTH)) * 2 - 1
    signals = {
        "white noise": parts[0] + 1j * parts[1],
        "tones": np.exp(2j * np.pi * frequencies * n / _NOISE_LENGTH),
        "impulses": (n == rng.integers(0, _NOISE_LENGTH, (16, 1))) * (1 + 0.5j),
        "full scale": signs[0] + 1j * signs[1],
    }
    return {name: signal.astype(np.complex64) for name, signal in signals.items()}
