"""Estimated FPGA resources of the ZIP peripheral."""

from __future__ import annotations

from cosoc.gateware.arith.resources import FLOAT_ADD, FLOAT_SUM_OF_PRODUCTS
from cosoc.gateware.resources import Resources
from cosoc.gateware.zip.config import ZIPConfig

_NORM = Resources(lut=520, ff=480, dsp=4)
_DIVIDE = Resources(lut=1250, ff=2400)

_LANE = FLOAT_SUM_OF_PRODUCTS * 2 + FLOAT_ADD * 2 + _NORM + _DIVIDE * 2 + Resources(lut=300, ff=500)
"""Operators, and the choice of operands and the delay lines (shift registers in LUTs) around them."""

_CONTROL = Resources(lut=720, ff=900)
"""Command unit with its queues and write guard (synthesized as the operators were), and the FIFO of results in LUT RAM."""

_PERIPHERAL = Resources(lut=6000, ff=8000)
"""Registers, command ring and DMA."""


def estimate(config: ZIPConfig) -> Resources:
    """Resources of one ZIP accelerator with its registers and DMA."""
    return _PERIPHERAL + _CONTROL + _LANE * config.lanes
