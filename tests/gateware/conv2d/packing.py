"""Micro-operations of layers, and weights and channel parameters in the order in which the engine loads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import Conv2DConfig
from tests.gateware.conv2d.layers import Layer, Tensors


@dataclass(frozen=True)
class Tap:
    """An operand word of every pixel: kernel row, column of the buffer, and the kernel columns that it meets.

    These are those of its pixels, if any, or with windows those of itself and its neighbours.
    """

    row: int
    column: int
    kernel_columns: tuple[int | None, ...]


def taps(config: Conv2DConfig, layer: Layer) -> list[Tap]:
    """The micro-operations of a layer. Of a folded row each word holds several kernel columns: whole pixels."""
    if layer.window:
        columns = [(0, (0, 1, 2))]
    elif not layer.fold:
        columns = [(dx * layer.dilation[1], (dx,)) for dx in range(layer.kernel[1])]
    else:
        pixels, step = config.word_channels // layer.size[2], layer.stride[1]
        shift = pixels // step
        columns, covered = [], 0
        while covered < layer.kernel[1]:
            first = len(columns) * shift * step
            held = tuple(c if covered <= c < layer.kernel[1] else None for c in range(first, first + pixels))
            columns.append((len(columns) * shift, held))
            covered = first + pixels
    return [Tap(dy * layer.dilation[0], column, held) for dy in range(layer.kernel[0]) for column, held in columns]


def weight_bytes(config: Conv2DConfig, layer: Layer, weight: NDArray[np.int8]) -> bytes:
    """Weights as WEIGHTS loads them: block, tap, word, step of the word; by port the bytes that it carries of every step."""
    lanes, inputs = config.output_lanes, config.input_lanes
    blocks, words = -(-layer.channels_out // lanes), input_words(config, layer)
    if layer.window:
        return _by_port(config, _window_steps(config, layer, weight))
    steps = np.zeros((blocks, len(taps(config, layer)), words, lanes, config.word_channels), np.int8)
    for index, tap in enumerate(taps(config, layer)):
        dy = tap.row // layer.dilation[0]
        for place, dx in enumerate(tap.kernel_columns):
            if dx is None:
                continue
            for o in range(layer.channels_out):
                block, lane = divmod(o, lanes)
                if layer.depthwise:
                    steps[block, index, 0, lane, o % config.word_channels] = weight[o, dy, dx, 0]
                    continue
                operand = steps[block, index, :, lane].reshape(-1)
                first = place * layer.size[2]
                operand[first : first + layer.size[2]] = weight[o, dy, dx]
                steps[block, index, :, lane] = operand.reshape(words, -1)
    # Each word takes word_steps steps, the lowest channels first.
    return _by_port(config, steps.reshape(blocks, -1, lanes, config.word_steps, inputs).swapaxes(2, 3))


def _window_steps(config: Conv2DConfig, layer: Layer, weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Block, kernel row, output lane, tap."""
    lanes, rows = config.output_lanes, layer.kernel[0]
    steps = np.zeros((-(-layer.channels_out // lanes), rows, lanes, config.input_lanes), np.int8)
    for o in range(layer.channels_out):
        steps[o // lanes, :, o % lanes, :3] = weight[o, :, :, 0]
    return steps


def _by_port(config: Conv2DConfig, steps: NDArray[np.int8]) -> bytes:
    """The bytes of steps, those of the first port first."""
    ports = np.split(steps.reshape(-1, config.output_lanes * config.input_lanes), config.memory_ports, axis=1)
    return b"".join(port.tobytes() for port in ports)


def input_words(config: Conv2DConfig, layer: Layer) -> int:
    """Words of the input that a block of output channels multiplies."""
    return 1 if layer.depthwise or layer.fold else -(-layer.size[2] // config.word_channels)


def channel_bytes(config: Conv2DConfig, tensors: Tensors) -> bytes:
    """Channel parameters as CHANNELS loads them, up to a whole block."""
    channels = -(-len(tensors.bias) // config.output_lanes) * config.output_lanes
    wide = config.activation_bits == 16
    record = np.zeros(
        channels, np.dtype([("bias", "<i8" if wide else "<i4"), ("multiplier", "<f4"), *([("unused", "<u4")] * wide)])
    )
    record["multiplier"] = 1.0
    record["bias"][: len(tensors.bias)] = tensors.bias
    record["multiplier"][: len(tensors.bias)] = tensors.multiplier
    return record.tobytes()
