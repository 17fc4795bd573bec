"""What passes between the units of the Conv2D core."""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import INSTRUCTION_BITS
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES, SEQUENCE_BITS

ADDRESS_BITS = 16
"""Addresses of words of the feature buffer; arithmetic is modulo 2^16, and the buffer ignores the bits above its size."""

UnitInstruction = data.StructLayout({"word": INSTRUCTION_BITS, "memory": 64, "sequence": SEQUENCE_BITS})
"""An instruction whose waits are over: `word` viewed through its layout, `memory` = base + 16 * offset of those that have one."""

FeatureWrite = data.StructLayout({"address": ADDRESS_BITS, "data": BEAT_BITS, "enable": BEAT_BYTES})
"""A write to the feature buffer; `enable` has a bit for each byte."""


class FeatureRead(wiring.Signature):
    """A read port of the feature buffer that may wait: an address that was taken gives its word `FEATURE_LATENCY` cycles later."""

    def __init__(self) -> None:
        super().__init__({"address": Out(stream.Signature(ADDRESS_BITS)), "valid": In(1), "data": In(BEAT_BITS)})


FEATURE_LATENCY = 5
"""Cycles from an accepted address to its word, at every port: registers of request, bank, memory, its output and multiplexer.

A read whose address comes at least one cycle after a write was accepted gets what was written, also at another port.
"""

WEIGHT_LATENCY = 2
"""Cycles from a step's address to its weights, and from a block's address to its channel parameters."""


class PixelRead(wiring.Signature):
    """The array's read port of the feature buffer: all pixel lanes at once, never waiting.

    Lanes that are enabled in one cycle must hit different banks; where two do not, the data of both is unspecified.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        lanes = config.pixel_lanes
        super().__init__(
            {
                "enable": Out(lanes),
                "address": Out(data.ArrayLayout(unsigned(ADDRESS_BITS), lanes)),
                "data": In(data.ArrayLayout(unsigned(BEAT_BITS), lanes)),
            }
        )


def channel_parameters(config: Conv2DConfig) -> data.StructLayout:
    """Parameters of an output channel as they lie in memory: bias, float32 multiplier."""
    if config.activation_bits == 8:
        return data.StructLayout({"bias": signed(32), "multiplier": 32})
    return data.StructLayout({"bias": signed(64), "multiplier": 32, "unused": 32})


def output_job(config: Conv2DConfig) -> data.StructLayout:
    """What the output unit needs to know of a COMPUTE instruction; `residual_offset` leads from output to residual addresses."""
    activation = signed(config.activation_bits)
    return data.StructLayout(
        {
            "zero_point": activation,
            "clamp_min": activation,
            "clamp_max": activation,
            "residual": 1,
            "residual_zero_point": activation,
            "residual_multiplier": 28,
            "residual_offset": ADDRESS_BITS,
        }
    )


def group_result(config: Conv2DConfig) -> data.StructLayout:
    """The sums of one group of pixels and one block of output channels.

    `address` is the output address of every pixel, `valid` tells which lanes have one; `part` and `channel` are the block's place
    in its word and in the channel buffer. `last` ends the instruction; a result without a valid lane only tells that.
    """
    lanes = config.pixel_lanes
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(data.ArrayLayout(signed(config.accumulator_bits), config.output_lanes), lanes),
            "address": data.ArrayLayout(unsigned(ADDRESS_BITS), lanes),
            "valid": lanes,
            "part": 2,
            "channel": 9,
            "last": 1,
        }
    )
