"""The output unit against the golden rule: placement, order, stalls, several jobs in flight, cycles."""

from __future__ import annotations

import numpy as np
import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.golden import OutputFormat
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION
from cosoc.gateware.conv2d.output import OUTPUT_LATENCY, RESIDUAL_LATENCY, slices_per_group
from tests.gateware.conv2d.output.output_bench import (
    CHANNEL_BLOCKS,
    Group,
    Job,
    Observed,
    OutputBench,
    Stalls,
    Surroundings,
    expected_writes,
)

WIDE = Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=8)
"""Two pixels per slice, four slices per result, four parts per word."""

CONFIGS = [
    WIDE,
    Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=1),
    Conv2DConfig(input_lanes=4, output_lanes=8, pixel_lanes=2),
    Conv2DConfig(input_lanes=4, output_lanes=16, pixel_lanes=4),
    Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=16),
    Conv2DConfig(input_lanes=4, output_lanes=8, pixel_lanes=4, activation_bits=16),
    Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=8, activation_bits=16),
]


def surroundings(config: Conv2DConfig, rng: np.random.Generator) -> Surroundings:
    shape = (CHANNEL_BLOCKS, config.output_lanes)
    return Surroundings(
        words=rng.integers(0, 256, (1 << 16, 16), np.uint8),
        bias=rng.integers(-50000, 50000, shape),
        multiplier=rng.uniform(1e-4, 4e-3, shape).astype(np.float32),
    )


def make_group(config: Conv2DConfig, rng: np.random.Generator, valid: int | None = None) -> Group:
    """A result with the first `valid` lanes valid, or all."""
    lanes = config.pixel_lanes
    return Group(
        sums=rng.integers(-200000, 200000, (lanes, config.output_lanes)),
        address=rng.integers(0, 1 << 16, lanes),
        valid=np.arange(lanes) < (lanes if valid is None else valid),
        part=int(rng.integers(config.word_parts)),
        channel=int(rng.integers(CHANNEL_BLOCKS)),
    )


def make_job(config: Conv2DConfig, rng: np.random.Generator, groups: list[Group], residual: bool) -> Job:
    limit = 1 << config.activation_bits - 1
    low, high = sorted(int(value) for value in rng.integers(-limit, limit, 2))
    output = OutputFormat(
        activation_bits=config.activation_bits,
        zero_point=int(rng.integers(-limit, limit)),
        clamp_min=low,
        clamp_max=high,
        residual_zero_point=int(rng.integers(-limit, limit)),
        residual_multiplier=int(rng.integers(1 << RESIDUAL_FRACTION[config.activation_bits] + 1)),
    )
    return Job(output, int(rng.integers(1 << 16)) if residual else None, groups)


def random_jobs(config: Conv2DConfig, rng: np.random.Generator, count: int) -> list[Job]:
    """Jobs of 1 to 5 results; the last result of a job is partial, now and then without any lane."""
    jobs = []
    for _ in range(count):
        groups = [make_group(config, rng) for _ in range(rng.integers(0, 5))]
        groups.append(make_group(config, rng, int(rng.integers(0, config.pixel_lanes + 1))))
        jobs.append(make_job(config, rng, groups, bool(rng.integers(2))))
    return jobs


def check(config: Conv2DConfig, jobs: list[Job], around: Surroundings, observed: Observed) -> None:
    """All writes and no others, in order; every job finishes once, after its own writes and all before."""
    expected = expected_writes(config, jobs, around)
    assert [[write[1:] for write in port] for port in observed.writes] == expected
    assert len(observed.finished) == len(jobs)
    before = np.zeros(config.output_pixels, int)
    for job, finished in zip(jobs, observed.finished, strict=True):
        before += [len(port) for port in expected_writes(config, [job], around)]
        for port, count in zip(observed.writes, before, strict=True):
            assert count == 0 or port[count - 1][0] < finished
    words = sum(int(group.valid.sum()) for job in jobs if job.residual_offset is not None for group in job.groups)
    assert observed.reads == words


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_jobs_without_stalls(config: Conv2DConfig) -> None:
    rng = np.random.default_rng(1)
    around = surroundings(config, rng)
    jobs = random_jobs(config, rng, 12)
    check(config, jobs, around, OutputBench(config, jobs, around).run())


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "stalls",
    [
        Stalls(job=0.7, result=0.1),
        Stalls(read=0.8),
        Stalls(write=0.8),
        Stalls(job=0.3, result=0.3, read=0.4, write=0.4),
        Stalls(read=0.97, write=0.1),
        Stalls(read=0.1, write=0.97),
    ],
    ids=str,
)
def test_random_stalls(stalls: Stalls, seed: int) -> None:
    rng = np.random.default_rng(seed)
    around = surroundings(WIDE, rng)
    jobs = random_jobs(WIDE, rng, 16)
    check(WIDE, jobs, around, OutputBench(WIDE, jobs, around, stalls, seed).run())


