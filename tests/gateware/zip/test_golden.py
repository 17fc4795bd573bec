"""The golden model of ZIP: against exact arithmetic, against complex128, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.layout.page import Error
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import COMMAND, ELEMENT_BYTES, ZIPConfig, ZIPOperation
from cosoc.gateware.zip.cycles import command_cycles
from tests.gateware.arith.exact import SIGN, exact_product, exact_reciprocal, exact_sum, is_nan
from tests.gateware.arith.patterns import corner_pairs, random_pairs

Number = tuple[int, int]

_ULP = 2.0**-24


def _negative(bits: int) -> int:
    return bits if is_nan(bits) else bits ^ SIGN


def _conjugate_product(a: Number, b: Number) -> Number:
    re = exact_sum(exact_product(a[0], b[0]), exact_product(a[1], b[1]))
    return re, exact_sum(exact_product(a[1], b[0]), _negative(exact_product(a[0], b[1])))


def _quotient(a: Number, b: Number) -> Number:
    factor = exact_reciprocal(exact_sum(exact_product(b[0], b[0]), exact_product(b[1], b[1])))
    re, im = _conjugate_product(a, b)
    return exact_product(re, factor), exact_product(im, factor)


def _product(a: Number, b: Number) -> Number:
    re = exact_sum(exact_product(a[0], b[0]), _negative(exact_product(a[1], b[1])))
    return re, exact_sum(exact_product(a[0], b[1]), exact_product(a[1], b[0]))


_REFERENCE = {
    ZIPOperation.ADD: lambda a, b: (exact_sum(a[0], b[0]), exact_sum(a[1], b[1])),
    ZIPOperation.SUB: lambda a, b: (exact_sum(a[0], _negative(b[0])), exact_sum(a[1], _negative(b[1]))),
    ZIPOperation.MUL: _product,
    ZIPOperation.DIV: _quotient,
    ZIPOperation.CONJUGATE_MUL: _conjugate_product,
}


@pytest.mark.parametrize("operation", list(ZIPOperation))
def test_every_step_is_rounded_as_documented(operation: ZIPOperation) -> None:
    parts = [corner_pairs(), random_pairs(1500, seed=5)]
    a, b = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.random.default_rng(6).permutation(len(a))
    numbers = [arith.to_complex(arith.from_bits(x), arith.from_bits(x[order])) for x in (a, b)]
    found = golden.apply(operation, *numbers).view(np.uint32).reshape(-1, 2).tolist()
    pairs = zip(a.tolist(), a[order].tolist(), b.tolist(), b[order].tolist(), strict=True)
    assert found == [list(_REFERENCE[operation]((w, x), (y, z))) for w, x, y, z in pairs]


def _complexes(rng: np.random.Generator, count: int, exponents: int) -> np.ndarray:
    scale = np.exp2(rng.integers(-exponents, exponents, 2 * count))
    return (rng.standard_normal(2 * count) * scale).astype(np.float32).view(np.complex64)


def test_error_of_a_quotient() -> None:
    """Relative to its norm at most sqrt(5) ulp from the product, 2 from |b|^2, and 1 each from 1/|b|^2 and the last product."""
    rng = np.random.default_rng(7)
    a, b = _complexes(rng, 200_000, 15), _complexes(rng, 200_000, 20)
    quotient = golden.apply(ZIPOperation.DIV, a, b).astype(np.complex128)
    exact = a.astype(np.complex128) / b.astype(np.complex128)
    worst = np.max(np.abs(quotient - exact) / np.abs(exact))
    assert _ULP < worst <= 6.24 * _ULP


def test_operands_must_fit() -> None:
    ones = np.ones(4, np.complex64)
    with pytest.raises(ValueError, match="b has dtype complex128; expected complex64"):
        golden.apply(ZIPOperation.ADD, ones, ones.astype(np.complex128))
    with pytest.raises(ValueError, match=r"a has shape \(4,\) and b has shape \(3,\)"):
        golden.apply(ZIPOperation.ADD, ones, ones[:3])


def _fields(**values: int) -> dict[str, int]:
    default = {"opcode": int(ZIPOperation.SUB), "length": 3, "a_address": 0, "b_address": 32, "out_address": 64}
    return COMMAND.decode(COMMAND.encode(default | values))


def test_a_command_on_memory() -> None:
    a, b = (_complexes(np.random.default_rng(seed), 3, 1) for seed in (8, 9))
    memory = bytearray(b"\xa5" * 112)
    memory[0:24], memory[32:56] = a.tobytes(), b.tobytes()
    before = bytes(memory)
    assert golden.execute(_fields(), memory, ZIPConfig()) == Error.NONE
    assert memory[64 : 64 + 3 * ELEMENT_BYTES] == (a - b).tobytes()
    assert (memory[:64], memory[88:]) == (before[:64], before[88:])


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"opcode": 5}, Error.BAD_OPCODE),
        ({"opcode": 255, "length": 0, "a_address": 1}, Error.BAD_OPCODE),
        ({"length": 0}, Error.BAD_LENGTH),
        ({"length": 1 << 29, "out_address": 8}, Error.BAD_LENGTH),
        ({"a_address": 8}, Error.MISALIGNED),
        ({"b_address": 33}, Error.MISALIGNED),
        ({"out_address": 79}, Error.MISALIGNED),
    ],
)
def test_refused_commands_change_nothing(values: dict[str, int], error: Error) -> None:
    memory = bytearray(range(112))
    assert golden.execute(_fields(**values), memory, ZIPConfig()) == error
    assert memory == bytearray(range(112))
    assert command_cycles(_fields(**values), ZIPConfig()) == 4


def test_a_command_outside_the_memory() -> None:
    with pytest.raises(IndexError, match="24 bytes from out_address 0x60 leave a memory of 112 bytes"):
        golden.execute(_fields(out_address=0x60), bytearray(112), ZIPConfig())
