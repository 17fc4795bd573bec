"""What the ZIP accelerator computes, bit for bit, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES
from cosoc.gateware.zip.config import MAX_LENGTH, MAX_REPEATED_BYTES, SLOT_BYTES, NumberFormat, ZIPConfig, ZIPOperation

Array = NDArray[Any]
Integers = NDArray[np.int16]
"""int16; complex numbers have a last axis of two, (re, im)."""

Op = ZIPOperation


def apply(operation: ZIPOperation, a: Array, b: Array | None = None, c: Array | None = None) -> Array:
    """The result for each element of float32 operands.

    Args:
        a, b, c: complex64, for real operations float32; as many as `operation.operands`. `b` broadcasts as in NumPy.

    Raises:
        ValueError: another dtype, or a shape that does not fit that of `a`.
    """
    b, c = _checked(operation, a, b, c, np.dtype(np.float32 if operation.real else np.complex64))
    match operation:
        case Op.ADD:
            return arith.to_complex(arith.add(a.real, b.real), arith.add(a.imag, b.imag))
        case Op.SUB:
            return arith.to_complex(arith.subtract(a.real, b.real), arith.subtract(a.imag, b.imag))
        case Op.MUL:
            return arith.complex_multiply(a, b)
        case Op.CONJUGATE_MUL:
            return arith.complex_multiply(a, b, conjugate=True)
        case Op.DIV:
            product, norm = arith.complex_multiply(a, b, conjugate=True), arith.wide_norm(b)
            return arith.to_complex(arith.divide(product.real, norm), arith.divide(product.imag, norm))
        case Op.MULTIPLY_ADD | Op.CONJUGATE_MULTIPLY_ADD:
            product = arith.complex_multiply(a, b, conjugate=operation is Op.CONJUGATE_MULTIPLY_ADD)
            return arith.to_complex(arith.add(c.real, product.real), arith.add(c.imag, product.imag))
        case Op.MAGNITUDE_SQUARED:
            return arith.add(arith.multiply(a.real, a.real), arith.multiply(a.imag, a.imag))
        case Op.MAGNITUDE:
            return arith.square_root(arith.wide_norm(a))
        case Op.REAL_ADD:
            return arith.add(a, b)
        case Op.REAL_SUB:
            return arith.subtract(a, b)
        case Op.REAL_MUL:
            return arith.multiply(a, b)
        case Op.REAL_DIV:
            return arith.divide(a, b)
        case Op.REAL_MULTIPLY_ADD:
            return arith.add(c, arith.multiply(a, b))


def apply_integers(
    operation: ZIPOperation, a: Integers, b: Integers | None = None, c: Integers | None = None, *, shift: int
) -> Integers:
    """The result for each element of int16 operands, `shift` bits to the right, of quotients to the left, rounded to nearest even,
    saturated.

    Args:
        a, b, c: int16, with a last axis (re, im) unless the operation is real; as many as `operation.operands`.

    Raises:
        ValueError: another dtype, or a shape that does not fit that of `a`.
    """
    b, c = _checked(operation, a, b, c, np.dtype(np.int16))
    x, y = a.astype(np.int64), b.astype(np.int64)
    if operation in (Op.ADD, Op.REAL_ADD):
        exact = x + y
    elif operation in (Op.SUB, Op.REAL_SUB):
        exact = x - y
    elif operation is Op.REAL_DIV:
        exact = x
    elif operation in (Op.REAL_MUL, Op.REAL_MULTIPLY_ADD):
        exact = x * y
    elif operation.narrow:
        exact = (x * x).sum(axis=-1)
    else:
        sign = -1 if operation in (Op.CONJUGATE_MUL, Op.CONJUGATE_MULTIPLY_ADD, Op.DIV) else 1
        re = x[..., 0] * y[..., 0] - sign * x[..., 1] * y[..., 1]
        exact = np.stack([re, x[..., 1] * y[..., 0] + sign * x[..., 0] * y[..., 1]], axis=-1)
    if operation is Op.DIV:
        rounded = _quotient(exact << shift, (y * y).sum(axis=-1, keepdims=True))
    elif operation is Op.REAL_DIV:
        rounded = _quotient(exact << shift, y)
    elif operation is Op.MAGNITUDE:
        rounded = _root(exact, shift)
    else:
        rounded = _shift_rounded(exact, shift)
    if operation.operands == 3:
        rounded = rounded + c
    return np.clip(rounded, -(1 << 15), (1 << 15) - 1).astype(np.int16)


def _quotient(values: Array, by: Array) -> Array:
    """Rounded to nearest even; by zero it is beyond int16, of zero it is zero."""
    sign, values, by = np.sign(values) * np.where(by < 0, -1, 1), np.abs(values), np.abs(by)
    whole, rest = np.divmod(values, np.maximum(by, 1))
    whole += (2 * rest > by) | ((2 * rest == by) & (whole & 1 == 1))
    return sign * np.where(by == 0, 1 << 16, whole)


def _root(values: Array, shift: int) -> Array:
    """The root of integers up to 2^31, by 2^shift, rounded to nearest even."""
    whole: Array = np.sqrt(values.astype(np.float64)).astype(np.int64) >> shift
    middle = ((2 * whole + 1) << shift) ** 2
    whole += (4 * values > middle) | ((4 * values == middle) & (whole & 1 == 1))
    return whole


def _shift_rounded(values: Array, shift: int) -> Array:
    if shift == 0:
        return values
    whole, rest = values >> shift, values & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    whole += (rest > half) | ((rest == half) & (whole & 1 == 1))
    return whole


def _checked(operation: ZIPOperation, a: Array, b: Array | None, c: Array | None, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """`b` and `c` in the shape of `a`; `a` for what the operation does not have."""
    needed = [("a", a), ("b", b), ("c", c)][: operation.operands]
    shaped = []
    for name, operand in needed:
        if operand is None:
            raise ValueError(f"{operation.name} needs the operand {name}")
        if operand.dtype != dtype:
            raise ValueError(f"{name} has dtype {operand.dtype}; expected {dtype}")
        try:
            shaped.append(np.broadcast_to(operand, a.shape))
        except ValueError:
            raise ValueError(f"{name} has shape {operand.shape}, which does not fit {a.shape} of a") from None
    shaped += [a] * (3 - len(shaped))
    return shaped[1], shaped[2]


def check(fields: Mapping[str, int], config: ZIPConfig) -> Error:
    """The error with which the accelerator refuses a command; the lowest code if there are several."""
    if fields["opcode"] not in list(Op):
        return Error.BAD_OPCODE
    operation = Op(fields["opcode"])
    from_memory = operation.operands > 1 and not fields["b_constant"]
    repeats = fields["b_length"] if from_memory else 0
    repeated = repeats * operation.element_bytes(config.format)
    if not 1 <= fields["length"] <= MAX_LENGTH or repeats > fields["length"] or repeated > MAX_REPEATED_BYTES:
        return Error.BAD_LENGTH
    used = ["a_address", "out_address"] + ["b_address"] * from_memory + ["c_address"] * (operation.operands > 2)
    if any(fields[name] % BEAT_BYTES for name in used):
        return Error.MISALIGNED
    if repeats > 1 and repeated % SLOT_BYTES:
        return Error.BAD_PARAMETER
    return Error.NONE


def execute(fields: Mapping[str, int], memory: bytearray, config: ZIPConfig) -> Error:
    """Executes one command on `memory`, whose first byte has address 0; a refused command changes nothing.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.

    Raises:
        IndexError: the command leaves `memory`.
    """
    error = check(fields, config)
    if error != Error.NONE:
        return error
    operation = Op(fields["opcode"])
    length = fields["length"]
    a = _load(memory, fields, "a_address", length, operation, config)
    b = c = None
    if operation.operands > 1:
        b = _second(memory, fields, operation, config)
    if operation.operands > 2:
        c = _load(memory, fields, "c_address", length, operation, config)
    if config.format is NumberFormat.INT16:
        result = apply_integers(operation, a, b, c, shift=fields["shift"])
    else:
        result = apply(operation, a, b, c)
    data = result.tobytes()
    address = fields["out_address"]
    _inside(memory, "out_address", address, len(data))
    memory[address : address + len(data)] = data
    return Error.NONE


def _second(memory: bytearray, fields: Mapping[str, int], operation: ZIPOperation, config: ZIPConfig) -> Array:
    """Operand b as long as a."""
    length = fields["length"]
    if fields["b_constant"]:
        size = operation.element_bytes(config.format)
        constant = fields["constant"].to_bytes(SLOT_BYTES, "little") * -(-length * size // SLOT_BYTES)
        return _numbers(constant[: length * size], operation, config)
    count = fields["b_length"] or length
    b = _load(memory, fields, "b_address", count, operation, config)
    return np.concatenate([b] * -(-length // count))[:length]


def _load(
    memory: bytearray, fields: Mapping[str, int], name: str, length: int, operation: ZIPOperation, config: ZIPConfig
) -> Array:
    size = length * operation.element_bytes(config.format)
    _inside(memory, name, fields[name], size)
    return _numbers(bytes(memory[fields[name] : fields[name] + size]), operation, config)


def _numbers(raw: bytes, operation: ZIPOperation, config: ZIPConfig) -> Array:
    if config.format is NumberFormat.INT16:
        numbers = np.frombuffer(raw, "<i2")
        return numbers if operation.real else numbers.reshape(-1, 2)
    return np.frombuffer(raw, "<f4" if operation.real else "<c8")


def _inside(memory: bytearray, name: str, address: int, size: int) -> None:
    if address + size > len(memory):
        raise IndexError(f"{size} bytes from {name} {address:#x} leave a memory of {len(memory)} bytes")
