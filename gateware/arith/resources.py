"""FPGA resources of the operators on UltraScale+, for the estimates of what is built from them.

The operators were synthesized one by one by Yosys (`synth_xilinx -family xcup -noiopad`); shift registers count as LUTs. Those of
block floating point grow in proportion to the bits of a mantissa.
"""

from __future__ import annotations

from cosoc.gateware.resources import Resources

FLOAT_ADD = Resources(lut=520, ff=300)
FLOAT_MULTIPLY = Resources(lut=415, ff=265, dsp=2)
FLOAT_SCALE = Resources(lut=125, ff=110)
FLOAT_RECIPROCAL = Resources(lut=1310, ff=645)
FLOAT_SUM_OF_PRODUCTS = FLOAT_MULTIPLY * 2 + FLOAT_ADD
COMPLEX_MULTIPLY = FLOAT_SUM_OF_PRODUCTS * 2
COMPLEX_EIGHTH = Resources(lut=2190, ff=1210)


def block_add(bits: int) -> Resources:
    """Of `BlockAdd`."""
    return Resources(lut=30 * bits, ff=24 * bits)


def block_multiply(bits: int) -> Resources:
    """Of `BlockMultiply`."""
    return Resources(lut=8 * bits, ff=23 * bits, dsp=4)


def block_eighth(bits: int) -> Resources:
    """Of `BlockEighth`."""
    return Resources(lut=22 * bits, ff=16 * bits)


def block_convert(bits: int) -> Resources:
    """Of `BlockFromFloat` and `FloatFromBlock` together."""
    return Resources(lut=40 * bits, ff=36 * bits)
