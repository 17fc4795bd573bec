"""Estimated FPGA resources of the float32 operators on UltraScale+, for the estimates of what is built from them.

DSP slices follow from the 24 x 24 bit product: two DSP48E2 of 27 x 18. Flip-flops are counted from the stages' registers, LUTs from
their adders, shifters of 4:1 multiplexers, and counters of zeros.
"""

from __future__ import annotations

from cosoc.gateware.resources import Resources

FLOAT_ADD = Resources(lut=480, ff=250)
FLOAT_MULTIPLY = Resources(lut=330, ff=275, dsp=2)
FLOAT_RECIPROCAL = Resources(lut=800, ff=1050)
FLOAT_SUM_OF_PRODUCTS = FLOAT_MULTIPLY * 2 + FLOAT_ADD
COMPLEX_MULTIPLY = FLOAT_SUM_OF_PRODUCTS * 2
