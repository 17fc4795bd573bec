"""The pipeline against its model, bit for bit, in every mixture of frames; its latency; resets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig, NumberFormat
from cosoc.gateware.fft.pipeline import FFTPipeline
from tests.gateware.fft.pipeline.simulation import Job, Simulation, job, shapes
from tests.gateware.fft.signals import special_values


def config(max_log2: int, samples: int, bits: int = 0) -> FFTConfig:
    """Block floating point with mantissas of `bits` bits, or float32."""
    if not bits:
        return FFTConfig(max_log2=max_log2, samples=samples)
    return FFTConfig(max_log2=max_log2, samples=samples, number_format=int(NumberFormat.BLOCK_FLOATING_POINT), mantissa_bits=bits)


# Amaranth's simulator runs block floating point several times faster than float32: most tests of the structure take that.
SMALL = [config(5, 1, 16), config(5, 2, 17), config(5, 4, 24), config(4, 1)]


def name(value: FFTConfig) -> str:
    number_format = "float32" if value.number_format == NumberFormat.FLOAT32 else f"block{value.mantissa_bits}"
    return f"{1 << value.max_log2}-p{value.samples}-{number_format}"


@pytest.mark.parametrize("config", SMALL, ids=name)
def test_every_shape_alone(config: FFTConfig) -> None:
    """Results, and the latency of a frame in an empty pipeline."""
    rng = np.random.default_rng(1)
    jobs = [job(rng, *shape) for shape in shapes(config)]
    simulation = Simulation(config)
    starts = []

    async def bench(run: Simulation) -> None:
        for item in jobs:
            starts.append(await run.send(item))
            await run.drain()

    simulation.run(bench)
    simulation.check(jobs)
    for item, start, result in zip(jobs, starts, simulation.results, strict=True):
        top = item.log2_length + item.interleave_log2
        assert result.first_cycle - start == FFTPipeline.latency(config, top)
        assert result.last_cycle - result.first_cycle == (1 << top) // config.samples - 1


@pytest.mark.parametrize("stall", [0, 0.3])
@pytest.mark.parametrize("config", SMALL, ids=name)
def test_any_mixture(config: FFTConfig, stall: float) -> None:
    """Random frames, most of them without a gap, some after a few cycles, some in an empty pipeline."""
    rng = np.random.default_rng(2)
    possible = shapes(config)
    jobs = [job(rng, *possible[rng.integers(len(possible))]) for _ in range(20)]

    async def bench(run: Simulation) -> None:
        for item in jobs:
            await run.send(item)
            gap = rng.integers(0, 10)
            await run.idle(int(rng.integers(1, 60)) if gap == 0 else int(rng.integers(1, 4)) if gap == 1 else 0)
        await run.drain()

    simulation = Simulation(config, stall=stall, seed=3)
    simulation.run(bench)
    simulation.check(jobs)


@pytest.mark.parametrize("config", [config(5, 1, 16), config(5, 4, 16)], ids=name)
def test_every_change_of_length(config: FFTConfig) -> None:
    """Each length after each other one, at every distance at which the second frame could meet the first one."""
    rng = np.random.default_rng(3)
    lengths = range(MIN_LOG2, config.max_log2 + 1)
    jobs: list[Job] = []

    async def bench(run: Simulation) -> None:
        for first, second in itertools.product(lengths, lengths):
            farthest = FFTPipeline.latency(config, first) - FFTPipeline.latency(config, second)
            for gap in {0, max(farthest - 1, 0), max(farthest, 0)}:
                pair = [job(rng, first), job(rng, second)]
                await run.send(pair[0])
                await run.idle(gap)
                await run.send(pair[1])
                await run.drain()
                jobs.extend(pair)

    simulation = Simulation(config)
    simulation.run(bench)
    simulation.check(jobs)


def test_frames_of_one_length_leave_no_gap() -> None:
    small = config(5, 2, 16)
    rng = np.random.default_rng(4)
    jobs = [job(rng, 5) for _ in range(3)] + [job(rng, 3) for _ in range(5)] + [job(rng, 4, 1) for _ in range(2)]

    async def bench(run: Simulation) -> None:
        for item in jobs:
            await run.send(item)
        await run.drain()

    simulation = Simulation(small)
    simulation.run(bench)
    simulation.check(jobs)
    for before, after in itertools.pairwise(simulation.results):
        assert after.first_cycle == before.last_cycle + 1


@pytest.mark.parametrize("config", [config(5, 1, 16), config(4, 2, 16)], ids=name)
def test_reset_leaves_nothing_behind(config: FFTConfig) -> None:
    """Frames before a reset never come out, wherever they were; those after it have every bit right."""
    rng = np.random.default_rng(5)
    before, after = job(rng, config.max_log2), [job(rng, 3), job(rng, config.max_log2)]
    possible = range(0, FFTPipeline.latency(config, config.max_log2), 20)
    wanted: list[Job] = []

    async def bench(run: Simulation) -> None:
        for cycles in possible:
            await run.send(before)
            await run.idle(cycles)
            # What came out until now is not looked at.
            run.results = run.results[: len(wanted)]
            await run.reset()
            for item in after:
                await run.send(item)
            await run.drain()
            wanted.extend(after)

    simulation = Simulation(config)
    simulation.run(bench)
    simulation.check(wanted)


@pytest.mark.parametrize("config", [config(3, 2), config(4, 2, 16), config(4, 1, 24)], ids=name)
def test_special_values(config: FFTConfig) -> None:
    """Infinities, NaN, subnormal numbers, the largest and smallest numbers and signed zeros."""
    rng = np.random.default_rng(6)
    frames = special_values(rng, 24, 1 << config.max_log2)
    jobs = [job(rng, config.max_log2, samples=samples) for samples in frames]

    async def bench(run: Simulation) -> None:
        for item in jobs:
            await run.send(item)
        await run.drain()

    simulation = Simulation(config)
    simulation.run(bench)
    simulation.check(jobs)


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_latency_of_float32(samples: int) -> None:
    for log2_length in range(MIN_LOG2, 17):
        latency = FFTPipeline.latency(config(16, samples), log2_length)
        assert latency <= (1 << log2_length) // samples + 12 * log2_length
