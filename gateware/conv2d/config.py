"""Parameters and command of the Conv2D accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, parameter

WORD_CHANNELS = 16
"""int8 channels of one word of 128 bits: a pixel of a feature map in memory is a whole number of words."""


@dataclass(frozen=True, kw_only=True)
class Conv2DConfig(Config):
    """Parameters of the Conv2D accelerator: `16 * output_lanes` multiplications per cycle.

    Attributes:
        output_lanes: output channels computed at once.
        activation_words: capacity of each of the two banks of the activation buffer, in words of 16 channels.
        weight_steps: capacity of each of the two banks of the weight buffer, in steps; a step is one kernel position of 16 input
            channels, for `output_lanes` output channels.
        output_words: capacity of each of the two banks of the output buffer, in words of 16 channels.
        partial_pixels: capacity of the buffer of partial sums, in pixels of `output_lanes` channels.
    """

    output_lanes: int = parameter(16, allowed=[8, 16, 32], help="output channels computed at once (16 input channels each)")
    activation_words: int = parameter(4096, allowed=[256, 512, 1024, 2048, 4096, 8192], help="words of an activation bank")
    weight_steps: int = parameter(288, allowed=range(64, 1025, 8), help="steps of a weight bank")
    output_words: int = parameter(2048, allowed=[128, 256, 512, 1024, 2048, 4096], help="words of an output bank")
    partial_pixels: int = parameter(512, allowed=[64, 128, 256, 512, 1024], help="pixels of the partial-sum buffer")

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle."""
        return WORD_CHANNELS * self.output_lanes


class Conv2DOperation(IntEnum):
    """Opcodes."""

    CONVOLVE = 0


class Conv2DFlag(IntFlag):
    """Options of a command."""

    ACCUMULATE = 1  # start from the partial sums that the command before left
    PARTIAL = 2  # leave partial sums for the next command; nothing is stored


MAX_KERNEL = 15
MAX_STRIDE = 7

COMMAND = CommandLayout(
    (
        CommandField("flags", 1, 0, 8, "Conv2DFlag"),
        CommandField("kernel_height", 1, 8, 4, f"1..{MAX_KERNEL}"),
        CommandField("kernel_width", 1, 12, 4, f"1..{MAX_KERNEL}"),
        CommandField("stride_height", 1, 16, 3, f"1..{MAX_STRIDE}"),
        CommandField("stride_width", 1, 19, 3, f"1..{MAX_STRIDE}"),
        CommandField("pad_top", 1, 22, 4, "rows of padding above the loaded rows"),
        CommandField("pad_left", 1, 26, 4, "columns of padding left of the loaded columns"),
        CommandField("in_rows", 2, 0, 16, "input rows to load"),
        CommandField("in_columns", 2, 16, 16, "input columns to load"),
        CommandField("in_words", 3, 0, 16, "words of 16 input channels of a pixel to load: all words of its pixel pitch"),
        CommandField("out_blocks", 3, 16, 16, "blocks of `output_lanes` output channels"),
        CommandField("out_rows", 4, 0, 16, "output rows"),
        CommandField("out_columns", 4, 16, 16, "output columns"),
        CommandField("in_zero_point", 5, 0, 8, "value that padding contributes", signed=True),
        CommandField("out_zero_point", 5, 8, 8, "zero point of the output", signed=True),
        CommandField("clamp_min", 5, 16, 8, "lowest output value", signed=True),
        CommandField("clamp_max", 5, 24, 8, "highest output value", signed=True),
        CommandField("in_address", 6, 0, 64, "first loaded pixel, a multiple of 16"),
        CommandField("in_row_pitch", 8, 0, 32, "bytes from one input row to the next, a multiple of 16"),
        CommandField("in_pixel_pitch", 9, 0, 32, "bytes from one input pixel to the next, a multiple of 16"),
        CommandField(
            "weight_address",
            10,
            0,
            64,
            "weights: for each block, each kernel row, column and input word: 16 x output_lanes int8, output lane outermost",
        ),
        CommandField("channel_address", 12, 0, 64, "for each output channel of each block: int32 bias, float32 scale"),
        CommandField("out_address", 14, 0, 64, "first output pixel and channel, a multiple of 16"),
        CommandField("out_row_pitch", 16, 0, 32, "bytes from one output row to the next, a multiple of 16"),
        CommandField("out_pixel_pitch", 17, 0, 32, "bytes from one output pixel to the next, a multiple of 16"),
        CommandField("out_words", 18, 0, 16, "words of 16 output channels to store of each pixel"),
    )
)
