"""Parameters and command of the FFT accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, parameter

MIN_LOG2 = 3
"""log2 of the shortest transform."""


class NumberFormat(IntEnum):
    """What the pipeline computes with; memory holds complex float32 in both cases."""

    FLOAT32 = 0
    BLOCK_FLOATING_POINT = 1


@dataclass(frozen=True, kw_only=True)
class FFTConfig(Config):
    """Parameters of the FFT accelerator.

    Attributes:
        max_log2: log2 of the longest transform; shorter ones, down to 8 points, are chosen by each command.
        samples: complex samples per cycle.
        number_format: a `NumberFormat`.
        mantissa_bits: of block floating point; float32 ignores it.
        real_input: 1 when real signals are transformed, at twice the longest length.
        multiply: 1 when the result can be multiplied by a second operand.
        memory_ports: AXI4 managers. One carries two samples per cycle in each direction; the second one carries half of the
            samples if there are four per cycle, and the second operand otherwise.
    """

    max_log2: int = parameter(11, allowed=range(3, 17), help="log2 of the longest transform")
    samples: int = parameter(1, allowed=[1, 2, 4], help="complex samples per cycle")
    number_format: int = parameter(
        int(NumberFormat.FLOAT32), allowed=[int(item) for item in NumberFormat], help="0: float32, 1: block floating point"
    )
    mantissa_bits: int = parameter(16, allowed=range(16, 25), help="bits of a mantissa in block floating point")
    real_input: int = parameter(0, allowed=[0, 1], help="1: also transforms of real signals")
    multiply: int = parameter(0, allowed=[0, 1], help="1: also multiplies the result by a second operand")
    memory_ports: int = parameter(1, allowed=[1, 2], help="AXI4 managers, each of which needs a memory port")


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
"""The FFT core: commands and samples as streams, no bus."""
