"""Parameters and command of the FFT accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, parameter

MIN_LOG2 = 3
"""log2 of the shortest transform."""


@dataclass(frozen=True, kw_only=True)
class FFTConfig(Config):
    """Parameters of the FFT accelerator.

    Attributes:
        max_log2: log2 of the longest transform; shorter ones, down to 8 points, are chosen by each command.
    """

    max_log2: int = parameter(11, allowed=range(3, 17), help="log2 of the longest transform")


class FFTOperation(IntEnum):
    """Opcodes."""

    FORWARD = 0  # X[k] = sum x[n] exp(-2 pi i n k / N)
    INVERSE = 1  # x[n] = sum X[k] exp(+2 pi i n k / N) / N


COMMAND = CommandLayout(
    (
        CommandField("log2_length", 1, 0, 8, "log2 of the points of a transform, 3..max_log2"),
        CommandField("frames", 2, 0, 32, "transforms, one after the other in memory, at least 1, together below 4 GiB"),
        CommandField("in_address", 4, 0, 64, "complex float32 input in natural order, a multiple of 16"),
        CommandField("out_address", 6, 0, 64, "complex float32 output in natural order, a multiple of 16; may be in_address"),
    )
)
