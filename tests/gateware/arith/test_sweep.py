"""The float32 operators against the host's arithmetic, a million patterns each: Verilated, in C++."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateware.arith import verilated
from tests.gateware.arith.operators import LATENCY, Operators

_PATTERNS = 1_000_000


@pytest.fixture(scope="module")
def sweep() -> Path:
    latencies = {f"LATENCY_{name.upper()}": cycles for name, cycles in LATENCY.items()}
    return verilated.build(Operators(), "operators", Path(__file__).with_name("sweep.cpp"), latencies)


def test_operators_equal_the_host(sweep: Path) -> None:
    result = verilated.run(sweep, _PATTERNS, 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == f"{_PATTERNS} patterns; differences: {' '.join(f'{name} 0' for name in LATENCY)}\n"


def test_another_rounding_is_noticed(sweep: Path) -> None:
    result = verilated.run(sweep, 10_000, 1, "upward")
    assert result.returncode == 1
    for operator in LATENCY:
        assert f"{operator} of" in result.stdout
