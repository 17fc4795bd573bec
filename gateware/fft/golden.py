"""Bit-exact model of the FFT accelerator in NumPy: commands on a memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.arith.golden import Complexes
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig, FFTOperation
from cosoc.gateware.fft.transform import transform
from cosoc.gateware.fft.twiddles import root
from cosoc.gateware.layout.page import Error

SAMPLE_BYTES = 8

__all__ = ["check", "execute", "split_real", "transform"]


def split_real(z: Complexes) -> Complexes:
    """The bins 0 .. N of 2N real numbers, from the transform of the N complex numbers that they are as they lie in memory.

    With `e = z[k] + conj(z[N - k])` and `d = z[k] - conj(z[N - k])`, bin k is `(e + d * w) / 2`, where `w = -i exp(-pi i k / N)` in
    float32: a complex product, a sum, and an exact division but for subnormal results.

    Args:
        z: complex64 of shape (frames, N).

    Returns:
        complex64 of shape (frames, N + 1).
    """
    length = z.shape[1]
    bins = np.arange(length + 1)
    a, b = z[:, bins % length], z[:, -bins % length]
    e = arith.to_complex(arith.add(a.real, b.real), arith.subtract(a.imag, b.imag))
    d = arith.to_complex(arith.subtract(a.real, b.real), arith.add(a.imag, b.imag))
    product = arith.complex_multiply(d, np.broadcast_to(real_factors(length), d.shape))
    half = np.full(d.shape, 0.5, np.float32)
    parts = (arith.multiply(arith.add(getattr(e, part), getattr(product, part)), half) for part in ("real", "imag"))
    return arith.to_complex(*parts)


def real_factors(length: int) -> Complexes:
    """`-i exp(-pi i k / N)` for k = 0 .. N, in float32."""
    roots = [root(k, 2 * length) for k in range(length + 1)]
    return np.array([complex(w.imag, -w.real) for w in roots]).astype(np.complex64)


def check(fields: Mapping[str, int], config: FFTConfig) -> Error:
    """Why the hardware refuses a command, or `Error.NONE`; of several reasons the one with the lowest code."""
    if fields["opcode"] not in list(FFTOperation):
        return Error.BAD_OPCODE
    log2_length, columns_log2, frames = fields["log2_length"], fields["interleave_log2"], fields["frames"]
    frame_log2 = log2_length + columns_log2
    if log2_length < MIN_LOG2 or frame_log2 > config.max_log2 or not 0 < frames < 1 << 29 - frame_log2 - fields["real"]:
        return Error.BAD_LENGTH
    if any(fields[name] % 16 for name in _aligned(fields)):
        return Error.MISALIGNED
    if columns_log2 == 1 or (fields["real"] and not config.real_input) or (fields["multiply"] and not config.multiply):
        return Error.BAD_PARAMETER
    if fields["real"] and (columns_log2 or fields["scaled"] or fields["multiply"] or fields["opcode"] != FFTOperation.FORWARD):
        return Error.BAD_PARAMETER
    return Error.NONE


def _aligned(fields: Mapping[str, int]) -> list[str]:
    """The fields that must be multiples of 16: those that are used."""
    operands = ["in", "out", "b"] if fields["multiply"] else ["in", "out"]
    names = [f"{operand}_address" for operand in operands]
    if fields["interleave_log2"]:
        names += [f"{operand}_row_stride" for operand in operands]
    if fields["frames"] > 1:
        packed = fields["real"] and fields["out_frame_stride"] == SAMPLE_BYTES * ((1 << fields["log2_length"]) + 1)
        names += [f"{operand}_frame_stride" for operand in operands if not (packed and operand == "out")]
    return names


def execute(fields: Mapping[str, int], memory: bytearray, config: FFTConfig) -> Error:
    """Executes one command on `memory`, whose first byte has address 0; a refused command changes nothing.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.

    Raises:
        IndexError: the command leaves `memory`.
    """
    error = check(fields, config)
    if error:
        return error
    for frame in range(fields["frames"]):
        x = _samples(fields, "in", frame, memory).copy()
        columns = x if fields["interleave_log2"] else x.reshape(-1, 1)
        inverse, scaled = fields["opcode"] == FFTOperation.INVERSE, bool(fields["scaled"])
        result = transform(
            np.ascontiguousarray(columns.T), inverse, scaled=scaled, interleave_log2=fields["interleave_log2"], config=config
        )
        if fields["real"]:
            result = split_real(result)
        rows = result if fields["transpose"] or not fields["interleave_log2"] else result.T
        if fields["multiply"]:
            b = _samples(fields, "b", frame, memory)
            rows = arith.complex_multiply(np.ascontiguousarray(rows), b, conjugate=bool(fields["conjugate"]))
        _samples(fields, "out", frame, memory)[...] = rows
    return Error.NONE


def _samples(fields: Mapping[str, int], operand: str, frame: int, memory: bytearray) -> NDArray[np.complex64]:
    """One frame of an operand in `memory`, by row and place in the row."""
    length, columns = 1 << fields["log2_length"], 1 << fields["interleave_log2"]
    shape = (columns, length) if columns == 1 or (fields["transpose"] and operand != "in") else (length, columns)
    if fields["real"] and operand == "out":
        shape = 1, length + 1
    address = fields[f"{operand}_address"] + frame * fields[f"{operand}_frame_stride"]
    stride = fields[f"{operand}_row_stride"] if columns > 1 else 0
    end = address + (shape[0] - 1) * stride + shape[1] * SAMPLE_BYTES
    if end > len(memory):
        raise IndexError(f"operand {operand} of frame {frame} ends at {end:#x}, beyond a memory of {len(memory)} bytes")
    return np.ndarray(shape, "<c8", memory, address, (stride, SAMPLE_BYTES))
