"""Estimated FPGA resources of the FFT peripheral.

Memories are counted as Vivado maps them: block RAM of 512 words of 72 bits from 256 words up, LUT RAM below, and shift
registers of up to 32 words.
"""

from __future__ import annotations

from cosoc.gateware.arith.resources import (
    COMPLEX_EIGHTH,
    COMPLEX_MULTIPLY,
    FLOAT_ADD,
    FLOAT_SCALE,
    block_add,
    block_convert,
    block_eighth,
    block_multiply,
)
from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.delay import SHIFT_REGISTER_DEPTH
from cosoc.gateware.fft.formats import number_format
from cosoc.gateware.fft.frame import Control
from cosoc.gateware.fft.rotator import LaneKind, lane_kind
from cosoc.gateware.resources import Resources

PERIPHERAL = Resources(lut=6000, ff=8000)
"""Registers, command ring and DMA."""

DMA_BUFFER = Resources(bram36=2)
"""Of each read or write port of the core: 512 beats."""

CONTROL = Resources(lut=1200, ff=1500)
"""Command unit, feeder and writer, with their queues."""

STAGE = Resources(lut=100, ff=60)
"""Counters of a stage, and the line of its control behind the adders."""

_COMPLEX_BITS = 64


def estimate(config: FFTConfig) -> Resources:
    """Resources of one FFT accelerator with its registers and DMA."""
    # A result is read from both banks of the reorder buffer at once.
    buffers = DMA_BUFFER * (2 * config.memory_ports + config.multiply)
    return PERIPHERAL + buffers + CONTROL + _memory(1 << config.max_log2, _COMPLEX_BITS) * 2 + pipeline(config)


def pipeline(config: FFTConfig) -> Resources:
    """Resources of the arithmetic pipeline."""
    number, lanes = number_format(config), config.samples
    sample, factor = number.sample.size, number.factor.size
    if config.number_format == NumberFormat.FLOAT32:
        add, multiply, eighth, ends = FLOAT_ADD * 2, COMPLEX_MULTIPLY, COMPLEX_EIGHTH, FLOAT_SCALE * 2
    else:
        bits = config.mantissa_bits
        add, multiply, eighth, ends = block_add(bits), block_multiply(bits), block_eighth(bits), block_convert(bits)

    total = ends * lanes
    for stage in range(config.max_log2):
        depth = (1 << stage) // lanes
        total += STAGE + (add + Resources(lut=2 * sample)) * lanes
        total += _delay_line(depth, sample * lanes) * 2 + _delay_line(depth, Control.size)
        if stage >= 2 and stage % 2 == 0:
            words = (1 if stage == config.max_log2 - 1 else 4) << stage
            kept = _delay_line(number.multiply_latency, sample) + Resources(lut=sample)
            total += STAGE
            for kind in (lane_kind(lane, stage, lanes) for lane in range(lanes)):
                total += eighth if kind is LaneKind.EIGHTH else kept
                if kind is LaneKind.MULTIPLIER:
                    total += multiply + _rom(words // lanes, factor)
    return total


def _delay_line(depth: int, bits: int) -> Resources:
    if depth > SHIFT_REGISTER_DEPTH:
        return _memory(1 << (depth - 2).bit_length(), bits) + Resources(ff=bits)
    return Resources(lut=bits if depth > 1 else 0, ff=bits if depth else 0)


def _memory(words: int, bits: int) -> Resources:
    """A memory with one write and one read port."""
    if words >= 256:
        return Resources(bram36=-(-(words * bits) // (512 * 72)))
    return Resources(lut=-(-words // 64) * -(-bits // 7) * 8, ff=bits)  # 64 words of 7 bits in 8 LUTs


def _rom(words: int, bits: int) -> Resources:
    """A table of twiddle factors and its two registers."""
    if words >= 256:
        return Resources(ff=bits, bram36=-(-words * bits // (512 * 72)))
    return Resources(lut=-(-words // 64) * bits, ff=2 * bits)
