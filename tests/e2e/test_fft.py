"""The FFT accelerator through the runtime: the golden model's bits in RTL and on the functional model, and what a CPU must do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.support.node import run_node
from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.transform import transform
from cosoc.gateware.soc import SoCConfig
from tests.gateware.fft.signals import special_values, white_noise

CYCLES_ERROR = 0.05
"""Of the modelled cycles of a call: where it begins in the windows of the memory model counts too."""


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_rtl_and_functional_model_have_the_bits_of_the_golden_model(build: Path, direction: str) -> None:
    rng = np.random.default_rng(1)
    for signal in (white_noise(rng, 3 * 8).reshape(3, 8), special_values(rng, 6, 64), white_noise(rng, 2048).reshape(1, 2048)):
        expected = transform(signal, direction == "inverse")
        cycles = {}
        for mode in ("functional", "rtl"):
            record, found = run_node(build, "fft", {"direction": direction}, {"x": signal}, expected, device="fft", mode=mode)
            assert np.array_equal(found.view(np.uint32), expected.view(np.uint32)), (mode, signal.shape)
            cycles[mode] = record["cycles"]
        assert abs(cycles["functional"] / cycles["rtl"] - 1) <= CYCLES_ERROR, (signal.shape, cycles)


def test_columns_of_matrices_have_the_bits_of_the_golden_model(build: Path) -> None:
    """Of 24 columns the accelerator takes 8 at a time; results differ in some last bits from those of a row."""
    matrices = white_noise(np.random.default_rng(3), 2 * 32 * 24).reshape(2, 32, 24)
    rows = np.ascontiguousarray(matrices.transpose(0, 2, 1)).reshape(-1, 32)
    expected = np.ascontiguousarray(transform(rows, False, interleave_log2=3).reshape(2, 24, 32).transpose(0, 2, 1))
    attributes = {"direction": "forward", "axis": 1}
    for mode in ("functional", "rtl"):
        record, found = run_node(build, "fft", attributes, {"x": matrices}, expected, device="fft", mode=mode)
        assert np.array_equal(found.view(np.uint32), expected.view(np.uint32)), mode
        assert record["commands"] == 2
    _, found = run_node(build, "fft", attributes, {"x": matrices}, expected, device="cpu", mode="cpu")
    assert np.allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mantissa_bits", [16, 24])
def test_block_floating_point_has_the_bits_of_the_golden_model(build: Path, tmp_path: Path, mantissa_bits: int) -> None:
    parameters = {"fft_number_format": int(NumberFormat.BLOCK_FLOATING_POINT), "fft_mantissa_bits": mantissa_bits}
    description = json.loads(SoC.place(SoCConfig.make({"fft": 1}, parameters), load_platform("sim")).json())
    del description["rtl"]
    (tmp_path / "soc.json").write_text(json.dumps(description))
    (tmp_path / "lib").symlink_to(build / "lib")
    config = FFTConfig(number_format=NumberFormat.BLOCK_FLOATING_POINT, mantissa_bits=mantissa_bits)
    rng = np.random.default_rng(4)
    for signal in (white_noise(rng, 512).reshape(1, 512), special_values(rng, 6, 32)):
        for direction in ("forward", "inverse"):
            expected = transform(signal, direction == "inverse", config=config)
            attributes = {"direction": direction}
            _, found = run_node(tmp_path, "fft", attributes, {"x": signal}, expected, device="fft", mode="functional")
            assert np.array_equal(found.view(np.uint32), expected.view(np.uint32)), direction


def test_columns_that_do_not_fit_run_on_a_cpu(build: Path) -> None:
    signal = white_noise(np.random.default_rng(2), 64 * 6).reshape(64, 6)
    attributes = {"direction": "forward", "axis": 0}
    record, _ = run_node(build, "fft", attributes, {"x": signal}, signal, device=("fft", "cpu"), mode="functional")
    assert record["device"].startswith("cpu")
    assert "at least 4 columns at a time" in record["reason"]
    assert "not 6 columns of 64 points" in record["reason"]


@pytest.mark.parametrize("length", [4, 100, 1 << 17])
def test_other_lengths_run_on_a_cpu_and_report_and_trace_say_why(build: Path, tmp_path: Path, length: int) -> None:
    signal = white_noise(np.random.default_rng(2), length)
    attributes, devices, trace = {"direction": "forward"}, ("fft", "cpu"), tmp_path / "trace.json"
    record, found = run_node(
        build, "fft", attributes, {"x": signal}, np.empty_like(signal), device=devices, mode="functional", trace=trace
    )
    assert record["device"].startswith("cpu")
    reason = f"a power of two of 8..2048 points, not {length}"
    assert reason in record["reason"]
    assert reason in trace.read_text()
    assert np.allclose(found, np.fft.fft(signal), rtol=0, atol=1e-5 * length)
