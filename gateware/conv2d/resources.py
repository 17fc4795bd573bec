"""FPGA resources of the Conv2D accelerator on UltraScale+: an estimate.

`core` adds up the units, without the memory interconnect; `estimate` adds an allowance for registers, command ring and DMA. Logic
is linear in what drives a unit's size. Coefficients come from Yosys (`synth_xilinx -family xcup`) at several sizes; the benchmark
`resources` repeats these runs. In those of COMPUTE, and of the flip-flops of output, features and STORE, the large size had no
part. Nothing was placed and routed.
"""

from __future__ import annotations

from collections.abc import Callable

from cosoc.gateware.conv2d.array import packs
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import MICRO_OPERATIONS
from cosoc.gateware.conv2d.weights import channel_beats
from cosoc.gateware.device import ULTRASCALE
from cosoc.gateware.peripheral.core import BEAT_BITS
from cosoc.gateware.resources import Resources

PERIPHERAL = Resources(lut=2000, ff=3000)
"""Registers and command ring: a provisional allowance."""

DMA = Resources(lut=1300, ff=1700, bram36=3)
"""A reader or writer with its buffer: a provisional allowance."""

WIDTH = Resources(lut=240, ff=510)
"""The width converter of a manager of less than 128 bits; synthesized."""

_PORT_WIDTHS = {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1}
"""Bits of a word by depth of a 36 Kbit block RAM, when one port writes and the other reads."""

_BYTE_WIDTHS = {1024: 32, 2048: 16, 4096: 8, 8192: 4, 16384: 2, 32768: 1}
"""The same when both ports do both, without the parity bits, which are of no use where single bytes are written."""


def estimate(config: Conv2DConfig) -> Resources:
    """Estimated resources of the whole peripheral: the core, and what connects it to the bus."""
    readers_and_writers = 3 * config.memory_ports + 1
    converters = config.memory_ports if config.memory_port_bits < BEAT_BITS else 0
    return core(config) + PERIPHERAL + DMA * readers_and_writers + WIDTH * converters


def core(config: Conv2DConfig) -> Resources:
    """Estimated resources of the core, without the memory interconnect."""
    return sum((unit(config) for unit in UNITS.values()), Resources())


def _compute(config: Conv2DConfig) -> Resources:
    """Multipliers and adders, the accumulators of every lane, the walk of every pixel lane, and the micro-programs."""
    macs, sums = config.macs, config.output_lanes * config.pixel_lanes
    micro = Resources(lut=990, ff=2510, bram36=_block_ram(MICRO_OPERATIONS, 40, _PORT_WIDTHS))
    if packs(config, ULTRASCALE):
        products = Resources(lut=39 * macs // 2, ff=39 * macs, dsp=macs // 2)
    else:
        each = Resources(lut=21, ff=39, dsp=1) if config.activation_bits == 8 else Resources(lut=27, ff=50, dsp=1)
        products = each * macs
    accumulator = Resources(lut=29, ff=80) if config.activation_bits == 8 else Resources(lut=87, ff=187)
    return micro + products + accumulator * sums + Resources(lut=485, ff=20) * config.pixel_lanes


def _output(config: Conv2DConfig) -> Resources:
    """Requantizers, and their share of the queues."""
    requantizers = config.output_lanes * config.output_pixels
    each = Resources(lut=605, ff=795, dsp=2) if config.activation_bits == 8 else Resources(lut=1045, ff=1215, dsp=2)
    return Resources(lut=740, ff=600) + each * requantizers


def _features(config: Conv2DConfig) -> Resources:
    """Banks, a multiplexer over all banks for every reader, and one over all writers for every bank."""
    writers = config.output_pixels + config.memory_ports
    readers = config.pixel_lanes + writers
    read = BEAT_BITS * -(-(config.banks - 1) // 3)
    write = BEAT_BITS * -(-writers // 4) + 10 * (readers + writers)
    block_ram = config.banks * _block_ram(config.feature_words // config.banks, BEAT_BITS, _BYTE_WIDTHS)
    return Resources(lut=read * readers + write * config.banks, ff=470 * config.banks + 165 * readers, bram36=block_ram)


def _weights(config: Conv2DConfig) -> Resources:
    """Weight and channel buffers with their registers, and an engine for each port."""
    beats, blocks = config.step_beats, channel_beats(config)
    block_ram = beats * _block_ram(config.weight_steps, BEAT_BITS, _PORT_WIDTHS)
    block_ram += blocks * _block_ram(config.channel_blocks, BEAT_BITS, _PORT_WIDTHS)
    engines = Resources(lut=120, ff=365) * config.memory_ports
    return engines + Resources(ff=BEAT_BITS * (beats + blocks), bram36=block_ram)


def _load(config: Conv2DConfig) -> Resources:
    return Resources(ff=410, dsp=1) + Resources(lut=1325, ff=1130) * config.memory_ports


def _store(config: Conv2DConfig) -> Resources:
    return Resources(ff=475, dsp=3) + Resources(lut=1400, ff=1765) * config.memory_ports


def _dispatch(config: Conv2DConfig) -> Resources:
    return Resources(lut=2550, ff=3730)


UNITS: dict[str, Callable[[Conv2DConfig], Resources]] = {
    "dispatch": _dispatch,
    "load": _load,
    "weights": _weights,
    "compute": _compute,
    "output": _output,
    "features": _features,
    "store": _store,
}
"""The estimate of each unit of the core, by name."""


def _block_ram(depth: int, width: int, widths: dict[int, int]) -> int:
    """Block RAMs of one memory, in the best of their shapes."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in widths.items())
