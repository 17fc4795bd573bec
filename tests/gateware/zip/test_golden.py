"""The golden model of ZIP: against exact arithmetic, the error of quotients and magnitudes, int16, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.layout.page import Error
from cosoc.gateware.parameters import ParameterError
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import COMMAND, ZIPConfig, ZIPOperation
from cosoc.gateware.zip.cycles import command_cycles
from tests.gateware.arith.exact import (
    SIGN,
    exact_norm,
    exact_product,
    exact_quotient,
    exact_root,
    exact_sum,
    is_nan,
)
from tests.gateware.arith.patterns import corner_pairs, random_pairs

Number = tuple[int, int]
Op = ZIPOperation

_ULP = 2.0**-24


def _negative(bits: int) -> int:
    return bits if is_nan(bits) else bits ^ SIGN


def _add(a: Number, b: Number) -> Number:
    return exact_sum(a[0], b[0]), exact_sum(a[1], b[1])


def _product(a: Number, b: Number) -> Number:
    re = exact_sum(exact_product(a[0], b[0]), _negative(exact_product(a[1], b[1])))
    return re, exact_sum(exact_product(a[0], b[1]), exact_product(a[1], b[0]))


def _conjugate_product(a: Number, b: Number) -> Number:
    re = exact_sum(exact_product(a[0], b[0]), exact_product(a[1], b[1]))
    return re, exact_sum(exact_product(a[1], b[0]), _negative(exact_product(a[0], b[1])))


def _quotient(a: Number, b: Number) -> Number:
    re, im = _conjugate_product(a, b)
    norm = exact_norm(*b)
    return exact_quotient(re, norm), exact_quotient(im, norm)


def _real_quotient(a: int, b: int) -> int:
    quotient = exact_quotient(a, _absolute(b))
    return quotient if is_nan(quotient) or not b & SIGN else quotient ^ SIGN


def _absolute(b: int) -> Fraction | float:
    """|b|."""
    return float(abs(arith.from_bits(b))) if not np.isfinite(arith.from_bits(b)) else Fraction(float(abs(arith.from_bits(b))))


_REFERENCE = {
    Op.ADD: lambda a, b, c: _add(a, b),
    Op.SUB: lambda a, b, c: _add(a, (_negative(b[0]), _negative(b[1]))),
    Op.MUL: lambda a, b, c: _product(a, b),
    Op.DIV: lambda a, b, c: _quotient(a, b),
    Op.CONJUGATE_MUL: lambda a, b, c: _conjugate_product(a, b),
    Op.MULTIPLY_ADD: lambda a, b, c: _add(c, _product(a, b)),
    Op.CONJUGATE_MULTIPLY_ADD: lambda a, b, c: _add(c, _conjugate_product(a, b)),
    Op.MAGNITUDE_SQUARED: lambda a, b, c: (_conjugate_product(a, a)[0],),
    Op.MAGNITUDE: lambda a, b, c: (exact_root(exact_norm(*a)),),
    Op.REAL_ADD: lambda a, b, c: _add(a, b),
    Op.REAL_SUB: lambda a, b, c: _add(a, (_negative(b[0]), _negative(b[1]))),
    Op.REAL_MUL: lambda a, b, c: (exact_product(a[0], b[0]), exact_product(a[1], b[1])),
    Op.REAL_DIV: lambda a, b, c: (_real_quotient(a[0], b[0]), _real_quotient(a[1], b[1])),
    Op.REAL_MULTIPLY_ADD: lambda a, b, c: _add(c, (exact_product(a[0], b[0]), exact_product(a[1], b[1]))),
}


@pytest.mark.parametrize("operation", list(Op))
def test_every_step_is_rounded_as_documented(operation: Op) -> None:
    parts = [corner_pairs(), random_pairs(1200, seed=5)]
    a, b = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.random.default_rng(6).permutation(len(a))
    x, y, z = ((bits, bits[order]) for bits in (a, b, a[order[::-1]]))
    operands = [arith.to_complex(arith.from_bits(re), arith.from_bits(im)) for re, im in (x, y, z)]
    if operation.real:
        operands = [operand.view(np.float32) for operand in operands]
    found = golden.apply(operation, *operands[: operation.operands]).view(np.uint32).reshape(len(a), -1).tolist()
    numbers = [list(zip(re.tolist(), im.tolist(), strict=True)) for re, im in (x, y, z)]
    assert found == [list(_REFERENCE[operation](*each)) for each in zip(*numbers, strict=True)]


def _complexes(rng: np.random.Generator, count: int, exponents: int) -> np.ndarray:
    scale = np.exp2(rng.integers(-exponents, exponents, 2 * count))
    return (rng.standard_normal(2 * count) * scale).astype(np.float32).view(np.complex64)


def _hard_complexes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Both parts near the lower end of a binade, where a rounding weighs most, in the ratios where products cancel."""
    significands = 1 + rng.integers(0, 1 << 12, 2 * count) * 2.0**-23 * rng.choice([1, 64, 1024], 2 * count)
    return (significands * np.exp2(rng.integers(-2, 2, 2 * count)) * rng.choice([-1, 1], 2 * count)).astype("f4").view("c8")


