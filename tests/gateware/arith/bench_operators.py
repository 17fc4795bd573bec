"""cocotb tests of the operators against NumPy: all corners, random numbers, and a random `en`."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from cosoc.gateware.arith import golden
from cosoc.gateware.fft.twiddles import root
from tests.gateware.arith.operators import LATENCY
from tests.gateware.arith.patterns import corner_pairs, random_pairs
from tests.gateware.harness import start

_RANDOM = 1500


def _operands(profile: str, seed: int) -> tuple[golden.Complexes, golden.Complexes, np.ndarray]:
    a_re, b_re = map(golden.from_bits, corner_pairs() if profile == "always" else random_pairs(_RANDOM, seed))
    order = np.random.default_rng(seed).permutation(len(a_re))
    return golden.to_complex(a_re, a_re[order]), golden.to_complex(b_re, b_re[order]), order % 2 == 1


def _expected(a: golden.Complexes, b: golden.Complexes, negate: np.ndarray) -> dict[str, list[int]]:
    product = np.where(negate, golden.complex_multiply(a, b, conjugate=True), golden.complex_multiply(a, b))
    return {
        "sum": golden.to_bits(np.where(negate, golden.subtract(a.real, b.real), golden.add(a.real, b.real))).tolist(),
        "product": golden.to_bits(golden.multiply(a.real, b.real)).tolist(),
        "reciprocal": golden.to_bits(golden.reciprocal(a.real)).tolist(),
        "complex_product": product.view(np.uint64).tolist(),
        "scaled": golden.to_bits(golden.multiply(a.real, np.exp2(-(golden.to_bits(b.imag) & 31).astype(np.float32)))).tolist(),
        "complex_sum": _complex_sum(a, b, negate).view(np.uint64).tolist(),
        "root_half": golden.to_bits(golden.multiply(a.real, np.full_like(a.real, np.sqrt(0.5)))).tolist(),
        "eighth": _eighth(a, b).view(np.uint64).tolist(),
        **_quotients(a, b, negate),
    }


_EIGHTHS = np.array([root(power, 8) for power in range(4)]).astype(np.complex64)


def _eighth(a: golden.Complexes, b: golden.Complexes) -> golden.Complexes:
    power = golden.to_bits(b.imag) >> 7 & 3
    kept = golden.to_complex(golden.canonical(a.real), golden.canonical(a.imag)).view(np.uint64)
    return np.where(power == 0, kept, golden.complex_multiply(a, _EIGHTHS[power]).view(np.uint64)).view(np.complex64)


def _quotients(a: golden.Complexes, b: golden.Complexes, negate: np.ndarray) -> dict[str, list[int]]:
    parts = golden.to_bits(b.imag) & 512 != 0
    divisors = np.where(parts, b.real.astype(np.float64), golden.wide_norm(b))
    quotients = golden.divide(a.real, divisors)
    roots = golden.square_root(np.abs(golden.wide_norm(b)))
    return {
        "norm": [wide(float(d)) for d in divisors],
        "quotient": np.where(negate & ~parts, golden.to_bits(roots), golden.to_bits(quotients)).tolist(),
    }


def wide(value: float) -> int:
    """The layout `Wide`, without what does not count beside a flag."""
    flags = math.isnan(value) << 3 | math.isinf(value) << 2 | (value == 0) << 1
    if not math.isnan(value):
        flags |= math.copysign(1, value) < 0
    if flags >> 1:
        return flags << 37
    fraction, exponent = math.frexp(abs(value))
    return int(fraction * (1 << 27)) | (exponent - 1 & 1023) << 27 | flags << 37


def _without_ignored(name: str, found: int) -> int:
    """A `Wide` number's significand and exponent do not count beside a flag, nor does the sign of a NaN."""
    if name != "norm" or not found >> 38:
        return found
    return found >> 37 << 37 if not found >> 40 else 8 << 37


def _complex_sum(a: golden.Complexes, b: golden.Complexes, negate: np.ndarray) -> golden.Complexes:
    flags = golden.to_bits(b.imag)
    sums = golden.to_complex(golden.add(a.real, b.real), golden.add(a.imag, b.imag))
    kept = golden.to_complex(golden.canonical(a.real), golden.canonical(a.imag))
    differences = golden.to_complex(golden.subtract(a.real, b.real), golden.subtract(a.imag, b.imag))
    turned = golden.to_complex(golden.subtract(a.imag, b.imag), golden.subtract(b.real, a.real))
    cases = (x.view(np.uint64) for x in (turned, differences, kept))
    conditions = [negate & (flags & 32 != 0), negate, flags & 64 != 0]
    return np.select(conditions, list(cases), sums.view(np.uint64)).view(np.complex64)


def _enables(profile: str, seed: int) -> Iterator[bool]:
    rng = random.Random(seed)
    while True:
        yield profile == "always" or rng.random() < 0.6


@cocotb.test()
@cocotb.parametrize(profile=["always", "random"])
async def equals_numpy(dut, profile):
    a, b, negate = _operands(profile, cocotb.RANDOM_SEED)
    expected = _expected(a, b, negate)
    await start(dut)
    enables = _enables(profile, cocotb.RANDOM_SEED)
    a_bits, b_bits = a.view(np.uint64).tolist(), b.view(np.uint64).tolist()
    for taken in range(len(a) + max(LATENCY.values())):
        index = min(taken, len(a) - 1)
        dut.a.value, dut.b.value, dut.negate.value = a_bits[index], b_bits[index], int(negate[index])
        dut.en.value = 0
        while not next(enables):
            await FallingEdge(dut.clk)
        dut.en.value = 1
        await FallingEdge(dut.clk)
        for name, latency in LATENCY.items():
            given = taken + 1 - latency
            if 0 <= given < len(a):
                found = _without_ignored(name, int(getattr(dut, name).value))
                assert found == expected[name][given], (
                    f"{name} of a={a_bits[given]:#018x} b={b_bits[given]:#018x} negate={negate[given]}: "
                    f"{found:#x}, expected {expected[name][given]:#x}"
                )
