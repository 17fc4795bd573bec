"""Layers with random operands, and what the golden model makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.golden import ACTIVATION_TYPES, OutputFormat, Pooling, convolve
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION


class Operands(Enum):
    """Values of a tensor: of the whole range, all the same end of it, or one of both ends."""

    ANY = "any"
    LEAST = "least"
    GREATEST = "greatest"
    ENDS = "ends"

    def draw(self, rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Values of low..high."""
        if self is Operands.ANY:
            return rng.integers(low, high + 1, shape)
        return rng.choice({Operands.LEAST: [low], Operands.GREATEST: [high], Operands.ENDS: [low, high]}[self], shape)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer on one image.

    Attributes:
        size: rows, columns, channels of the input.
        out_channels: of the output; with `depthwise` that of the input.
        padding: top, left, bottom, right.
        window: of a depthwise layer of three kernel columns and stride 1 that keeps its columns: three taps in a step.
        fold: channels of neighbouring pixels share words.
        halves: of a folded layer, one LOAD writes the low channels of its words, another one the high ones.
        residual: a residual is added.
        strict: every instruction waits for all before it, instead of those that it needs.
        activations, weights: which values operands have: any, or extremes.
    """

    size: tuple[int, int, int]
    out_channels: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    depthwise: bool = False
    window: bool = False
    fold: bool = False
    halves: bool = False
    residual: bool = False
    pooling: Pooling | None = None
    strict: bool = False
    activations: Operands = Operands.ANY
    weights: Operands = Operands.ANY

    @property
    def channels_out(self) -> int:
        return self.size[2] if self.depthwise else self.out_channels

    @property
    def out_size(self) -> tuple[int, int]:
        """Rows and columns before pooling."""
        return _out_size(self.size, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Rows and columns in memory."""
        if self.pooling is None:
            return self.out_size
        return _out_size(self.out_size, self.pooling.window, self.pooling.stride, self.pooling.padding, (1, 1))


def _out_size(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    rows, columns = ((size[i] + padding[i] + padding[i + 2] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2))
    return rows, columns


@dataclass(frozen=True)
class Tensors:
    """Random operands of a layer."""

    x: NDArray[Any]
    weight: NDArray[np.int8]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.float32]
    residual: NDArray[Any] | None
    in_zero_point: int
    output: OutputFormat

    def expected(self, layer: Layer) -> NDArray[Any]:
        """The layer's result (rows, columns, channels), by the golden model."""
        result: NDArray[Any] = convolve(
            self.x[None],
            self.weight,
            self.bias,
            self.multiplier,
            self.output,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.size[2] if layer.depthwise else 1,
            in_zero_point=self.in_zero_point,
            residual=None if self.residual is None else self.residual[None],
            pooling=layer.pooling,
        )[0]
        return result


def random_tensors(config: Conv2DConfig, layer: Layer, rng: np.random.Generator) -> Tensors:
    """Operands, and multipliers that make results of all sizes.

    Of extreme operands a third of the channels saturates, a third does not, and the last third has biases that cancel the sums, so
    that a difference of 1 in a product is seen.
    """
    bits = config.activation_bits
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    group_channels = 1 if layer.depthwise else layer.size[2]
    weight = layer.weights.draw(rng, -127, 127, (layer.channels_out, *layer.kernel, group_channels)).astype(np.int8)
    products = prod(weight.shape[1:])
    scale = np.full(layer.channels_out, 2.0 / (73.0 * np.sqrt(products)))
    bias = rng.integers(-(1 << bits + 8), 1 << bits + 8, layer.channels_out)
    extreme = Operands.ANY not in (layer.activations, layer.weights)
    if extreme:
        scale[::3], scale[2::3] = 0.5 / (127 * products), 1.0
        end = high if layer.activations is Operands.GREATEST else low
        bias[2::3] = rng.integers(low // 4, high // 4, len(bias[2::3])) - end * weight.sum(axis=(1, 2, 3), dtype=np.int64)[2::3]
    clamp = sorted(int(v) for v in rng.integers(low, high + 1, 2)) if not extreme and rng.integers(2) else [low, high]
    output = OutputFormat(
        activation_bits=bits,
        zero_point=int(rng.integers(low // 4, high // 4)),
        clamp_min=clamp[0],
        clamp_max=clamp[1],
        residual_zero_point=int(rng.integers(low, high + 1)),
        residual_multiplier=int(rng.uniform(0.1, 1.5) * 2 ** RESIDUAL_FRACTION[bits]),
    )
    shape = (*layer.out_size, layer.channels_out)
    return Tensors(
        layer.activations.draw(rng, low, high, layer.size).astype(ACTIVATION_TYPES[bits]),
        weight,
        bias,
        (scale * rng.uniform(0.5, 1.5, layer.channels_out)).astype(np.float32),
        layer.activations.draw(rng, low, high, shape).astype(ACTIVATION_TYPES[bits]) if layer.residual else None,
        int(layer.activations.draw(rng, low, high, (1,))[0]),
        output,
    )
