"""A small configuration of every accelerator, so that what surrounds its core can be tested quickly."""

from collections.abc import Mapping

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.parameters import Config
from cosoc.gateware.zip.config import ZIPConfig

SMALLEST: Mapping[str, Config] = {
    "c2d": Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=2, feature_words=256, weight_steps=64, channel_blocks=8),
    "fft": FFTConfig(max_log2=3),
    "zip": ZIPConfig(lanes=1),
}
