"""Makes programs of single layers that fit the buffers at once, and lays out their tensors in memory.

One LOAD (or two for parts of the same words), one WEIGHTS, one CHANNELS, one COMPUTE (or one for each block), one STORE: `build`
chooses addresses, pitches and phases as a compiler would, and nothing else. The result of a layer is `golden.convolve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.golden import Pooling
from cosoc.gateware.conv2d.isa import MICRO_ENTRIES, Opcode, Unit
from tests.gateware.conv2d.layers import Layer, Tensors
from tests.gateware.conv2d.packing import Tap, channel_bytes, input_words, taps, weight_bytes

Instruction = tuple[Opcode, dict[str, int]]

INPUT, OUTPUT, CONSTANTS, RESIDUAL = range(4)
"""Which base address holds what."""

NEEDS = {
    Opcode.LOAD: (Unit.COMPUTE, Unit.STORE),
    Opcode.WEIGHTS: (Unit.COMPUTE,),
    Opcode.CHANNELS: (Unit.COMPUTE,),
    Opcode.MICRO: (Unit.COMPUTE,),
    Opcode.GEOMETRY: (),
    Opcode.OUTPUT: (),
    Opcode.COMPUTE: (Unit.LOAD, Unit.WEIGHTS, Unit.STORE),
    Opcode.STORE: (Unit.COMPUTE,),
}
"""Units that an instruction must wait for, when every layer uses the same part of the buffers."""


@dataclass(frozen=True)
class Region:
    """A tensor in the feature buffer: word w of pixel (y, x) is at `address` + w * `plane_pitch` + y * `row_pitch` + x."""

    address: int
    rows: int
    columns: int
    words: int
    row_pitch: int

    @property
    def plane_pitch(self) -> int:
        return self.rows * self.row_pitch

    @property
    def end(self) -> int:
        return self.address + self.words * self.plane_pitch

    def fields(self) -> dict[str, int]:
        """As LOAD and STORE name it."""
        return {"address": self.address, "address_row_pitch": self.row_pitch, "address_plane_pitch": self.plane_pitch}


@dataclass(frozen=True)
class Program:
    """Instructions of a layer, and the constants that they load from base `CONSTANTS`."""

    instructions: list[Instruction]
    constants: bytes


def build(config: Conv2DConfig, layer: Layer, tensors: Tensors) -> Program:
    """The program of a layer.

    Raises:
        ValueError: the layer does not fit the buffers.
    """
    out_rows, out_columns = layer.out_size
    source = _input_region(config, layer)
    out_words = -(-layer.channels_out // config.word_channels)
    target = Region(source.end, out_rows, out_columns, out_words, out_columns)
    residual = Region(target.end, out_rows, out_columns, out_words, out_columns)
    weights = weight_bytes(config, layer, tensors.weight)
    blocks = -(-layer.channels_out // config.output_lanes)
    steps = len(weights) // (config.input_lanes * config.output_lanes)
    end = residual.end if layer.residual else target.end
    if end > config.feature_words or steps > config.weight_steps or blocks > config.channel_blocks:
        raise ValueError(f"{layer} needs {end} feature words, {steps} steps and {blocks} blocks")
    micro = taps(config, layer)
    program = _loads(config, layer, tensors, source)
    if layer.residual:
        program.append((Opcode.LOAD, {"base": RESIDUAL, **_dense(residual), **residual.fields()}))
    program += [
        (Opcode.WEIGHTS, {"base": CONSTANTS, "steps": steps}),
        (Opcode.CHANNELS, {"base": CONSTANTS, "offset": len(weights) // 16, "blocks": blocks}),
        *_micro(config, layer, source, micro),
        _geometry(config, layer, tensors, source),
        _output(config, layer, tensors, target),
        *_compute(config, layer, source, target, residual, len(micro), blocks, steps),
        _store(layer, target),
    ]
    waiting = [(opcode, fields | _waits(layer, opcode)) for opcode, fields in program]
    return Program(waiting, weights + channel_bytes(config, tensors))


def _waits(layer: Layer, opcode: Opcode) -> dict[str, int]:
    units = tuple(Unit) if layer.strict else NEEDS[opcode]
    return {f"wait_{unit.name.lower()}": 0 for unit in units}


def _input_region(config: Conv2DConfig, layer: Layer) -> Region:
    """Rows of a pitch with which consecutive output pixels lie in consecutive banks, as far as the stride allows."""
    rows, columns, _ = layer.size
    words = -(-layer.size[2] // config.word_channels)
    if layer.fold:
        columns, words = _folded_columns(config, layer), 1
    modulus = config.banks // np.gcd(layer.stride[1], config.banks)
    pitch = columns + (layer.out_size[1] - columns) % int(modulus)
    return Region(0, rows, columns, words, pitch)


def _fold_right(config: Conv2DConfig, layer: Layer) -> int:
    """Pixels after a row, so that the last output column has all its words."""
    last = (layer.out_size[1] - 1 + taps(config, layer)[-1].column) * layer.stride[1]
    return max(0, last + _folded_pixels(config, layer) - layer.padding[1] - layer.size[1])


def _folded_pixels(config: Conv2DConfig, layer: Layer) -> int:
    """Pixels that a folded word takes; of three channels one more than it holds whole ones, because it might skip some."""
    channels = layer.size[2]
    return (config.word_channels + 4) // 3 if channels == 3 else config.word_channels // channels


def _folded_columns(config: Conv2DConfig, layer: Layer) -> int:
    pixels = layer.padding[1] + layer.size[1] + _fold_right(config, layer)
    return (pixels - _folded_pixels(config, layer)) // layer.stride[1] + 1


def _dense(region: Region) -> dict[str, int]:
    """A tensor of the region's size in memory, without gaps."""
    return {
        "rows": region.rows,
        "columns": region.columns,
        "words": region.words,
        "row_pitch": region.columns * region.words,
        "pixel_pitch": region.words,
    }


