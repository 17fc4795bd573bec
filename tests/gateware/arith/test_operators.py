"""The operators in both simulators; their golden model against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cosoc.gateware.arith import golden
from tests.gateware.arith.operators import LATENCY, Operators
from tests.gateware.arith.patterns import CORNERS, corner_pairs, random_pairs
from tests.gateware.harness import SIMULATORS, simulate

_NAN = 0x7FC00000
_SIGN = 0x80000000


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_operators(simulator: str) -> None:
    simulate(Operators(), name="operators", module="tests.gateware.arith.bench_operators", simulator=simulator, seed=1)


def test_documented_latencies() -> None:
    assert LATENCY == {"sum": 5, "product": 5, "reciprocal": 15, "complex_product": 10}


def _is_nan(bits: int) -> bool:
    return bits & ~_SIGN > 0x7F800000


def _is_infinity(bits: int) -> bool:
    return bits & ~_SIGN == 0x7F800000


def _value(bits: int) -> Fraction:
    """The exact value of a finite number."""
    exponent = bits >> 23 & 0xFF
    significand = bits & 0x7FFFFF | (0x800000 if exponent else 0)
    return Fraction(-significand if bits & _SIGN else significand) * Fraction(2) ** (max(exponent, 1) - 150)


def _round(value: Fraction, sign_of_zero: int) -> int:
    """The encoding of the nearest number, the even one of two: by its definition, not as the hardware does it."""
    if value == 0:
        return sign_of_zero
    sign, value = (_SIGN, -value) if value < 0 else (0, value)
    log2 = value.numerator.bit_length() - value.denominator.bit_length()
    exponent = max(1, 127 + (log2 if value >= Fraction(2) ** log2 else log2 - 1))
    units = value / Fraction(2) ** (exponent - 150)
    significand = round(units)  # Python rounds a Fraction's ties to even
    magnitude = (exponent - 1 << 23) + significand
    return sign | min(magnitude, 0x7F800000)


def _exact_sum(a: int, b: int) -> int:
    if _is_nan(a) or _is_nan(b) or (_is_infinity(a) and _is_infinity(b) and a != b):
        return _NAN
    if _is_infinity(a) or _is_infinity(b):
        return a if _is_infinity(a) else b
    return _round(_value(a) + _value(b), a & b & _SIGN)


def _exact_product(a: int, b: int) -> int:
    sign = (a ^ b) & _SIGN
    zero = a & ~_SIGN == 0 or b & ~_SIGN == 0
    infinite = _is_infinity(a) or _is_infinity(b)
    if _is_nan(a) or _is_nan(b) or (zero and infinite):
        return _NAN
    return sign | 0x7F800000 if infinite else _round(_value(a) * _value(b), sign)


def _exact_reciprocal(a: int) -> int:
    if _is_nan(a):
        return _NAN
    if _is_infinity(a):
        return a & _SIGN
    return a & _SIGN | 0x7F800000 if a & ~_SIGN == 0 else _round(1 / _value(a), 0)


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    parts = [corner_pairs(), random_pairs(3000, seed=2)]
    a, b = (np.concatenate(part) for part in zip(*parts, strict=True))
    return a, b


def test_golden_operators_are_exact() -> None:
    a, b = _pairs()
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    numbers = golden.from_bits(a), golden.from_bits(b)
    assert golden.to_bits(golden.add(*numbers)).tolist() == [_exact_sum(x, y) for x, y in pairs]
    assert golden.to_bits(golden.multiply(*numbers)).tolist() == [_exact_product(x, y) for x, y in pairs]
    # A NaN must not turn into another one by a flipped sign, so the sum takes -y only where y is a number.
    difference = [_exact_sum(x, y if _is_nan(y) else y ^ _SIGN) for x, y in pairs]
    assert golden.to_bits(golden.subtract(*numbers)).tolist() == difference


def test_golden_reciprocal_is_exact() -> None:
    a = np.concatenate([CORNERS, random_pairs(3000, seed=3)[0]])
    assert golden.to_bits(golden.reciprocal(golden.from_bits(a))).tolist() == [_exact_reciprocal(x) for x in a.tolist()]


@pytest.mark.parametrize("conjugate", [False, True])
def test_golden_complex_product(conjugate: bool) -> None:
    a, b = _pairs()
    order = np.random.default_rng(4).permutation(len(a))
    product = golden.complex_multiply(
        golden.to_complex(golden.from_bits(a), golden.from_bits(a[order])),
        golden.to_complex(golden.from_bits(b), golden.from_bits(b[order])),
        conjugate=conjugate,
    )
    for index in range(len(a)):
        a_re, a_im, b_re, b_im = int(a[index]), int(a[order[index]]), int(b[index]), int(b[order[index]])
        x = [_exact_product(*pair) for pair in ((a_re, b_re), (a_im, b_im), (a_im, b_re), (a_re, b_im))]
        re = _exact_sum(x[0], x[1] if conjugate or _is_nan(x[1]) else x[1] ^ _SIGN)
        im = _exact_sum(x[2], x[3] ^ _SIGN if conjugate and not _is_nan(x[3]) else x[3])
        assert product[index : index + 1].view(np.uint32).tolist() == [re, im]