def test_error_of_a_quotient() -> None:
    """Of its norm at most sqrt(5) ulp from the product, 1/2 from |b|^2 and 1 from the division: less than 4."""
    rng = np.random.default_rng(7)
    worst = 0.0
    pairs = [
        (_complexes(rng, 200_000, 15), _complexes(rng, 200_000, 20)),
        (_hard_complexes(rng, 400_000), _hard_complexes(rng, 400_000)),
    ]
    for a, b in pairs:
        quotient = golden.apply(Op.DIV, a, b).astype(np.complex128)
        exact = a.astype(np.complex128) / b.astype(np.complex128)
        worst = max(worst, float(np.max(np.abs(quotient - exact) / np.abs(exact))))
    assert 2 * _ULP < worst <= 3.74 * _ULP


def test_error_of_a_magnitude_and_its_range() -> None:
    """At most 1/4 ulp from the norm and 1 from the root, also where the square of a part has no place in float32."""
    rng = np.random.default_rng(8)
    a = _complexes(rng, 200_000, 120)
    exact = np.abs(a.astype(np.complex128))
    error = np.abs(golden.apply(Op.MAGNITUDE, a) - exact)
    assert np.max((error / exact)[exact > 2.0**-126]) <= 1.25 * _ULP
    assert np.max(error[exact <= 2.0**-126], initial=0) <= 2.0**-149


def _quotient_of_integers(value: int, by: int, shift: int) -> int:
    """Python rounds a Fraction's ties to even."""
    return round(Fraction(value << shift, by)) if by else (value > 0) - (value < 0) << 16


def _root_of_integer(value: int, shift: int) -> int:
    """The integer of which no other is nearer to the root, and the even one of two."""
    whole = isqrt(value) >> shift
    middle = (Fraction(2 * whole + 1, 2) * (1 << shift)) ** 2
    return whole + (value > middle or (value == middle and whole % 2 == 1))


def _integer(operation: Op, a: list[int], b: list[int], c: list[int], shift: int) -> list[int]:
    """By Python's integers and fractions."""
    (w, x), (y, z) = a, b
    exact = {
        Op.ADD: [w + y, x + z],
        Op.SUB: [w - y, x - z],
        Op.MUL: [w * y - x * z, w * z + x * y],
        Op.CONJUGATE_MUL: [w * y + x * z, x * y - w * z],
        Op.MAGNITUDE_SQUARED: [w * w + x * x],
        Op.REAL_MUL: [w * y, x * z],
    }
    plain = {
        Op.MULTIPLY_ADD: Op.MUL,
        Op.CONJUGATE_MULTIPLY_ADD: Op.CONJUGATE_MUL,
        Op.REAL_ADD: Op.ADD,
        Op.REAL_SUB: Op.SUB,
        Op.REAL_MULTIPLY_ADD: Op.REAL_MUL,
    }
    if operation is Op.DIV:
        rounded = [_quotient_of_integers(value, y * y + z * z, shift) for value in exact[Op.CONJUGATE_MUL]]
    elif operation is Op.REAL_DIV:
        rounded = [_quotient_of_integers(value, by, shift) for value, by in zip(a, b, strict=True)]
    elif operation is Op.MAGNITUDE:
        rounded = [_root_of_integer(w * w + x * x, shift)]
    else:
        rounded = [round(Fraction(value, 1 << shift)) for value in exact[plain.get(operation, operation)]]
    summands = c if operation.operands == 3 else [0, 0]
    sums = [value + summand for value, summand in zip(rounded, summands, strict=False)]
    return [min(max(value, -32768), 32767) for value in sums]


@pytest.mark.parametrize("operation", list(Op))
def test_int16_is_rounded_and_saturated_as_documented(operation: Op) -> None:
    rng = np.random.default_rng(9)
    values = np.array([-32768, -32767, -1, 0, 1, 2, 3, 16384, 32767], np.int16)
    operands = [np.where(rng.random((300, 2)) < 0.5, rng.choice(values, (300, 2)), rng.integers(-40, 40, (300, 2))) for _ in "abc"]
    operands = [operand.astype(np.int16) for operand in operands]
    operands[1][:4] = 0
    operands[0][:2] = 0
    for shift in (0, 1, 3, 15, 16, 31):
        shaped = [operand.reshape(-1) if operation.real else operand for operand in operands]
        found = golden.apply_integers(operation, *shaped[: operation.operands], shift=shift).reshape(300, -1).tolist()
        numbers = zip(*(operand.tolist() for operand in operands), strict=True)
        assert found == [_integer(operation, a, b, c, shift) for a, b, c in numbers]


