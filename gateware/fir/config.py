"""Parameters and command of the FIR accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, parameter

SAMPLE_BYTES = 8
"""A complex64 number: the real part in the lower four bytes, the imaginary part above."""

MAX_SAMPLES = (1 << 29) - 1
"""Samples of the longest command: its bytes are counted in 32 bits."""


@dataclass(frozen=True, kw_only=True)
class FIRConfig(Config):
    """Parameters of the FIR accelerator.

    Attributes:
        multipliers: complex multipliers; a command applies that many taps at one sample per cycle.
        max_taps: taps of the longest filter; one with more taps than multipliers takes several commands.
    """

    multipliers: int = parameter(4, allowed=[2, 4, 8, 16, 32], help="complex multipliers: taps at one sample per cycle")
    max_taps: int = parameter(256, allowed=[64, 128, 256, 512, 1024, 2048, 4096], help="taps of the longest filter")


class FIROperation(IntEnum):
    """Opcodes: `y[n]` is the sum of `h[k] x[n - delay - k]` in the order of `k`, without samples before the frame."""

    FILTER = 0
    ACCUMULATE = 1  # the sum begins with what the output holds


COMMAND = CommandLayout(
    (
        CommandField("taps", 1, 0, 16, "taps of this command, 1..multipliers"),
        CommandField("delay", 1, 16, 16, "samples that the input is behind, below max_taps"),
        CommandField("length", 2, 0, 32, "samples of a frame, at least 1; the last one may be shorter"),
        CommandField("samples", 3, 0, 32, "samples of all frames, one frame after the other in memory, 1..2^29 - 1"),
        CommandField("outputs", 4, 0, 32, "results of all frames, one frame after the other, 1..samples"),
        CommandField("decimation", 5, 0, 16, "of each frame the results 0, decimation, 2 * decimation .. are kept; at least 1"),
        CommandField("in_address", 6, 0, 64, "complex float32 samples, a multiple of 16"),
        CommandField("out_address", 8, 0, 64, "complex float32 results, a multiple of 16; not inside the input"),
        CommandField("taps_address", 10, 0, 64, "complex float32 taps, a multiple of 16"),
    )
)
