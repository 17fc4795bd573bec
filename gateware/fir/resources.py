"""Estimated FPGA resources of the FIR peripheral."""

from __future__ import annotations

from cosoc.gateware.arith.resources import COMPLEX_MULTIPLY, FLOAT_ADD
from cosoc.gateware.fir.config import SAMPLE_BYTES, FIRConfig
from cosoc.gateware.resources import Resources

_TAP = COMPLEX_MULTIPLY + FLOAT_ADD * 2 + Resources(lut=210, ff=320)
"""Operators, the two taps, and the delays of samples (shift registers in LUTs) and of terms."""

_CONTROL = Resources(lut=900, ff=1200)
"""Command, counters, and the FIFO of results in LUT RAM."""

_PERIPHERAL = Resources(lut=6000, ff=8000, bram36=3 * 2)
"""Registers, command ring and DMA, with 512 beats of each port in block RAM."""

_BLOCK_BITS = 36 * 1024


def estimate(config: FIRConfig) -> Resources:
    """Resources of one FIR accelerator with its registers and DMA."""
    # A block RAM has 72 bits at 512 words, so the delay of 64 bits takes whole ones.
    blocks = max(1, -(-config.max_taps * SAMPLE_BYTES * 8 // _BLOCK_BITS))
    return _PERIPHERAL + _CONTROL + _TAP * config.multipliers + Resources(bram36=blocks)