def test_quotients_of_zero_and_by_zero_in_int16() -> None:
    def quotients(operation: Op, a: Sequence[object], b: Sequence[object]) -> list[object]:
        return golden.apply_integers(operation, np.array(a, np.int16), np.array(b, np.int16), shift=8).tolist()

    assert quotients(Op.REAL_DIV, [5, -5, 0, -1, 1], [0, 0, 0, 2, 512]) == [32767, -32768, 0, -128, 0]
    assert quotients(Op.DIV, [[3, -4], [0, 0], [0, 2]], [[0, 0], [0, 0], [0, -1]]) == [[0, 0], [0, 0], [-512, 0]]


def test_operands_must_fit() -> None:
    ones = np.ones(4, np.complex64)
    with pytest.raises(ValueError, match="b has dtype complex128; expected complex64"):
        golden.apply(Op.ADD, ones, ones.astype(np.complex128))
    with pytest.raises(ValueError, match=r"b has shape \(3,\), which does not fit \(4,\) of a"):
        golden.apply(Op.ADD, ones, ones[:3])
    with pytest.raises(ValueError, match="MULTIPLY_ADD needs the operand c"):
        golden.apply(Op.MULTIPLY_ADD, ones, ones)


def test_lanes_must_fit_the_ports() -> None:
    with pytest.raises(ParameterError, match=r"ZIPConfig.lanes = 4 is not possible with memory_ports = 1; allowed: 1, 2"):
        ZIPConfig(lanes=4)
    with pytest.raises(ParameterError, match=r"lanes = 1 is not possible with memory_ports = 2; allowed: 2, 4"):
        ZIPConfig(lanes=1, memory_ports=2)


def _fields(**values: int) -> dict[str, int]:
    default = {"opcode": int(Op.SUB), "length": 3, "a_address": 0, "b_address": 32, "out_address": 64}
    return COMMAND.decode(COMMAND.encode(default | values))


def test_a_command_on_memory() -> None:
    a, b = (_complexes(np.random.default_rng(seed), 3, 1) for seed in (8, 9))
    memory = bytearray(b"\xa5" * 112)
    memory[0:24], memory[32:56] = a.tobytes(), b.tobytes()
    before = bytes(memory)
    assert golden.execute(_fields(), memory, ZIPConfig()) == Error.NONE
    assert memory[64:88] == (a - b).tobytes()
    assert (memory[:64], memory[88:]) == (before[:64], before[88:])


def test_second_operands_on_memory() -> None:
    a = _complexes(np.random.default_rng(8), 3, 1)
    memory = bytearray(112)
    memory[0:24] = a.tobytes()
    memory[32:48] = np.array([2, 5], np.complex64).tobytes()
    assert golden.execute(_fields(b_length=2), memory, ZIPConfig()) == Error.NONE
    assert memory[64:88] == (a - np.array([2, 5, 2], np.complex64)).tobytes()
    constant = int.from_bytes(np.complex64(3j).tobytes(), "little")
    assert golden.execute(_fields(b_constant=1, constant=constant), memory, ZIPConfig()) == Error.NONE
    assert memory[64:88] == (a - np.complex64(3j)).tobytes()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"opcode": 14}, Error.BAD_OPCODE),
        ({"opcode": 255, "length": 0, "a_address": 1}, Error.BAD_OPCODE),
        ({"length": 0}, Error.BAD_LENGTH),
        ({"length": 1 << 29, "out_address": 8}, Error.BAD_LENGTH),
        ({"b_length": 4, "a_address": 8}, Error.BAD_LENGTH),
        ({"b_length": 1025, "length": 2000}, Error.BAD_LENGTH),
        ({"a_address": 8}, Error.MISALIGNED),
        ({"b_address": 33}, Error.MISALIGNED),
        ({"out_address": 79}, Error.MISALIGNED),
        ({"opcode": int(Op.MULTIPLY_ADD), "c_address": 1}, Error.MISALIGNED),
        ({"opcode": int(Op.REAL_MUL), "b_length": 3}, Error.BAD_PARAMETER),
    ],
)
def test_refused_commands_change_nothing(values: dict[str, int], error: Error) -> None:
    memory = bytearray(range(112))
    assert golden.execute(_fields(**values), memory, ZIPConfig()) == error
    assert memory == bytearray(range(112))
    assert command_cycles(_fields(**values), ZIPConfig()) == 6


def test_a_command_outside_the_memory() -> None:
    with pytest.raises(IndexError, match="24 bytes from out_address 0x60 leave a memory of 112 bytes"):
        golden.execute(_fields(out_address=0x60), bytearray(112), ZIPConfig())
