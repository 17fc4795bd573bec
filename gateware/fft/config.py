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
    INVERSE = 1  # x[n] = sum X[k] exp(+2 pi i n k / N)


COMMAND = CommandLayout(
    (
        CommandField("log2_length", 1, 0, 8, "log2 of N, the points of a transform, 3..max_log2"),
        CommandField("interleave_log2", 1, 8, 8, "log2 of W, the adjacent columns of a frame: 0 or 2..max_log2 - log2_length"),
        CommandField("scaled", 1, 16, 1, "multiplies the result by 1/N"),
        CommandField("transpose", 1, 17, 1, "stores the transforms of a frame one after the other, not interleaved"),
        CommandField("real", 1, 18, 1, "the input of a frame is 2N real samples, its output the bins 0..N; forward, not scaled"),
        CommandField("multiply", 1, 19, 1, "multiplies the output, element by element, by b"),
        CommandField("conjugate", 1, 20, 1, "multiplies by the conjugate of b"),
        CommandField("frames", 2, 0, 32, "frames of N * W samples, at least 1, together below 4 GiB"),
        CommandField("in_address", 4, 0, 64, "complex float32 input, a multiple of 16"),
        CommandField("out_address", 6, 0, 64, "complex float32 output, a multiple of 16; may be in_address"),
        CommandField("b_address", 8, 0, 64, "second operand, laid out as the output, a multiple of 16"),
        CommandField("in_row_stride", 10, 0, 32, "bytes from row to row of a frame's input, a multiple of 16; unused if W = 1"),
        CommandField("in_frame_stride", 11, 0, 32, "bytes from frame to frame, a multiple of 16; unused by a single frame"),
        CommandField("out_row_stride", 12, 0, 32, "likewise of the output; rows are transforms if transposed"),
        CommandField("out_frame_stride", 13, 0, 32, "likewise; of real input also 8 (N + 1)"),
        CommandField("b_row_stride", 14, 0, 32, "likewise of the second operand; 0: one row for all"),
        CommandField("b_frame_stride", 15, 0, 32, "likewise; 0: one frame for all"),
    )
)
"""A row is what lies together in memory: N samples of a transform if W = 1 or transposed, W samples of all columns otherwise."""
