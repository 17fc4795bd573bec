"""FPGA resources of the Conv2D peripheral: an estimate.

Source of the coefficients: DSP and LUT of a multiplication are those of a flat 8x8 int8 dot-product array in Yosys'
`synth_xilinx -family xcup` (64 DSP48E2, 19 LUT per multiplication); flip-flops are counted in the description (8 bits of operand,
16 of product and a share of activations for each multiplication); those of control and requantization are judged from their
adders, shifters and registers. Neither this core nor any other was placed and routed.
"""

from __future__ import annotations

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.steps import GROUPS
from cosoc.gateware.resources import Resources

_PERIPHERAL = Resources(lut=6000, ff=8000, bram36=8)
"""Registers, command ring and DMA of two readers and one writer: a provisional allowance."""

_CONTROL = Resources(lut=4500, ff=3500, dsp=3)
_PER_MAC = Resources(lut=19, ff=28, dsp=1)
_PER_LANE = Resources(lut=100, ff=110)
_PER_REQUANTIZER = Resources(lut=700, ff=420, dsp=2)

_BRAM36_WIDTHS = {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1}
"""Bits of a word by depth of a 36 Kbit block RAM."""


def estimate(config: Conv2DConfig) -> Resources:
    """Estimated resources of the whole peripheral.

    Block RAM follows from the sizes of the buffers. Logic is linear in multiplications, output lanes and requantizers.
    """
    lanes = config.output_lanes
    buffers = (
        _block_ram(2 * config.activation_words, 128)
        + lanes * _block_ram(2 * config.weight_steps, 128)
        + _block_ram(2 * config.output_words, 128)
        + _block_ram(config.partial_pixels, 32 * lanes)
    )
    logic = _CONTROL + _PER_MAC * config.macs + _PER_LANE * lanes + _PER_REQUANTIZER * (lanes // GROUPS)
    return _PERIPHERAL + logic + Resources(bram36=buffers)


def _block_ram(depth: int, width: int) -> int:
    """Block RAMs of one memory, in the best of their shapes."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in _BRAM36_WIDTHS.items())
