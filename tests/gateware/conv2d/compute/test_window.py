"""Windows of three taps on the COMPUTE unit, against its model and against the golden model of depthwise convolutions."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cosoc.gateware.conv2d.compute import INSTRUCTION_GAP
from cosoc.gateware.conv2d.golden import ACTIVATION_TYPES, convolution_sums
from cosoc.gateware.conv2d.isa import WINDOW_OPERATIONS, Opcode
from tests.gateware.conv2d.compute.bench import make_model
from tests.gateware.conv2d.compute.model import Fields, Micro, Model, Program, geometry, output, set_micro
from tests.gateware.conv2d.compute.test_compute import CONFIGS, clean, dense, execute, make_config, random_layer

SHAPES = CONFIGS | {
    "4x8x1-int16": make_config(4, 8, 1, bits=16),
    "8x4x2": make_config(8, 4, 2),
    "4x16x4": make_config(4, 16, 4),
    "4x4x8": make_config(4, 4, 8),
    "4x4x16": make_config(4, 4, 16),
}


def window_layer(
    rng: random.Random, model: Model, index: int, *, rows: int, columns: int, taps: int, blocks: int = 1, first_row: int = 0
) -> Program:
    """Settings and a COMPUTE on whole rows; consecutive pixels lie in consecutive banks. The weights of other operands become zero.

    Args:
        index: which part of the micro-program memory and of the weight buffer is its own.
        taps: kernel rows.
        first_row: input row of the first micro-operation at the first output row.
    """
    config, banks = model.config, model.config.banks
    pitch = columns + banks * rng.randrange(3)
    micro = [Micro(offset=pitch * row, row=row) for row in range(taps)]
    setting: Fields = geometry(
        config,
        out_columns=columns,
        rows=rows + rng.randint(-1, 1),
        columns=columns,
        plane_pitch=rng.randrange(1 << 16),
        zero_point=rng.randint(-128, 127),
        row_step=pitch - columns,
        window=1,
    )[1]
    compute = {
        "in_address": rng.randrange(1 << 16),
        "in_row": first_row,
        "out_address": rng.randrange(1 << 16),
        "out_part": rng.randrange(config.word_parts),
        "residual_address": rng.randrange(1 << 16),
        "weight_address": 16 * index,
        "channel_address": rng.randrange(512),
        "pixels": rows * columns,
        "blocks": blocks,
        "block_step": rng.randrange(1 << 16),
        "micro_address": 40 * index,
        "micro_count": taps,
    }
    model.weights[16 * index : 16 * index + taps * blocks, :, 3:] = 0
    out = output(config, plane_pitch=rng.randrange(1 << 16), row_step=rng.randint(-100, 100), zero_point=rng.randint(-9, 9))
    return [*set_micro(40 * index, micro), (Opcode.GEOMETRY, setting), out, (Opcode.COMPUTE, compute)]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("stall", [0, 0.6])
def test_shapes(name: str, stall: float) -> None:
    """Columns from one up, one tap and several, between other layers, without more idle cycles than these have."""
    rng = random.Random(name)
    model = make_model(SHAPES[name], np.random.default_rng(8))
    program: Program = []
    sizes = [(3, 1, 3), (4, 2, 3), (2, 7, 1), (2, 8, 3), (1, 13, 2), (2, 5, 5)]
    for index, (rows, columns, taps) in enumerate(sizes):
        blocks = rng.randint(1, 3)
        layer = window_layer(
            rng, model, index, rows=rows, columns=columns, taps=taps, blocks=blocks, first_row=rng.randint(-taps, 1)
        )
        program += layer
        if index % 2:
            program += dense(model.config, index=index + 8, entries=3, groups=3)[0]
    run, _ = execute(model, program, instruction_stall=stall, result_stall=stall, seed=4)
    assert len(run.results) > 20


@pytest.mark.parametrize("name", ["4x4x2", "8x8x4", "8x8x2-int16"])
def test_among_random_layers(name: str) -> None:
    """Nothing of the mode stays behind, and nothing of other layers reaches it."""
    rng = random.Random(name)
    model = make_model(SHAPES[name], np.random.default_rng(9))
    program: Program = []
    for index in range(3):
        program += random_layer(rng, model, index + 10, pixels=20)
        program += window_layer(rng, model, index, rows=3, columns=rng.randint(1, 9), taps=3, blocks=2, first_row=-1)
    execute(model, clean(program), job_stall=0.3)


@pytest.mark.parametrize("name", SHAPES)
def test_golden(name: str) -> None:
    """A depthwise convolution of a whole image of one word of channels."""
    config = SHAPES[name]
    rng = np.random.default_rng(10)
    model = make_model(config, rng)
    rows, columns, channels, zero_point = 5, 6, config.word_channels, -77
    x = rng.integers(-128, 128, (1, rows, columns, channels)).astype(ACTIVATION_TYPES[config.activation_bits])
    kernel = rng.integers(-127, 128, (channels, 3, 3, 1)).astype(np.int8)
    expected = convolution_sums(x, kernel, (1, 1), (1, 1, 1, 1), (1, 1), channels, zero_point)[0].reshape(-1, channels)
    pitch = columns + config.banks
    for row in range(rows):
        model.features[100 + row * pitch : 100 + row * pitch + columns] = x[0, row]
    blocks = config.word_parts
    model.weights[: 3 * blocks] = 0
    for block in range(blocks):
        for row in range(3):
            for o in range(config.output_lanes):
                model.weights[3 * block + row, o, :3] = kernel[block * config.output_lanes + o, row, :, 0]
    program: Program = [
        *set_micro(0, [Micro(offset=pitch * row, row=row) for row in range(3)]),
        geometry(
            config, out_columns=columns, rows=rows, columns=columns, zero_point=zero_point, row_step=pitch - columns, window=1
        ),
        output(config),
        (
            Opcode.COMPUTE,
            {"in_address": 100 - pitch, "in_row": -1, "pixels": rows * columns, "blocks": blocks, "micro_count": 3},
        ),
    ]
    run, _ = execute(model, program)
    found = np.zeros((rows * columns, channels), np.int64)
    for result in run.results:
        for lane, address in result.addresses.items():
            found[address, result.part * config.output_lanes :][: config.output_lanes] = result.sums[lane]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["16x8x1", "4x4x2", "8x8x4"])
@pytest.mark.parametrize("taps", [1, 2, WINDOW_OPERATIONS])
def test_cycles(name: str, taps: int) -> None:
    """A step for each micro-operation of each group, without an idle cycle, also next to other layers."""
    config = SHAPES[name]
    model = make_model(config, np.random.default_rng(11))
    rng = random.Random(taps)
    rows, columns = 4, 9
    program = [
        *dense(config, index=8, entries=2, groups=20)[0],
        *window_layer(rng, model, 0, rows=rows, columns=columns, taps=taps, first_row=-taps // 2),
        *dense(config, index=10, entries=3, groups=4)[0],
    ]
    run, expected = execute(model, program)
    assert expected.cycles[1] == (rows * columns // config.pixel_lanes + 1) * taps
    assert run.gaps == [INSTRUCTION_GAP] * 2


def test_extreme_sums() -> None:
    """Taps at the limits of their range, of either sign, in both pixels that share a multiplier."""
    model = make_model(SHAPES["8x8x4"], np.random.default_rng(12), features=[-128, 127], weights=[-127, 127])
    program = window_layer(random.Random(1), model, 0, rows=6, columns=7, taps=5, blocks=2, first_row=-2)
    execute(model, program)
