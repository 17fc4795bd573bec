"""Every operation of zip in RTL, on the functional model and on a CPU: the bits of the golden model, and how long it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.support.node import Array, run_node
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import ZIPOperation
from tests.gateware.arith.patterns import random_pairs

REAL = {item.name.lower().removeprefix("real_"): item for item in ZIPOperation if item.real}
COMPLEX = [operation for operation in ZIPOperation if not operation.real]

SHAPES = ((1,), (3, 5), (7, 64))
"""Those of `a`; `b` has it too, or its last axis, or one element."""

ERROR = 0.02
"""Of the modelled cycles of a command."""


def _numbers(shape: tuple[int, ...], seed: int, dtype: type) -> Array:
    """A quarter of any bits, the others of ordinary size."""
    count = int(np.prod(shape)) * (2 if dtype is np.complex64 else 1)
    rng = np.random.default_rng(seed)
    plain = rng.standard_normal(count).astype(np.float32)
    with np.errstate(invalid="ignore"):
        return np.where(rng.random(count) < 0.25, random_pairs(count, seed)[1].view(np.float32), plain).view(dtype).reshape(shape)


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(np.uint32)


def _check(build: Path, operation: ZIPOperation, attributes: dict[str, Any], inputs: list[Array], operands: list[Array]) -> None:
    with np.errstate(invalid="ignore"):
        expected = golden.apply(operation, *operands)
    for device, mode in (("cpu", "cpu"), ("zip", "functional"), ("zip", "rtl")):
        named = dict(zip("abc", inputs, strict=False))
        _, result = run_node(build, "zip", attributes, named, np.empty_like(expected), device=device, mode=mode)
        assert np.array_equal(_bits(result), _bits(expected)), (operation.name, mode)


@pytest.mark.parametrize("operation", COMPLEX)
def test_complex(build: Path, operation: ZIPOperation) -> None:
    for shape in SHAPES:
        inputs = [_numbers(shape, seed, np.complex64) for seed in range(operation.operands)]
        _check(build, operation, {"operation": operation.name.lower()}, inputs, inputs)


@pytest.mark.parametrize("name", REAL)
def test_real(build: Path, name: str) -> None:
    for shape in SHAPES:
        inputs = [_numbers(shape, seed, np.float32) for seed in range(REAL[name].operands)]
        _check(build, REAL[name], {"operation": name}, inputs, inputs)


@pytest.mark.parametrize("shape", [(1,), (5,), (64,)])
def test_a_short_second_operand(build: Path, shape: tuple[int, ...]) -> None:
    a, b, c = (
        _numbers(each, seed, np.complex64) for seed, each in enumerate([(6, 5) if shape == (5,) else (6, 64), shape, (6, 64)])
    )
    _check(build, ZIPOperation.DIV, {"operation": "div"}, [a, b], [a, b])
    if shape != (5,):
        _check(build, ZIPOperation.MULTIPLY_ADD, {"operation": "multiply_add"}, [a, b, c], [a, b, c])


def test_a_constant(build: Path) -> None:
    a, real = _numbers((3, 7), 5, np.complex64), _numbers((3, 7), 6, np.float32)
    factor = np.array([1.5 - 0.25j], np.complex64)
    _check(build, ZIPOperation.MUL, {"operation": "scale", "factor": [1.5, -0.25]}, [a], [a, factor])
    _check(build, ZIPOperation.REAL_MUL, {"operation": "scale", "factor": [1.5, 0.0]}, [real], [real, factor.real])


def test_what_the_buffer_cannot_hold_runs_on_a_cpu_only(build: Path) -> None:
    a, b = _numbers((4, 3), 1, np.float32), _numbers((3,), 2, np.float32)
    with pytest.raises(Exception, match=r"one element, or of 8..8192 bytes in steps of 8, not of 12"):
        run_node(build, "zip", {"operation": "add"}, {"a": a, "b": b}, np.empty_like(a), device="zip", mode="functional")


@pytest.mark.parametrize(
    ("operation", "count", "second"),
    [
        ("add", 4096, 4096),
        ("add", 16384, 16384),
        ("div", 4096, 4096),
        ("multiply_add", 4096, 4096),
        ("magnitude", 4096, 0),
        ("magnitude_squared", 4096, 0),
        ("scale", 4096, 0),
        ("mul", 4096, 64),
    ],
)
def test_modelled_cycles(build: Path, operation: str, count: int, second: int) -> None:
    """Of one command alone: with operands as long as the first, without a second, and with one that repeats."""
    a = np.ones((count // 64, 64), np.complex64)
    b = np.ones((second // 64, 64) if second > 64 else second, np.complex64)
    inputs = {"a": a, **({"b": b} if second else {}), **({"c": a} if operation == "multiply_add" else {})}
    attributes = {"operation": operation, **({"factor": [2.0, 1.0]} if operation == "scale" else {})}
    output = np.empty(a.shape, np.float32 if operation.startswith("magnitude") else np.complex64)
    modelled, measured = (
        run_node(build, "zip", attributes, inputs, output, device="zip", mode=mode)[0]["cycles"] for mode in ("functional", "rtl")
    )
    assert abs(modelled / measured - 1) <= ERROR, (modelled, measured)
