"""An accelerator of two managers in a Verilated SoC: both of its memory ports work at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cosoc.gateware.layout.page import Error
from tests.gateware.pair_core import PairOperation, pattern
from tests.gateware.peripheral.pair_accelerator import PAIR_ACCELERATOR, PAIR_CONFIG, PairConfig
from tests.sim.soc_library import Soc, build_soc

CLOCK_HZ = 300e6
MEMORY_BYTES = 8 << 20
SOURCE, TARGET = 1 << 20, 4 << 20
BEATS = 50_000
"""Of each port: long enough that start and end do not count."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_soc(tmp_path_factory.mktemp("hp0-hp3"), PAIR_ACCELERATOR, PAIR_CONFIG, ["HP0", "HP3"])


@pytest.fixture
def memory() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, MEMORY_BYTES, dtype=np.uint8)


@pytest.fixture
def soc(library: Path, memory: np.ndarray) -> Iterator[Soc]:
    soc = Soc(library, PAIR_ACCELERATOR, memory)
    yield soc
    soc.close()


def command(operation: PairOperation, beats: int = BEATS) -> dict[str, int]:
    return {"opcode": operation, "beats": beats, "in_address": SOURCE, "out_address": TARGET}


@pytest.mark.parametrize(
    ("operation", "gigabytes_per_second"),
    [(PairOperation.READ, 9.46), (PairOperation.WRITE, 9.60), (PairOperation.COPY, 12.6)],
    ids=lambda value: getattr(value, "name", None),
)
def test_throughput_is_that_measured_for_hp0_and_hp3(soc: Soc, operation: PairOperation, gigabytes_per_second: float) -> None:
    """Table of the ZCU102 at 300 MHz: read only, write only, half and half. One port alone has half of it, or 9.33 when mixed."""
    completion = soc.run(command(operation))
    assert completion["error"] == Error.NONE
    moved = 2 * 16 * BEATS * (2 if operation == PairOperation.COPY else 1)
    assert moved / (completion["cycles"] / CLOCK_HZ) / 1e9 == pytest.approx(gigabytes_per_second, rel=0.03)


def test_data_arrives(soc: Soc, memory: np.ndarray) -> None:
    expected = memory.copy()
    size = 2 * 16 * 1000
    assert soc.run(command(PairOperation.COPY, 1000))["error"] == Error.NONE
    expected[TARGET : TARGET + size] = expected[SOURCE : SOURCE + size]
    assert np.array_equal(memory[4096:], expected[4096:])
    assert soc.run(command(PairOperation.WRITE, 300))["error"] == Error.NONE
    written = b"".join(pattern(port, beat) for port in range(2) for beat in range(300))
    expected[TARGET : TARGET + len(written)] = np.frombuffer(written, np.uint8)
    assert np.array_equal(memory[4096:], expected[4096:])


def test_two_managers_may_share_a_port(tmp_path: Path, memory: np.ndarray) -> None:
    soc = Soc(build_soc(tmp_path, PAIR_ACCELERATOR, PAIR_CONFIG, ["HP1", "HP1"]), PAIR_ACCELERATOR, memory)
    completion = soc.run(command(PairOperation.READ))
    soc.close()
    assert 2 * 16 * BEATS / (completion["cycles"] / CLOCK_HZ) / 1e9 == pytest.approx(4.76, rel=0.03)


def test_managers_of_64_bits(tmp_path: Path, memory: np.ndarray) -> None:
    """Each moves 8 bytes per cycle and direction, whatever else the memory could do."""
    expected = memory.copy()
    soc = Soc(build_soc(tmp_path, PAIR_ACCELERATOR, PairConfig(memory_port_bits=64), ["HP0", "HP3"]), PAIR_ACCELERATOR, memory)
    completion = soc.run(command(PairOperation.COPY))
    soc.close()
    size = 2 * 16 * BEATS
    expected[TARGET : TARGET + size] = expected[SOURCE : SOURCE + size]
    assert np.array_equal(memory[4096:], expected[4096:])
    # A burst of 32 beats takes 0.2 cycles more.
    assert completion["cycles"] == pytest.approx(2 * BEATS * 32.2 / 32, rel=0.01)


def test_latency_of_the_memory(library: Path, memory: np.ndarray) -> None:
    """A command waits for it twice: for its own words, and for what it reads."""

    def cycles(latency: int) -> int:
        soc = Soc(library, PAIR_ACCELERATOR, memory, latency=latency)
        completion = soc.run(command(PairOperation.READ, 1))
        soc.close()
        assert completion["error"] == Error.NONE
        return completion["cycles"]

    base = cycles(45)
    assert base > 2 * 45
    assert [cycles(latency) - base for latency in (30, 45, 60, 90)] == [-30, 0, 30, 90]
