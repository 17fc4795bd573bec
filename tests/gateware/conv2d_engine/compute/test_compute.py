"""The COMPUTE unit against its model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cosoc.gateware.conv2d_engine.config import Conv2DConfig
from cosoc.gateware.conv2d_engine.isa import Opcode
from tests.gateware.conv2d_engine.compute.bench import Bench, Run, check, make_model
from tests.gateware.conv2d_engine.compute.model import (
    Fields,
    Micro,
    Model,
    Program,
    Trace,
    geometry,
    output,
    phases_needed,
    set_micro,
)


def make_config(inputs: int, outputs: int, pixels: int, bits: int = 8) -> Conv2DConfig:
    return Conv2DConfig(
        activation_bits=bits, input_lanes=inputs, output_lanes=outputs, pixel_lanes=pixels, feature_words=1024, weight_steps=128
    )


SMALL = make_config(4, 4, 2)
CONFIGS = {
    "4x4x2": SMALL,
    "16x8x1": make_config(16, 8, 1),
    "16x8x2": make_config(16, 8, 2),
    "8x8x4": make_config(8, 8, 4),
    "8x8x2-int16": make_config(8, 8, 2, bits=16),
}


def execute(model: Model, program: Program, *, cycles: int = 20000, **bench: Any) -> tuple[Run, Trace]:
    """Runs and compares."""
    expected = model.run(program)
    run = Bench(model, **bench).run(program, expected=expected, cycles=cycles)
    check(run, expected)
    return run, expected


def random_layer(rng: random.Random, model: Model, *, pixels: int = 40, out_columns: int | None = None) -> Program:
    """Settings and a COMPUTE that can run after anything."""
    config = model.config
    columns = out_columns or rng.choice([1, 2, 3, 5, 7, 8, 9, 13, 17, 40])
    setting: Fields = geometry(
        config,
        out_columns=columns,
        stride_columns=rng.randint(1, 4),
        stride_rows=rng.randint(1, 4),
        rows=rng.choice([1, 2, 9, 30]),
        columns=rng.choice([1, 3, 11, 60]),
        plane_pitch=rng.randrange(1 << 16),
        zero_point=rng.randint(-128, 127),
        row_step=rng.randint(-200, 200),
    )[1]
    micro = [
        Micro(rng.randint(-300, 300), rng.randint(-4, 4), rng.randint(-4, 4), rng.choice([1, 1, 2, 3]))
        for _ in range(rng.choice([1, 2, 5]))
    ]
    compute = {
        "in_address": rng.randrange(1 << 16),
        "in_row": rng.randint(-6, 4),
        "in_column": rng.randint(-6, 4),
        "out_address": rng.randrange(1 << 16),
        "out_part": rng.randrange(config.word_parts),
        "residual_address": rng.randrange(1 << 16),
        "weight_address": rng.randrange(1 << 16),
        "channel_address": rng.randrange(512),
        "pixels": rng.randint(1, pixels),
        "blocks": rng.randint(1, 3),
        "block_step": rng.randrange(1 << 16),
        "micro_address": rng.randrange(1000),
        "micro_count": len(micro),
        "accumulate": int(rng.random() < 0.2),
        "keep": int(rng.random() < 0.2),
    }
    phases = phases_needed(model, setting, compute, micro)
    out = output(
        config,
        plane_pitch=rng.randrange(1 << 16),
        row_step=rng.randint(-100, 100),
        zero_point=rng.randint(-128, 127),
        clamp_min=rng.randint(-128, 127),
        clamp_max=rng.randint(-128, 127),
        residual=rng.randint(0, 1),
        residual_zero_point=rng.randint(-128, 127),
        residual_multiplier=rng.randrange(1 << 28),
    )
    settings = [*set_micro(compute["micro_address"], micro), (Opcode.GEOMETRY, {**setting, "phases_log2": phases}), out]
    rng.shuffle(settings)
    return [*settings, (Opcode.COMPUTE, compute)]


# The first COMPUTE of a program must not start from accumulators that nothing has set.
def clean(program: Program) -> Program:
    first = next(i for i, (opcode, _) in enumerate(program) if opcode == Opcode.COMPUTE)
    return [(op, {**fields, "accumulate": 0} if i == first else fields) for i, (op, fields) in enumerate(program)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stalls", ["none", "some", "results"])
def test_random_programs(name: str, stalls: str) -> None:
    seed = f"{name} {stalls}"
    rng = random.Random(seed)
    model = make_model(CONFIGS[name], np.random.default_rng(rng.randrange(1 << 30)))
    program = clean([instruction for _ in range(6) for instruction in random_layer(rng, model)])
    stall = {
        "none": {},
        "some": {"instruction_stall": 0.5, "result_stall": 0.5, "job_stall": 0.5},
        "results": {"result_stall": 0.95, "job_stall": 0.9},
    }[stalls]
    execute(model, program, seed=rng.randrange(1 << 30), **stall)
