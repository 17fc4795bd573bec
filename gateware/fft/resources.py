"""Estimated FPGA resources of the FFT peripheral.

Memories are counted as Vivado maps them: block RAM of 512 words of 72 bits from 256 words up, LUT RAM below, and shift
registers of up to 32 words.
"""

from __future__ import annotations

from cosoc.gateware.arith.complex import ComplexMultiply
from cosoc.gateware.arith.resources import COMPLEX_MULTIPLY, FLOAT_ADD, FLOAT_MULTIPLY
from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.delay import SHIFT_REGISTER_DEPTH
from cosoc.gateware.resources import Resources

PERIPHERAL = Resources(lut=6000, ff=8000)
"""Registers, command ring and DMA."""

CONTROL = Resources(lut=1200, ff=1500)
"""Command unit, feeder and writer, with their queues."""

STAGE = Resources(lut=200, ff=60)
"""Selection of the input and the output, counters."""

_SAMPLE_BITS = 64


def estimate(config: FFTConfig) -> Resources:
    """Resources of one FFT accelerator with its registers and DMA."""
    # Inverse transforms are scaled behind the last stage; a result is read from both banks of the reorder buffer at once.
    total = PERIPHERAL + CONTROL + FLOAT_MULTIPLY * 2 + _memory(1 << config.max_log2) * 2
    for log2_half in range(config.max_log2):
        total += _stage(1 << log2_half)
    return total


def _stage(half: int) -> Resources:
    """Four additions in the butterfly, a complex product, two delay lines and the twiddle factors."""
    latency = ComplexMultiply.latency
    lines = _delay_line(half) + _delay_line(abs(half - latency))
    return STAGE + FLOAT_ADD * 4 + COMPLEX_MULTIPLY + lines + _rom(half)


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
