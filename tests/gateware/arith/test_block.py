"""Complex block floating point: the model against exact arithmetic, and the Verilated operators against a reference in C++."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosoc.gateware.arith import block_golden, golden
from cosoc.gateware.arith.block_golden import Block
from tests.gateware.arith import verilated
from tests.gateware.arith.block_operators import LATENCY, BlockOperators

_PATTERNS = 1_000_000


def test_documented_latencies() -> None:
    assert LATENCY == {"loaded": 5, "sum": 6, "product": 5, "stored": 6, "eighth": 5}


@pytest.fixture(scope="module", params=[16, 24])
def sweep(request: pytest.FixtureRequest) -> Path:
    definitions = {"BITS": request.param, **{f"LATENCY_{name.upper()}": cycles for name, cycles in LATENCY.items()}}
    source = Path(__file__).with_name("sweep_block.cpp")
    return verilated.build(BlockOperators(request.param), "block_operators", source, definitions)


def test_operators_equal_the_reference(sweep: Path) -> None:
    result = verilated.run(sweep, _PATTERNS, 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == f"{_PATTERNS} patterns; differences: {' '.join(f'{name} 0' for name in LATENCY)}\n"


def test_truncation_is_noticed(sweep: Path) -> None:
    result = verilated.run(sweep, 10_000, 1, "truncate")
    assert result.returncode == 1
    for operator in LATENCY:
        assert f"{operator}: " in result.stdout


def _numbers(rng: np.random.Generator, bits: int, count: int) -> Block:
    limit = 1 << bits - 1
    re, im = rng.integers(-limit, limit, (2, count)) >> rng.integers(0, bits, (2, count))
    return Block(re, im, rng.integers(100, 140, count), np.zeros(count, bool))


def _value(x: Block, bits: int) -> np.ndarray:
    """Exact as long as mantissas have few bits: float64."""
    scale = np.ldexp(1.0, x.exponent - 125 - bits)
    return x.re * scale + 1j * (x.im * scale)


def _units(error: np.ndarray, x: Block, bits: int) -> float:
    """The largest error of a part in units of the last place of `x`."""
    scale = np.ldexp(1.0, x.exponent - 125 - bits)
    return float(np.maximum(np.abs(error.real) / scale, np.abs(error.imag) / scale).max())


@pytest.mark.parametrize("bits", [16, 24])
def test_results_are_within_their_last_place(bits: int) -> None:
    """Half a unit of rounding, and less than another half for what a sum lost before it was shifted to the left by two places."""
    rng = np.random.default_rng(bits)
    a, b = _numbers(rng, bits, 20_000), _numbers(rng, bits, 20_000)
    result = block_golden.add(a, b, bits)
    limit = (1 << bits - 1) - 1
    saturated = (result.re == limit) | (result.im == limit)
    error = np.where(saturated, 0, _value(a, bits) + _value(b, bits) - _value(result, bits))
    assert _units(error, result, bits) < 1
    assert saturated.mean() < 0.01

    angle = rng.uniform(0, 2 * np.pi, a.re.size)
    factors = np.rint(np.cos(angle) * (2**17 - 1)).astype(int), np.rint(np.sin(angle) * (2**17 - 1)).astype(int)
    product = block_golden.multiply(a, factors, bits)
    exact = _value(a, bits) * (factors[0] + 1j * factors[1]) / 2**17
    assert _units(exact - _value(product, bits), product, bits) <= 0.5 + 1e-6


def test_conversion_there_and_back() -> None:
    """With 24 bits, numbers of 23 significant bits in the larger part come back; an infinity or a NaN makes both parts NaN."""
    rng = np.random.default_rng(3)
    x = np.zeros((3, 500), np.complex64)
    words = x.view(np.uint32)
    words[:] = rng.integers(0, 0x7F000000, words.shape) & ~np.uint32(1)
    x.imag[:] = x.real  # the same exponent
    there = block_golden.from_complex(x, 24)
    assert np.array_equal(golden.to_bits(block_golden.to_complex(there, 24, 0).view(np.float32)), words)
    x[0, 0] = np.inf
    x[1, 1] = complex(0, np.nan)
    back = block_golden.to_complex(block_golden.from_complex(x, 24), 24, 0)
    assert np.flatnonzero(np.isnan(back.real) & np.isnan(back.imag)).tolist() == [0, 501]
    assert np.isnan(back).sum() == 2