def _loads(config: Conv2DConfig, layer: Layer, tensors: Tensors, source: Region) -> list[Instruction]:
    rows, columns, channels = layer.size
    fields = {"base": INPUT, **_dense(Region(0, rows, columns, source.words, 0)), **source.fields()}
    if layer.fold:
        fields |= {
            "fold_channels": channels,
            "fold_left": layer.padding[1],
            "fold_right": _fold_right(config, layer),
            "fold_stride": layer.stride[1],
            "zero_point": tensors.in_zero_point,
        }
    if layer.halves:
        half = config.word_channels // 2
        return [(Opcode.LOAD, fields | {f"fold_keep_{side}": half}) for side in ("low", "high")]
    return [(Opcode.LOAD, fields)]


def _micro(config: Conv2DConfig, layer: Layer, source: Region, micro: list[Tap]) -> list[Instruction]:
    instructions = []
    for first in range(0, len(micro), MICRO_ENTRIES):
        fields = {"address": first}
        for i, tap in enumerate(micro[first : first + MICRO_ENTRIES]):
            entry = {"offset": tap.row * source.row_pitch + tap.column, "row": tap.row, "column": tap.column}
            fields |= {f"{name}{i}": value for name, value in (entry | {"words": input_words(config, layer)}).items()}
            fields["count"] = i + 1
        instructions.append((Opcode.MICRO, fields))
    return instructions


def _column_stride(layer: Layer) -> int:
    return 1 if layer.fold else layer.stride[1]


