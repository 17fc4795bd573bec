"""Estimated FPGA resources of the ZIP peripheral."""

from __future__ import annotations

from cosoc.gateware.arith.resources import FLOAT_ADD, FLOAT_SUM_OF_PRODUCTS
from cosoc.gateware.resources import Resources
from cosoc.gateware.zip.config import NumberFormat, ZIPConfig

_NORM = Resources(lut=746, ff=547, dsp=4)
_DIVIDE = Resources(lut=1206, ff=2104)
_FLOAT_LANE = FLOAT_SUM_OF_PRODUCTS * 2 + FLOAT_ADD * 2 + _NORM + _DIVIDE * 2 + Resources(lut=500, ff=600)
"""Operators, and the choice of operands and the delay lines (shift registers in LUTs) around them."""

_INTEGER_LANE = Resources(lut=7152, ff=6984, dsp=12)
"""Four dividers are 3,100 LUT of it and 5,400 FF; synthesized whole."""

_COMMANDS = {1: Resources(lut=852, ff=1184), 2: Resources(lut=1766, ff=1313)}
"""By memory ports: a second one compares writes too. These, the lanes' parts and the second operand were synthesized as the
arithmetic was."""

_ENGINE = Resources(lut=569, ff=250, bram36=2) + Resources(lut=400, ff=500)
"""Second operand with its buffer; queues of jobs and results in LUT RAM."""

_REGISTERS = Resources(lut=3000, ff=3500)
"""Registers, counters and command ring."""

_DMA = Resources(lut=4500, ff=5500, bram36=8)
"""Three readers and a writer with their buffers, and the arbiter, of one memory port."""


def estimate(config: ZIPConfig) -> Resources:
    """Resources of one ZIP accelerator with its registers and DMA."""
    lane = _INTEGER_LANE if config.format is NumberFormat.INT16 else _FLOAT_LANE
    ports = (_ENGINE + _DMA) * config.memory_ports
    return _REGISTERS + _COMMANDS[config.memory_ports] + ports + lane * config.lanes
