"""The engine's range of sizes: points from 32 to 4,096 multiplications per cycle, each with the ceiling of its logic."""

from __future__ import annotations

from dataclasses import dataclass

from cosoc.gateware.conv2d.config import Conv2DConfig


@dataclass(frozen=True)
class Point:
    """An engine.

    Attributes:
        parameters: of `Conv2DConfig`; others have their default.
        kilo_luts: ceiling of the core's LUTs, in thousands.
        slow: its simulation, mostly the making of the model, is for `scons test-full`.
    """

    parameters: dict[str, int]
    kilo_luts: int
    slow: bool

    @property
    def config(self) -> Conv2DConfig:
        return Conv2DConfig(**self.parameters)

    @property
    def name(self) -> str:
        config = self.config
        lanes = f"{config.input_lanes}x{config.output_lanes}x{config.pixel_lanes}"
        return f"{lanes}-int{config.activation_bits}-p{config.memory_ports}"


def _point(lanes: tuple[int, int, int], bits: int, ports: int, kilo_luts: int, *, slow: bool = True, **buffers: int) -> Point:
    inputs, outputs, pixels = lanes
    sizes = {"input_lanes": inputs, "output_lanes": outputs, "pixel_lanes": pixels, "activation_bits": bits}
    return Point({**sizes, "memory_ports": ports, **buffers}, kilo_luts, slow)


POINTS = (
    _point((4, 4, 2), 8, 1, 13, slow=False, feature_words=1024, weight_steps=4096),
    _point((8, 4, 1), 8, 1, 13, slow=False, feature_words=1024, weight_steps=4096, channel_blocks=16, memory_port_bits=32),
    _point((4, 4, 2), 16, 1, 16, feature_words=2048, weight_steps=16384),
    _point((4, 8, 2), 16, 2, 24, slow=False, feature_words=1024, weight_steps=4096, channel_blocks=16),
    _point((8, 8, 2), 16, 1, 24, feature_words=1024, channel_blocks=32),
    _point((16, 4, 1), 8, 2, 17, feature_words=1024, channel_blocks=64, memory_port_bits=64),
    _point((8, 8, 4), 8, 2, 33, slow=False, feature_words=1024),
    _point((16, 8, 2), 8, 1, 21, feature_words=32768, weight_steps=2048),
    _point((8, 8, 4), 16, 2, 36, weight_steps=512),
    _point((16, 16, 2), 8, 2, 34, channel_blocks=512),
    _point((16, 16, 4), 8, 2, 53),
    _point((16, 8, 8), 8, 1, 57, feature_words=4096),
    _point((8, 8, 16), 16, 2, 145),
    _point((16, 16, 8), 8, 2, 100, feature_words=65536, weight_steps=2048, channel_blocks=128),
    _point((16, 16, 16), 8, 1, 195),
)
"""Half of each buffer holds any layer of the simulation. The ceiling of 2,048 multiplications is the engine's goal. What connects
banks to lanes grows with the square of the pixels.
"""