def _geometry(config: Conv2DConfig, layer: Layer, tensors: Tensors, source: Region) -> Instruction:
    lanes, columns, stride = config.pixel_lanes, layer.out_size[1], _column_stride(layer)
    row_step = layer.stride[0] * source.row_pitch - stride * columns
    return Opcode.GEOMETRY, {
        "rows": source.rows,
        "columns": source.columns,
        "plane_pitch": source.plane_pitch,
        "zero_point": tensors.in_zero_point,
        "stride_rows": layer.stride[0],
        "stride_columns": stride,
        "out_columns": columns,
        "group_rows": lanes // columns,
        "group_columns": lanes % columns,
        "group_step": lanes * stride,
        "row_step": row_step,
        "phases_log2": _phases_log2(config, layer, stride, row_step),
        "window": int(layer.window),
    }


def _phases_log2(config: Conv2DConfig, layer: Layer, stride: int, row_step: int) -> int:
    """The fewest phases in which no two lanes of any group read the same bank."""
    pixels, lanes = prod(layer.out_size), config.pixel_lanes
    address = [stride * p + row_step * (p // layer.out_size[1]) for p in range(pixels)]
    for phases in range(lanes.bit_length()):
        step = 1 << phases
        reads = [
            [address[p] % config.banks for p in range(first + phase, min(first + lanes, pixels), step)]
            for first in range(0, pixels, lanes)
            for phase in range(step)
        ]
        if all(len(set(banks)) == len(banks) for banks in reads):
            return phases
    raise AssertionError("a lane alone conflicts with nobody")


def _output(config: Conv2DConfig, layer: Layer, tensors: Tensors, target: Region) -> Instruction:
    output = tensors.output
    return Opcode.OUTPUT, {
        "plane_pitch": target.plane_pitch,
        "group_step": config.pixel_lanes,
        "row_step": target.row_pitch - target.columns,
        "zero_point": output.zero_point,
        "clamp_min": output.clamp_min,
        "clamp_max": output.clamp_max,
        "residual": int(layer.residual),
        "residual_zero_point": output.residual_zero_point,
        "residual_multiplier": output.residual_multiplier,
    }


def _compute(
    config: Conv2DConfig, layer: Layer, source: Region, target: Region, residual: Region, micro: int, blocks: int, steps: int
) -> list[Instruction]:
    """One instruction; of a depthwise layer one for each block, unless a block is a word."""
    top, left = layer.padding[0], 0 if layer.fold or layer.window else layer.padding[1]
    common: Mapping[str, int] = {
        "in_row": -top,
        "in_column": -left,
        "pixels": prod(layer.out_size),
        "micro_count": micro,
        "residual_address": residual.address,
    }
    first = source.address - top * source.row_pitch - left
    if not layer.depthwise or config.word_parts == 1:
        step = source.plane_pitch if layer.depthwise else 0
        fields = {"in_address": first % 65536, "out_address": target.address, "blocks": blocks, "block_step": step}
        return [(Opcode.COMPUTE, {**common, **fields})]
    instructions = []
    for block in range(blocks):
        plane, part = divmod(block, config.word_parts)
        offset = plane * target.plane_pitch
        fields = {
            "in_address": (first + plane * source.plane_pitch) % 65536,
            "out_address": target.address + offset,
            "residual_address": residual.address + offset,
            "out_part": part,
            "weight_address": block * steps // blocks,
            "channel_address": block,
            "blocks": 1,
        }
        instructions.append((Opcode.COMPUTE, {**common, **fields}))
    return instructions


def _store(layer: Layer, target: Region) -> Instruction:
    rows, columns = layer.stored_size
    pooling = layer.pooling or Pooling(window=(1, 1), stride=(1, 1))
    return Opcode.STORE, {
        "base": OUTPUT,
        **_dense(Region(0, rows, columns, target.words, 0)),
        **target.fields(),
        "window_rows": pooling.window[0],
        "window_columns": pooling.window[1],
        "stride_rows": pooling.stride[0],
        "stride_columns": pooling.stride[1],
        "in_rows": target.rows,
        "in_columns": target.columns,
        "origin_row": -pooling.padding[0],
        "origin_column": -pooling.padding[1],
    }
