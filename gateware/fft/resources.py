"""Estimated FPGA resources of the FFT peripheral.

Memories are counted as Vivado maps them: block RAM of 512 words of 72 bits from 256 words up, LUT RAM below, and shift
registers of up to 32 words.
"""

from __future__ import annotations

from cosoc.gateware.arith.resources import COMPLEX_MULTIPLY, FLOAT_ADD
from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.delay import SHIFT_REGISTER_DEPTH
from cosoc.gateware.resources import Resources

PERIPHERAL = Resources(lut=6000, ff=8000)
"""Registers, command ring and DMA."""

CONTROL = Resources(lut=1200, ff=1500)
"""Command unit, feeder and writer, with their queues."""

STAGE = Resources(lut=200, ff=60)
"""Selection of the operands, counters, and what accompanies the samples."""

_SAMPLE_BITS = 64


def estimate(config: FFTConfig) -> Resources:
    """Resources of one FFT accelerator with its registers and DMA."""
    # A result is read from both banks of the reorder buffer at once.
    total = PERIPHERAL + CONTROL + _memory(1 << config.max_log2) * 2
    for stage in range(config.max_log2):
        total += STAGE + FLOAT_ADD * 2 + _delay_line(1 << stage) * 2
        if stage >= 2 and stage % 2 == 0:
            total += COMPLEX_MULTIPLY + _rom((1 if stage == config.max_log2 - 1 else 4) << stage)
    return total


def _delay_line(depth: int) -> Resources:
    if depth > SHIFT_REGISTER_DEPTH:
        return _memory(1 << (depth - 2).bit_length()) + Resources(ff=_SAMPLE_BITS)
    return Resources(lut=_SAMPLE_BITS if depth > 1 else 0, ff=_SAMPLE_BITS)


def _memory(words: int) -> Resources:
    """A memory of samples with one write and one read port."""
    if words >= 256:
        return Resources(bram36=-(-words // 512))
    return Resources(lut=-(-words // 64) * 74, ff=_SAMPLE_BITS)  # 64 words of 7 bits in 8 LUTs


def _rom(words: int) -> Resources:
    """A table of twiddle factors and its two registers."""
    if words >= 256:
        return Resources(ff=_SAMPLE_BITS, bram36=-(-words // 512))
    return Resources(lut=-(-words // 64) * _SAMPLE_BITS, ff=2 * _SAMPLE_BITS)
