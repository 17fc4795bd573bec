"""Bit-exact model of the FFT accelerator in NumPy: its commands; what a transform computes, `transform` says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig, FFTOperation
from cosoc.gateware.fft.transform import transform
from cosoc.gateware.layout.page import Error

SAMPLE_BYTES = 8


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