@pytest.mark.parametrize("config", CONFIGS[1:3] + CONFIGS[5:], ids=str)
def test_random_stalls_everywhere(config: Conv2DConfig) -> None:
    rng = np.random.default_rng(9)
    around = surroundings(config, rng)
    jobs = random_jobs(config, rng, 12)
    stalls = Stalls(job=0.2, result=0.3, read=0.5, write=0.5)
    check(config, jobs, around, OutputBench(config, jobs, around, stalls).run())


def test_writes_that_never_start_hold_everything_and_lose_nothing() -> None:
    """With the sinks closed, at least the write queues fill; the unit stops taking results, and no job ever finishes."""
    rng = np.random.default_rng(5)
    around = surroundings(WIDE, rng)
    jobs = [make_job(WIDE, rng, [make_group(WIDE, rng) for _ in range(40)], residual=True)]
    observed = OutputBench(WIDE, jobs, around, Stalls(write=1.0)).run(limit=400)
    assert observed.finished == []
    assert observed.writes == [[], []]
    assert 8 <= len(observed.taken) < 40


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("config", [WIDE, CONFIGS[1], CONFIGS[5]], ids=str)
def test_one_slice_per_cycle(config: Conv2DConfig, residual: bool) -> None:
    """Full results of jobs of one and more results: no idle cycle between slices, results and jobs, also before the first."""
    rng = np.random.default_rng(2)
    around = surroundings(config, rng)
    jobs = [make_job(config, rng, [make_group(config, rng) for _ in range(n)], residual) for n in (1, 1, 1, 5, 1, 2, 10, 1, 20)]
    observed = OutputBench(config, jobs, around).run()
    check(config, jobs, around, observed)
    slices = sum(len(job.groups) for job in jobs) * slices_per_group(config)
    first = OUTPUT_LATENCY + residual * RESIDUAL_LATENCY
    for port in observed.writes:
        assert [write[0] for write in port] == list(range(first, first + slices))
    assert observed.finished[-1] == first + slices


def test_jobs_with_and_without_residual_alternate_at_full_rate() -> None:
    """A residual delays the first slice that has one, and nothing after it."""
    rng = np.random.default_rng(3)
    around = surroundings(WIDE, rng)
    jobs = [make_job(WIDE, rng, [make_group(WIDE, rng)], residual=bool(n % 2)) for n in range(20)]
    observed = OutputBench(WIDE, jobs, around).run()
    check(WIDE, jobs, around, observed)
    cycles = [write[0] for write in observed.writes[0]]
    slices = len(jobs) * slices_per_group(WIDE)
    assert cycles[0] == OUTPUT_LATENCY
    assert cycles[-1] == OUTPUT_LATENCY + RESIDUAL_LATENCY + slices - 1


def test_partial_results_take_no_slice_above_their_lanes() -> None:
    rng = np.random.default_rng(4)
    around = surroundings(WIDE, rng)
    valid = [8, 1, 2, 3, 0, 5, 8, 6, 7, 4]
    jobs = [make_job(WIDE, rng, [make_group(WIDE, rng, count) for count in valid], residual=False)]
    observed = OutputBench(WIDE, jobs, around).run()
    check(WIDE, jobs, around, observed)
    slices = [max(1, -(-count // WIDE.output_pixels)) for count in valid]
    assert np.diff(observed.taken, prepend=-1).tolist() == slices


def test_lanes_that_are_not_valid_are_not_written_wherever_they_are() -> None:
    rng = np.random.default_rng(6)
    around = surroundings(WIDE, rng)
    groups = []
    for mask in (0b10000001, 0b00010000, 0b01100110, 0b10000000, 0):
        group = make_group(WIDE, rng)
        groups.append(
            Group(group.sums, group.address, np.array([mask >> lane & 1 for lane in range(8)]), group.part, group.channel)
        )
    jobs = [make_job(WIDE, rng, groups, residual) for residual in (True, False)]
    check(WIDE, jobs, around, OutputBench(WIDE, jobs, around, Stalls(read=0.3, write=0.3)).run())
