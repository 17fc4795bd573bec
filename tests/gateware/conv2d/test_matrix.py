"""The engine's range of sizes: every point elaborates with all its connections, and its estimate stays below a ceiling."""

import pytest
from amaranth.hdl import Fragment

from cosoc.gateware.conv2d.array import packs
from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from cosoc.gateware.conv2d.resources import core

POINTS = {
    (8, 4, 1, 8, 1): 13,
    (4, 4, 2, 16, 1): 16,
    (4, 8, 2, 16, 2): 24,
    (16, 4, 1, 8, 2): 17,
    (8, 8, 2, 16, 1): 24,
    (16, 8, 2, 8, 1): 21,
    (8, 8, 4, 16, 2): 36,
    (16, 16, 2, 8, 2): 34,
    (16, 8, 8, 8, 1): 57,
    (8, 8, 16, 16, 2): 145,
    (16, 16, 8, 8, 2): 100,
    (16, 16, 16, 8, 1): 195,
}
"""Lanes of inputs, outputs and pixels, bits of an activation, memory ports: from 32 to 4,096 multiplications per cycle. The
ceiling is in 1,000 LUTs; that of 2,048 multiplications is the engine's goal. What connects banks to lanes grows with the square of
the pixels.
"""

SHALLOWEST, BLOCK_BYTES = 1024, 4096
"""Words and bytes of a block RAM whose bytes are written one by one."""


def _config(point: tuple[int, int, int, int, int]) -> Conv2DConfig:
    inputs, outputs, pixels, bits, ports = point
    return Conv2DConfig(input_lanes=inputs, output_lanes=outputs, pixel_lanes=pixels, activation_bits=bits, memory_ports=ports)


def test_points_cover_the_range():
    """All values of all parameters of parallelism, and the ends of the range."""
    for values, name in zip(
        zip(*POINTS, strict=True), ("input_lanes", "output_lanes", "pixel_lanes", "activation_bits", "memory_ports"), strict=True
    ):
        assert set(values) == set(Conv2DConfig.__dataclass_fields__[name].metadata["allowed"])
    macs = [_config(point).macs for point in POINTS]
    assert (min(macs), max(macs)) == (32, 4096)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: "{}x{}x{}-int{}-p{}".format(*point))
def test_point(point: tuple[int, int, int, int, int]):
    """Two multiplications to a DSP slice where pixels share them, two slices to a requantizer, four for addresses."""
    config = _config(point)
    Fragment.get(Conv2DCore(config), None)
    found = core(config)
    requantizers = config.output_lanes * config.output_pixels
    assert found.dsp <= config.macs // (2 if packs(config) else 1) + 2 * requantizers + 4
    assert found.lut <= 1000 * POINTS[point]
    features = config.banks * max(config.feature_words // config.banks, SHALLOWEST) * WORD_BYTES
    weights = config.weight_steps * config.step_beats * WORD_BYTES
    assert found.bram36 <= (features + weights) // BLOCK_BYTES + 2 * config.output_lanes + 2
