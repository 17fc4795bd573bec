"""What an instruction must fulfil before it may reach a unit."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Value
from amaranth.lib import data

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.fold import MAX_FOLD_CHANNELS, MAX_FOLD_SKIP, SKIPPING_CHANNELS
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, MICRO_ENTRIES, Opcode


def faults(config: Conv2DConfig, word: Value) -> dict[Opcode, Value]:
    """For every opcode, one bit for each rule that the instruction `word` breaks, were it of that opcode.

    Each bit depends on few bits of the word, so that one register stage takes them and the next one joins those of an opcode.
    """
    views: dict[Opcode, Any] = {opcode: data.View(layout.struct(), word) for opcode, layout in INSTRUCTIONS.items()}
    load, micro, compute = views[Opcode.LOAD], views[Opcode.MICRO], views[Opcode.COMPUTE]
    geometry = views[Opcode.GEOMETRY]
    folds = load.fold_channels.any()
    more: dict[Opcode, list[Value]] = {
        Opcode.LOAD: [
            load.fold_channels > MAX_FOLD_CHANNELS,
            folds & (load.fold_stride == 0),
            folds & (load.words != 1),
            folds & (load.twin != 0) & (load.twin >= load.fold_stride),
            *(folds & (skip > MAX_FOLD_SKIP) for skip in (load.fold_skip, load.twin_skip)),
            *(folds & (load.fold_channels != SKIPPING_CHANNELS) & skip.any() for skip in (load.fold_skip, load.twin_skip)),
        ],
        Opcode.MICRO: [micro.count > MICRO_ENTRIES],
        Opcode.GEOMETRY: [
            geometry.phases_log2 > config.pixel_lanes.bit_length() - 1,
            geometry.window & (geometry.stride_rows != 1),
            geometry.window & (geometry.stride_columns != 1),
            geometry.window & geometry.phases_log2.any(),
        ],
        Opcode.COMPUTE: [compute.out_part >= config.word_parts],
    }
    return {
        opcode: Cat(*(views[opcode][name] == 0 for name in layout.nonzero), *more.get(opcode, []))
        for opcode, layout in INSTRUCTIONS.items()
    }
