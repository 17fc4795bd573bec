"""Bit-exact model of the FFT accelerator in NumPy.

Every operation is one IEEE float32 operation rounded to nearest even, in the order that the hardware has; the only freedom of
IEEE 754, the bits of a NaN, is settled at the end: a NaN stays a NaN through every later operation, so making the results
canonical once equals doing so after each operation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.arith.golden import Complexes, Floats, canonical, to_complex
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig, FFTOperation
from cosoc.gateware.fft.twiddles import twiddles
from cosoc.gateware.layout.page import Error

SAMPLE_BYTES = 8


def transform(x: Complexes, inverse: bool) -> Complexes:
    """Discrete Fourier transform of every row.

    Args:
        x: complex64 of shape (frames, N), N a power of two, at least 2.
        inverse: the sign of the exponent is positive, and the result is multiplied by 1/N.

    Returns:
        complex64 of shape (frames, N), in natural order.

    Raises:
        ValueError: `x` is not two-dimensional complex64, or N is not a power of two.
    """
    if x.ndim != 2 or x.dtype != np.complex64:
        raise ValueError(f"expected complex64 of shape (frames, N), found {x.dtype} of shape {x.shape}")
    frames, length = x.shape
    if length < 2 or length & (length - 1):
        raise ValueError(f"expected a power of two, at least 2, as length of a transform, found {length}")
    re, im = (x.imag, x.real) if inverse else (x.real, x.imag)
    with np.errstate(all="ignore"):
        half = length // 2
        while half:
            re, im = _stage(re.reshape(-1, 2, half), im.reshape(-1, 2, half), half)
            half //= 2
        if inverse:
            scale = np.float32(1 / length)
            re, im = im * scale, re * scale
    result = to_complex(canonical(re), canonical(im)).reshape(frames, length)
    return np.take(result, bit_reversal(length), axis=1)


def _stage(re: Floats, im: Floats, half: int) -> tuple[Floats, Floats]:
    """One stage on real and imaginary parts of shape (groups, 2, half): `(u, v) -> (u + v, (u - v) * w)`."""
    w = twiddles(half)
    difference_re, difference_im = re[:, 0] - re[:, 1], im[:, 0] - im[:, 1]
    out_re, out_im = np.empty_like(re), np.empty_like(im)
    out_re[:, 0], out_im[:, 0] = re[:, 0] + re[:, 1], im[:, 0] + im[:, 1]
    out_re[:, 1] = difference_re * w.real - difference_im * w.imag
    out_im[:, 1] = difference_re * w.imag + difference_im * w.real
    return out_re, out_im


def bit_reversal(length: int) -> NDArray[np.intp]:
    """Where the last stage leaves the result k: its index with the bits in reverse order."""
    order = np.zeros(1, np.intp)
    while order.size < length:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def check(fields: Mapping[str, int], config: FFTConfig) -> Error:
    """Why the hardware refuses a command, or `Error.NONE`; of several reasons the one with the lowest code."""
    if fields["opcode"] not in list(FFTOperation):
        return Error.BAD_OPCODE
    log2_length, frames = fields["log2_length"], fields["frames"]
    if not MIN_LOG2 <= log2_length <= config.max_log2 or not 0 < frames < max_frames(log2_length):
        return Error.BAD_LENGTH
    if fields["in_address"] % 16 or fields["out_address"] % 16:
        return Error.MISALIGNED
    return Error.NONE


def max_frames(log2_length: int) -> int:
    """A command has fewer transforms than this: the bytes of a transfer are counted in 32 bits."""
    return 1 << 29 - log2_length


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
    shape = fields["frames"], 1 << fields["log2_length"]
    size = shape[0] * shape[1] * SAMPLE_BYTES
    for name in ("in_address", "out_address"):
        if fields[name] + size > len(memory):
            raise IndexError(f"{size} bytes from {name} {fields[name]:#x} leave a memory of {len(memory)} bytes")
    x = np.frombuffer(memory, "<c8", shape[0] * shape[1], fields["in_address"]).reshape(shape)
    result = transform(x, fields["opcode"] == FFTOperation.INVERSE)
    memory[fields["out_address"] : fields["out_address"] + size] = result.astype("<c8", copy=False).tobytes()
    return Error.NONE
