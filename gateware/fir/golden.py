"""What the FIR accelerator computes, bit for bit, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.arith.golden import Complexes
from cosoc.gateware.fir.config import MAX_SAMPLES, SAMPLE_BYTES, FIRConfig, FIROperation
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES


def apply(samples: Complexes, taps: Complexes, *, delay: int = 0, partial: Complexes | None = None) -> Complexes:
    """Filters one frame: `y[n] = partial[n] + h[0] x[n - delay] + h[1] x[n - delay - 1] + ...`, every operation rounded.

    Terms before the frame are left out, and so is `partial` when it is None; a result without any term is -0.

    Raises:
        ValueError: another dtype than complex64.
    """
    for name, operand in (("samples", samples), ("taps", taps)):
        if operand.dtype != np.complex64:
            raise ValueError(f"{name} have dtype {operand.dtype}; expected complex64")
    if partial is None:
        partial = np.full(len(samples), complex(-0.0, -0.0), np.complex64)
    result = arith.to_complex(arith.canonical(partial.real), arith.canonical(partial.imag))
    for shift, tap in enumerate(taps, delay):
        if shift >= len(samples):
            break
        shifted = samples[: len(samples) - shift]
        product = arith.complex_multiply(shifted, np.full(len(shifted), tap))
        total = arith.to_complex(arith.add(result[shift:].real, product.real), arith.add(result[shift:].imag, product.imag))
        result = np.concatenate([result[:shift], total])
    return result


def check(fields: Mapping[str, int], config: FIRConfig) -> Error:
    """The error with which the accelerator refuses a command; the lowest code if there are several."""
    if fields["opcode"] not in list(FIROperation):
        return Error.BAD_OPCODE
    if not 1 <= fields["outputs"] <= fields["samples"] <= MAX_SAMPLES or fields["length"] == 0:
        return Error.BAD_LENGTH
    if not 1 <= fields["taps"] <= config.multipliers:
        return Error.BAD_LENGTH
    if any(fields[name] % BEAT_BYTES for name in ("in_address", "out_address", "taps_address")):
        return Error.MISALIGNED
    if fields["decimation"] == 0 or fields["delay"] >= config.max_taps:
        return Error.BAD_PARAMETER
    return Error.NONE


def count_outputs(*, samples: int, length: int, decimation: int) -> int:
    """Results that a command has: those kept of every frame."""
    frames, rest = divmod(samples, length)
    return frames * -(-length // decimation) + -(-rest // decimation)


def execute(fields: Mapping[str, int], memory: bytearray, config: FIRConfig) -> Error:
    """Executes one command on `memory`, whose first byte has address 0; a refused command changes nothing.

    A command whose `outputs` are not those of its frames ends with BAD_LENGTH after all transfers: results above the number are
    dropped, missing ones are +0.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.

    Raises:
        IndexError: the command leaves `memory`.
    """
    error = check(fields, config)
    if error != Error.NONE:
        return error
    for name, count in (("in_address", "samples"), ("out_address", "outputs"), ("taps_address", "taps")):
        size = fields[count] * SAMPLE_BYTES
        if fields[name] + size > len(memory):
            raise IndexError(f"{size} bytes from {name} {fields[name]:#x} leave a memory of {len(memory)} bytes")
    samples = np.frombuffer(memory, "<c8", fields["samples"], fields["in_address"])
    taps = np.frombuffer(memory, "<c8", fields["taps"], fields["taps_address"])
    outputs, length, decimation = fields["outputs"], fields["length"], fields["decimation"]
    partials = np.frombuffer(memory, "<c8", outputs, fields["out_address"])
    kept: list[Complexes] = []
    for first in range(0, len(samples), length):
        frame = samples[first : first + length]
        partial = None
        if fields["opcode"] == FIROperation.ACCUMULATE:
            done = sum(len(part) for part in kept)
            given = partials[done : done + -(-len(frame) // decimation)]
            partial = np.zeros(len(frame), np.complex64)
            partial[::decimation][: len(given)] = given
        kept.append(apply(frame, taps, delay=fields["delay"], partial=partial)[::decimation])
    results = np.concatenate(kept)
    found = len(results)
    results = np.concatenate([results[:outputs], np.zeros(max(0, outputs - found), np.complex64)])
    target = fields["out_address"]
    memory[target : target + outputs * SAMPLE_BYTES] = results.astype("<c8", copy=False).tobytes()
    return Error.NONE if found == outputs else Error.BAD_LENGTH
