"""FPGA resources of the float32 operators on UltraScale+, for the estimates of what is built from them.

The three operators were synthesized one by one by Yosys (`synth_xilinx -family xcup -noiopad`); shift registers count as LUTs.
"""

from __future__ import annotations

from cosoc.gateware.resources import Resources

FLOAT_ADD = Resources(lut=460, ff=215)
FLOAT_MULTIPLY = Resources(lut=415, ff=265, dsp=2)
FLOAT_RECIPROCAL = Resources(lut=1310, ff=645)
FLOAT_SUM_OF_PRODUCTS = FLOAT_MULTIPLY * 2 + FLOAT_ADD
COMPLEX_MULTIPLY = FLOAT_SUM_OF_PRODUCTS * 2
