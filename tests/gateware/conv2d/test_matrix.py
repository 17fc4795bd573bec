"""The engine's range of sizes: every point elaborates with all its connections, and its estimate stays below a ceiling.

`core/test_core.py` simulates the points.
"""

import pytest
from amaranth.hdl import Fragment

from cosoc.gateware.conv2d.array import packs
from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from cosoc.gateware.conv2d.resources import core
from cosoc.gateware.device import ULTRASCALE
from tests.gateware.conv2d.points import POINTS, Point

SHALLOWEST, BLOCK_BYTES = 1024, 4096
"""Words and bytes of a block RAM whose bytes are written one by one."""


def test_points_cover_the_range():
    """All values of all parameters of parallelism and of ports, several depths of each buffer, and the ends of the range."""
    for name in ("input_lanes", "output_lanes", "pixel_lanes", "activation_bits", "memory_ports", "memory_port_bits"):
        values = {getattr(point.config, name) for point in POINTS}
        assert values == set(Conv2DConfig.__dataclass_fields__[name].metadata["allowed"]), name
    for name in ("feature_words", "weight_steps", "channel_blocks"):
        assert len({getattr(point.config, name) for point in POINTS}) >= 5, name
    macs = [point.config.macs for point in POINTS]
    assert (min(macs), max(macs)) == (32, 4096)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_point(point: Point):
    """Two multiplications to a DSP slice where pixels share them, two slices to a requantizer, four for addresses."""
    config = point.config
    Fragment.get(Conv2DCore(config), None)
    found = core(config)
    requantizers = config.output_lanes * config.output_pixels
    assert found.dsp <= config.macs // (2 if packs(config, ULTRASCALE) else 1) + 2 * requantizers + 4
    assert found.lut <= 1000 * point.kilo_luts
    features = config.banks * max(config.feature_words // config.banks, SHALLOWEST) * WORD_BYTES
    weights = config.step_beats * max(config.weight_steps, 512) * WORD_BYTES
    assert found.bram36 <= (features + weights) // BLOCK_BYTES + 2 * config.output_lanes + 2
