"""The resource estimate, on what can be counted by hand and on what synthesis found."""

import itertools
from dataclasses import replace

import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.resources import UNITS, core, estimate

LARGE = Conv2DConfig(
    input_lanes=16, output_lanes=16, pixel_lanes=8, feature_words=65536, weight_steps=2048, channel_blocks=128, memory_ports=2
)


def test_multipliers():
    """Two int8 multiplications in a DSP slice, two slices in a requantizer, four products of LOAD and STORE."""
    assert core(LARGE).dsp == 2048 // 2 + 2 * 16 * 2 + 4
    assert UNITS["compute"](replace(LARGE, pixel_lanes=1)).dsp == 256
    words = Conv2DConfig(activation_bits=16, input_lanes=8, output_lanes=8, pixel_lanes=8)
    assert UNITS["compute"](words).dsp == words.macs


def test_block_ram():
    """The feature buffer is 1 MB, 4 KB in a block without its parity bits.

    Of the 16 beats of a step each is 2,048 x 128 bits, 8 blocks; of the 8 of a block of channels each is 128 x 128 bits, 2 blocks;
    a micro-program of 1,024 x 40 bits is 2.
    """
    assert UNITS["features"](LARGE).bram36 == (1 << 20) // 4096
    assert UNITS["weights"](LARGE).bram36 == 16 * 8 + 8 * 2
    assert core(LARGE).bram36 == 256 + 144 + 2


def test_large_engine_fits_twice():
    total = core(LARGE)
    assert total.dsp <= 1100
    assert total.lut <= 100_000
    assert total.bram36 <= 420


@pytest.mark.parametrize(
    ("unit", "lanes", "sizes", "found"),
    [
        ("compute", (16, 16, 8), {}, {"lut": 47240}),
        ("compute", (8, 8, 1), {}, {"lut": 3029}),
        ("compute", (4, 4, 2), {"activation_bits": 16}, {"lut": 3561}),
        ("compute", (8, 8, 4), {"activation_bits": 16}, {"lut": 12492}),
        ("compute", (4, 4, 2), {}, {"ff": 4564}),
        ("output", (4, 4, 2), {"activation_bits": 16}, {"lut": 5010, "ff": 5460}),
        ("output", (4, 16, 8), {}, {"lut": 20052}),
        ("output", (4, 8, 4), {}, {"ff": 6947}),
        ("weights", (16, 16, 8), {"memory_ports": 2}, {"lut": 240}),
        ("weights", (8, 8, 2), {"weight_steps": 1024, "memory_ports": 2}, {"ff": 1757}),
        ("features", (8, 8, 8), {"memory_ports": 2}, {"lut": 12337}),
        ("features", (4, 4, 1), {"feature_words": 4096}, {"ff": 2425}),
        ("features", (8, 8, 4), {"feature_words": 8192, "memory_ports": 2}, {"ff": 4840}),
        ("load", (4, 4, 2), {}, {"ff": 1543}),
        ("load", (16, 16, 8), {"memory_ports": 2}, {"lut": 2638}),
        ("load", (8, 8, 2), {"memory_ports": 2}, {"ff": 2677}),
        ("store", (4, 4, 2), {}, {"ff": 2241}),
        ("store", (16, 16, 8), {"memory_ports": 2}, {"lut": 2804}),
        ("store", (8, 8, 2), {"memory_ports": 2}, {"ff": 4007}),
        ("dispatch", (4, 4, 2), {}, {"lut": 2551, "ff": 3733}),
    ],
)
def test_synthesized_sizes(unit: str, lanes: tuple[int, int, int], sizes: dict[str, int], found: dict[str, int]):
    """What synthesis found; the first had no part in its coefficients."""
    config = Conv2DConfig(**dict(zip(("input_lanes", "output_lanes", "pixel_lanes"), lanes, strict=True)), **sizes)
    estimated = UNITS[unit](config)
    assert {name: getattr(estimated, name) for name in found} == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("name", ["input_lanes", "output_lanes", "pixel_lanes", "feature_words", "weight_steps", "memory_ports"])
def test_more_of_anything_is_not_less(name: str):
    allowed = Conv2DConfig.__dataclass_fields__[name].metadata["allowed"]
    sizes = [estimate(replace(Conv2DConfig(input_lanes=16, output_lanes=16), **{name: value})) for value in allowed]
    for smaller, larger in itertools.pairwise(sizes):
        assert all(getattr(larger, item) >= getattr(smaller, item) for item in ("lut", "ff", "dsp", "bram36"))
    assert sizes[0] != sizes[-1]
