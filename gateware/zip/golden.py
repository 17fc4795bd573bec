"""What the ZIP accelerator computes, bit for bit, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.arith.golden import Complexes
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES
from cosoc.gateware.zip.config import ELEMENT_BYTES, MAX_LENGTH, ZIPConfig, ZIPOperation


def apply(operation: ZIPOperation, a: Complexes, b: Complexes) -> Complexes:
    """`a op b` for each element of two complex64 arrays of the same shape.

    Raises:
        ValueError: another dtype, or unequal shapes.
    """
    for name, operand in (("a", a), ("b", b)):
        if operand.dtype != np.complex64:
            raise ValueError(f"{name} has dtype {operand.dtype}; expected complex64")
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b has shape {b.shape}; expected equal shapes")
    match operation:
        case ZIPOperation.ADD:
            return arith.to_complex(arith.add(a.real, b.real), arith.add(a.imag, b.imag))
        case ZIPOperation.SUB:
            return arith.to_complex(arith.subtract(a.real, b.real), arith.subtract(a.imag, b.imag))
        case ZIPOperation.MUL:
            return arith.complex_multiply(a, b)
        case ZIPOperation.CONJUGATE_MUL:
            return arith.complex_multiply(a, b, conjugate=True)
        case ZIPOperation.DIV:
            return _divide(a, b)


def _divide(a: Complexes, b: Complexes) -> Complexes:
    norm = arith.add(arith.multiply(b.real, b.real), arith.multiply(b.imag, b.imag))
    factor = arith.reciprocal(norm)
    product = arith.complex_multiply(a, b, conjugate=True)
    return arith.to_complex(arith.multiply(product.real, factor), arith.multiply(product.imag, factor))


def check(fields: Mapping[str, int], config: ZIPConfig) -> Error:
    """The error with which the accelerator refuses a command; the lowest code if there are several."""
    if fields["opcode"] not in list(ZIPOperation):
        return Error.BAD_OPCODE
    if not 1 <= fields["length"] <= MAX_LENGTH:
        return Error.BAD_LENGTH
    if any(fields[name] % BEAT_BYTES for name in ("a_address", "b_address", "out_address")):
        return Error.MISALIGNED
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
    length, size = fields["length"], fields["length"] * ELEMENT_BYTES
    for name in ("a_address", "b_address", "out_address"):
        if fields[name] + size > len(memory):
            raise IndexError(f"{size} bytes from {name} {fields[name]:#x} leave a memory of {len(memory)} bytes")
    a, b = (np.frombuffer(memory, "<c8", length, fields[name]) for name in ("a_address", "b_address"))
    result = apply(ZIPOperation(fields["opcode"]), a, b)
    memory[fields["out_address"] : fields["out_address"] + size] = result.astype("<c8", copy=False).tobytes()
    return Error.NONE
