"""The COMPUTE unit against its model."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from cosoc.gateware.conv2d.compute import INSTRUCTION_GAP, first_read_cycles, result_cycles
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import Opcode
from tests.gateware.conv2d.compute.bench import Bench, Run, check, make_model
from tests.gateware.conv2d.compute.model import (
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


def random_layer(rng: random.Random, model: Model, index: int, *, pixels: int = 40, **fixed: int) -> Program:
    """Settings and a COMPUTE. `index` tells which part of the micro-program memory is its own; `fixed` are fields of GEOMETRY."""
    config = model.config
    chosen = {
        "out_columns": rng.choice([1, 2, 3, 5, 7, 8, 9, 13, 17, 40]),
        "stride_columns": rng.randint(1, 4),
        "stride_rows": rng.randint(1, 4),
    }
    setting: Fields = geometry(
        config,
        **(chosen | fixed),
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
        "micro_address": 40 * index + rng.randrange(30),
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


def clean(program: Program) -> Program:
    """The first COMPUTE must not start from accumulators that nothing has set."""
    first = next(i for i, (opcode, _) in enumerate(program) if opcode == Opcode.COMPUTE)
    return [(op, {**fields, "accumulate": 0} if i == first else fields) for i, (op, fields) in enumerate(program)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stalls", ["none", "some", "results"])
def test_random_programs(name: str, stalls: str) -> None:
    seed = f"{name} {stalls}"
    rng = random.Random(seed)
    model = make_model(CONFIGS[name], np.random.default_rng(rng.randrange(1 << 30)))
    program = clean([instruction for i in range(6) for instruction in random_layer(rng, model, i)])
    stall: dict[str, Any] = {
        "none": {},
        "some": {"instruction_stall": 0.5, "result_stall": 0.5, "job_stall": 0.5},
        "results": {"result_stall": 0.95, "job_stall": 0.9},
    }[stalls]
    execute(model, program, **stall)


@pytest.mark.parametrize("name", ["4x4x2", "8x8x4", "16x8x1"])
@pytest.mark.parametrize("out_columns", [1, 7, 8, 13])
def test_every_stride(name: str, out_columns: int) -> None:
    rng = random.Random(f"{name} {out_columns}")
    model = make_model(CONFIGS[name], np.random.default_rng(out_columns))
    fixed = [{"out_columns": out_columns, "stride_columns": s, "stride_rows": t} for s, t in ((1, 1), (2, 3), (3, 2), (4, 4))]
    program = [instruction for i in range(4) for instruction in random_layer(rng, model, i, pixels=30, **fixed[i])]
    execute(model, clean(program), seed=out_columns)


def dense(
    config: Conv2DConfig,
    *,
    index: int,
    entries: int = 1,
    words: int = 1,
    groups: int = 1,
    blocks: int = 1,
    phases: int = 0,
    **more: int,
) -> tuple[Program, int]:
    """A layer whose lanes never share a bank: settings and a COMPUTE; and its cycles per group."""
    micro = [Micro(offset=3 * i, words=words) for i in range(entries)]
    compute = {"pixels": groups * config.pixel_lanes, "blocks": blocks, "block_step": 5, "micro_count": entries, **more}
    program = [
        *set_micro(64 * index, micro),
        geometry(config, out_columns=config.pixel_lanes, rows=4095, columns=32, plane_pitch=7 + index, phases_log2=phases),
        output(config, plane_pitch=9, row_step=index),
        (Opcode.COMPUTE, {"micro_address": 64 * index, **compute}),
    ]
    return program, entries * words * config.word_steps << phases


def result_cycles_of(config: Conv2DConfig) -> int:
    """Cycles in which the output unit takes a group."""
    return max(1, config.pixel_lanes // config.output_pixels)


@pytest.mark.parametrize("name", CONFIGS)
def test_array_never_idles(name: str) -> None:
    """Between groups and blocks there is no idle cycle, and two between instructions, at the full rate of results."""
    config = CONFIGS[name]
    model = make_model(config, np.random.default_rng(1))
    interval = result_cycles_of(config)
    least = -(-interval // config.word_steps)  # micro-operations that take as long as the results of a group
    layers = [{"entries": least, "groups": 40, "blocks": 2}, {"entries": least + 1, "groups": 20, "blocks": 3}]
    layers += [{"entries": 1, "words": least, "groups": 40}, {"entries": 2, "words": 3, "groups": 1, "blocks": 9}]
    layers += [{"entries": 3 * least, "groups": 15, "keep": 1}, {"entries": least, "groups": 30, "phases": 1}]
    program = [instruction for i, layer in enumerate(layers) for instruction in dense(config, index=i, **layer)[0]]
    run, _ = execute(model, program, result_interval=interval)
    assert run.gaps == [INSTRUCTION_GAP] * (len(layers) - 1)


@pytest.mark.parametrize("entries", [1, 2, 3, 4, 9, 25, 49])
def test_micro_programs(entries: int) -> None:
    """Entries of one step each follow each other without a gap."""
    config = CONFIGS["16x8x1"]
    model = make_model(config, np.random.default_rng(entries))
    program = [*dense(config, index=0, entries=entries, groups=30, blocks=2)[0], *dense(config, index=1, entries=5, groups=5)[0]]
    run, expected = execute(model, program)
    assert expected.cycles == [entries * 60, 25]
    assert run.gaps == [INSTRUCTION_GAP]


@pytest.mark.parametrize("name", CONFIGS)
def test_results_set_the_pace(name: str) -> None:
    """A group with fewer steps than its results take cycles costs as many cycles as these."""
    config = CONFIGS[name]
    model = make_model(config, np.random.default_rng(2))
    interval = config.word_steps + 3
    run, _ = execute(model, dense(config, index=0, groups=80)[0], result_interval=interval)
    assert {b - a for a, b in zip(run.accepted, run.accepted[1:], strict=False)} == {interval}


@pytest.mark.parametrize("phases", range(5))
def test_phases(phases: int) -> None:
    config = CONFIGS["8x8x4"]
    model = make_model(config, np.random.default_rng(phases))
    program, cycles = dense(config, index=0, entries=2, groups=3, phases=phases)
    run, expected = execute(model, program)
    assert expected.cycles == [3 * cycles]
    assert run.gaps == []


@pytest.mark.parametrize("name", CONFIGS)
def test_latency(name: str) -> None:
    """The constants of the cycle model."""
    config = CONFIGS[name]
    model = make_model(config, np.random.default_rng(3))
    run, _ = execute(model, dense(config, index=0, entries=5)[0])
    assert run.read[0] - run.taken[-1] == first_read_cycles(config)
    assert run.offered[0] - run.read[-1] == result_cycles(config)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("extremes", ["negative", "mixed"])
def test_extreme_operands(name: str, extremes: str) -> None:
    """The sums of a chain of products at their limits, of either sign in either of the pixels that share a multiplier."""
    config = CONFIGS[name]
    low = -(1 << config.activation_bits - 1)
    features, weights = (low, -127) if extremes == "negative" else ([low, -low - 1], [-127, 127])
    model = make_model(config, np.random.default_rng(4), features=features, weights=weights)
    run, _ = execute(model, dense(config, index=0, entries=2, words=2, groups=10)[0])
    if extremes == "negative":
        products = 4 * config.word_channels
        assert run.results[0].sums[0] == [127 * -low * products] * config.output_lanes


def test_sums_wrap() -> None:
    """8,415 steps of the greatest products exceed 2^31."""
    config = make_config(16, 4, 2)
    model = make_model(config, np.random.default_rng(5), features=-128, weights=-127)
    run, _ = execute(model, dense(config, index=0, entries=33, words=255)[0], cycles=9000)
    assert run.results[0].sums[0][0] == 33 * 255 * 16 * 128 * 127 - (1 << 32)


@pytest.mark.parametrize("groups", [1, 3])
def test_sums_are_kept(groups: int) -> None:
    """A long sum in three parts; between them other results wait."""
    config = CONFIGS["8x8x4"]
    model = make_model(config, np.random.default_rng(6))
    modes: list[dict[str, int]] = [{"keep": 1}, {"keep": 1, "accumulate": 1}, {"accumulate": 1}, {}]
    program = [
        instruction
        for i, mode in enumerate(modes * 3)
        for instruction in dense(config, index=i, entries=1 + i, groups=groups, weight_address=9 * i, **mode)[0]
    ]
    run, _ = execute(model, program, result_stall=0.9, seed=1)
    assert [bool(result.addresses) for result in run.results if result.last] == [False, False, True, True] * 3


@pytest.mark.parametrize(("inputs", "outputs", "pixels", "bits"), [(16, 16, 8, 8), (4, 4, 16, 8), (4, 8, 1, 16)])
def test_other_shapes(inputs: int, outputs: int, pixels: int, bits: int) -> None:
    config = make_config(inputs, outputs, pixels, bits)
    rng = random.Random(inputs + pixels)
    model = make_model(config, np.random.default_rng(7))
    program = clean([instruction for i in range(3) for instruction in random_layer(rng, model, i, pixels=25)])
    execute(model, program, result_stall=0.5, seed=2)
