"""The operators in both simulators; their golden model against exact rational arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from cosoc.gateware.arith import golden
from tests.gateware.arith.exact import SIGN, exact_product, exact_reciprocal, exact_sum, is_nan
from tests.gateware.arith.operators import LATENCY, Operators
from tests.gateware.arith.patterns import CORNERS, corner_pairs, random_pairs
from tests.gateware.harness import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_operators(simulator: str) -> None:
    simulate(Operators(), name="operators", module="tests.gateware.arith.bench_operators", simulator=simulator, seed=1)


def test_documented_latencies() -> None:
    real = {"sum": 6, "product": 5, "reciprocal": 15, "scaled": 3, "root_half": 5, "norm": 10, "quotient": 10 + 32}
    assert real | {"complex_product": 11, "complex_sum": 6, "eighth": 11} == LATENCY


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    parts = [corner_pairs(), random_pairs(3000, seed=2)]
    a, b = (np.concatenate(part) for part in zip(*parts, strict=True))
    return a, b


def test_golden_operators_are_exact() -> None:
    a, b = _pairs()
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    numbers = golden.from_bits(a), golden.from_bits(b)
    assert golden.to_bits(golden.add(*numbers)).tolist() == [exact_sum(x, y) for x, y in pairs]
    assert golden.to_bits(golden.multiply(*numbers)).tolist() == [exact_product(x, y) for x, y in pairs]
    # A NaN must not turn into another one by a flipped sign, so the sum takes -y only where y is a number.
    difference = [exact_sum(x, y if is_nan(y) else y ^ SIGN) for x, y in pairs]
    assert golden.to_bits(golden.subtract(*numbers)).tolist() == difference


def test_golden_reciprocal_is_exact() -> None:
    a = np.concatenate([CORNERS, random_pairs(3000, seed=3)[0]])
    assert golden.to_bits(golden.reciprocal(golden.from_bits(a))).tolist() == [exact_reciprocal(x) for x in a.tolist()]


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
        x = [exact_product(*pair) for pair in ((a_re, b_re), (a_im, b_im), (a_im, b_re), (a_re, b_im))]
        re = exact_sum(x[0], x[1] if conjugate or is_nan(x[1]) else x[1] ^ SIGN)
        im = exact_sum(x[2], x[3] ^ SIGN if conjugate and not is_nan(x[3]) else x[3])
        assert product[index : index + 1].view(np.uint32).tolist() == [re, im]
