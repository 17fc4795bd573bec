"""The divider of integers against integer arithmetic, a million patterns: Verilated, in C++."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosoc.gateware.arith.integer_divide import IntegerDivide
from tests.gateware.arith import verilated

_PATTERNS = 1_000_000


@pytest.fixture(scope="module")
def sweep() -> Path:
    source = Path(__file__).with_name("sweep_integers.cpp")
    return verilated.build(IntegerDivide(), "integer_divide", source, {"LATENCY": IntegerDivide.latency})


def test_documented_latency() -> None:
    assert IntegerDivide.latency == 21


def test_quotients_and_roots_equal_integer_arithmetic(sweep: Path) -> None:
    result = verilated.run(sweep, _PATTERNS, 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == f"{_PATTERNS} patterns; differences: 0\n"


def test_truncation_is_noticed(sweep: Path) -> None:
    result = verilated.run(sweep, 10_000, 1, "truncate")
    assert result.returncode == 1
    assert "quotient of" in result.stdout
    assert "root of" in result.stdout
