"""What the units of the Conv2D core are told of a command, after it was checked.

Every derived size fits `SIZE` bits because larger ones were refused. Sizes count words of 16 channels unless they say otherwise.
"""

from __future__ import annotations

from amaranth import signed
from amaranth.lib import data

from cosoc.gateware.peripheral.core import SEQUENCE_BITS

SIZE = 16
"""Bits of a size, a count or an address in a buffer."""

TileJob = data.StructLayout(
    {
        "address": 64,
        "row_pitch": 32,
        "pixel_pitch": 32,
        "rows": SIZE,
        "columns": SIZE,
        "words": SIZE,
        "sequence": SEQUENCE_BITS,
    }
)
"""Transfers of a tile: `rows` times `columns` of `words` words each. A dense row is one column, a dense tile one row."""

LoadJob = data.StructLayout({"tile": TileJob, "total_words": SIZE})
"""Fill one bank of the activation buffer."""

WeightJob = data.StructLayout(
    {
        "weight_address": 64,
        "channel_address": 64,
        "blocks": SIZE,
        "steps": SIZE,
        "partial": 1,
        "sequence": SEQUENCE_BITS,
    }
)
"""Load weights, and unless `partial` the channel parameters, of one block after the other."""

OutputRule = data.StructLayout({"zero_point": signed(8), "clamp_min": signed(8), "clamp_max": signed(8)})
"""What requantization needs besides the parameters of each channel."""

ComputeJob = data.StructLayout(
    {
        "kernel_height": 4,
        "kernel_width": 4,
        "stride_height": 3,
        "stride_width": 3,
        "pad_top": 4,
        "pad_left": 4,
        "in_rows": SIZE,
        "in_columns": SIZE,
        "in_words": SIZE,
        "out_blocks": SIZE,
        "out_rows": SIZE,
        "out_columns": SIZE,
        "out_words": SIZE,
        "accumulate": 1,
        "partial": 1,
        "in_zero_point": signed(8),
        "rule": OutputRule,
        "row_words": SIZE,  # in_columns * in_words
        "row_stride_words": SIZE,  # stride_height * row_words
        "pixel_stride_words": SIZE,  # stride_width * in_words
        "origin": SIZE,  # address of the first kernel position modulo 2^SIZE: -(pad_top * row_words + pad_left * in_words)
    }
)
"""All sums of a command."""

StoreJob = data.StructLayout({"tile": TileJob, "total_words": SIZE, "pixel_words": SIZE, "half_word": 1, "partial": 1})
"""Store one bank of the output buffer; with `half_word` the upper 8 channels of each pixel's last word are zero."""

RetireJob = data.StructLayout({"error": 8, "transfers": SIZE})
"""Complete the command after this many writes; with an error at once."""

Result = data.StructLayout(
    {
        "accumulate": 1,  # start from the partial sum
        "partial": 1,  # leave the sum as a partial sum
        "partial_address": SIZE,
        "output_bank": 1,
        "output_word": SIZE,
        "upper_half": 1,  # with 8 output lanes: the block is the upper half of its word
        "keep": 2,  # which words of the block are stored
        "weight_bank": 1,
        "rule": OutputRule,
        "block_end": 1,  # the last of its block
        "command_end": 1,  # the last of its command
    }
)
"""Where the sums of one pixel and block go; it travels beside them."""

Step = data.StructLayout(
    {
        "valid": 1,
        "inside": 1,  # the position lies on the loaded tile
        "zero_point": signed(8),  # stands in for the activations outside
        "first": 1,  # of its pixel
        "last": 1,
        "result": Result,
    }
)
"""One step of the array: 16 input channels of one kernel position; it travels through the array's stages."""
