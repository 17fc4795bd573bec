"""Runs frames through the pipeline in Amaranth's simulator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig
from cosoc.gateware.fft.frame import CONTEXT_BITS, output_order
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.fft.transform import transform
from tests.gateware.fft.signals import white_noise


@dataclass(frozen=True)
class Job:
    """A frame to transform."""

    log2_length: int
    interleave_log2: int
    inverse: bool
    scaled: bool
    context: int
    samples: np.ndarray

    def tag(self) -> dict[str, int]:
        """The fields of `Frame`."""
        names = ("log2_length", "interleave_log2", "inverse", "scaled", "context")
        return {name: int(getattr(self, name)) for name in names}

    def expected(self, config: FFTConfig) -> list[int]:
        """What the pipeline must give, in its order."""
        columns = self.samples.reshape(-1, 1 << self.interleave_log2).T
        result = transform(
            np.ascontiguousarray(columns),
            self.inverse,
            scaled=self.scaled,
            interleave_log2=self.interleave_log2,
            config=config,
        )
        return words(result.T.ravel()[output_order(self.log2_length, self.interleave_log2)])


@dataclass
class Result:
    """A frame that came out; cycles are enabled ones."""

    tag: dict[str, int]
    first_cycle: int
    last_cycle: int = 0
    samples: list[int] = field(default_factory=list)


def words(samples: np.ndarray) -> list[int]:
    return [int(word) for word in np.ascontiguousarray(samples, np.complex64).view("<u8")]


def job(rng: np.random.Generator, log2_length: int, interleave_log2: int = 0, *, samples: np.ndarray | None = None) -> Job:
    """A frame of white noise or of `samples`, with random flags."""
    inverse, scaled = (bool(flag) for flag in rng.integers(0, 2, 2))
    if samples is None:
        samples = white_noise(rng, 1 << log2_length + interleave_log2)
    return Job(log2_length, interleave_log2, inverse, scaled, int(rng.integers(0, 1 << CONTEXT_BITS)), samples)


def shapes(config: FFTConfig) -> list[tuple[int, int]]:
    """All pairs of log2_length and interleave_log2."""
    return [
        (log2_length, interleave_log2)
        for log2_length in range(MIN_LOG2, config.max_log2 + 1)
        for interleave_log2 in range(config.max_log2 - log2_length + 1)
    ]


class Simulation:
    """One run: `send` frames, `idle` or `reset` in between, in a test bench given to `run`.

    Args:
        stall: probability that a cycle is not enabled.
    """

    def __init__(self, config: FFTConfig, *, stall: float = 0, seed: int = 0) -> None:
        self.config = config
        self.results: list[Result] = []
        self.cycle = 0  # enabled cycles
        self._stall = stall
        self._rng = random.Random(seed)
        self._reset = Signal()
        self._pipeline = FFTPipeline(config)

    def run(self, bench) -> None:
        """Runs `await bench(self)`."""

        async def wrapped(context):
            self._context = context
            await bench(self)

        simulator = Simulator(ResetInserter(self._reset)(self._pipeline))
        simulator.add_clock(1e-6)
        simulator.add_testbench(wrapped)
        simulator.run()

    async def send(self, item: Job) -> int:
        """One frame without a gap; returns the cycle of its first samples."""
        first_cycle, per_beat = -1, self.config.samples
        data = words(item.samples)
        for start in range(0, len(data), per_beat):
            beat = sum(word << 64 * lane for lane, word in enumerate(data[start : start + per_beat]))
            cycle = await self._step(beat, item.tag() if start == 0 else None, valid=True)
            first_cycle = cycle if start == 0 else first_cycle
        return first_cycle

    async def idle(self, cycles: int) -> None:
        for _ in range(cycles):
            await self._step(self._rng.getrandbits(64 * self.config.samples), None, valid=False)

    async def drain(self) -> None:
        await self.idle(FFTPipeline.latency(self.config, self.config.max_log2) + 1)

    async def reset(self) -> None:
        self._context.set(self._reset, 1)
        await self._context.tick()
        self._context.set(self._reset, 0)

    async def _step(self, beat: int, tag: dict[str, int] | None, *, valid: bool) -> int:
        """One enabled cycle, after as many others as it stalls."""
        context, pipeline = self._context, self._pipeline
        while self._rng.random() < self._stall:
            context.set(pipeline.en, 0)
            await context.tick()
        context.set(pipeline.en, 1)
        context.set(pipeline.i.as_value(), beat)
        context.set(pipeline.i_valid, valid)
        context.set(pipeline.i_first, tag is not None)
        if tag is not None:
            context.set(pipeline.i_frame, tag)
        self._collect()
        self.cycle += 1
        await context.tick()
        return self.cycle - 1

    def _collect(self) -> None:
        context, pipeline = self._context, self._pipeline
        if not context.get(pipeline.o_valid):
            assert not context.get(pipeline.o_first)
            return
        if context.get(pipeline.o_first):
            tag = context.get(pipeline.o_frame)
            names = ("log2_length", "interleave_log2", "inverse", "scaled", "context")
            self.results.append(Result({name: int(tag[name]) for name in names}, self.cycle))
        beat = context.get(pipeline.o.as_value())
        self.results[-1].samples += [beat >> 64 * lane & (1 << 64) - 1 for lane in range(self.config.samples)]
        self.results[-1].last_cycle = self.cycle

    def check(self, jobs: Sequence[Job]) -> None:
        """All frames came out, in order, with every bit as expected."""
        assert [result.tag for result in self.results] == [item.tag() for item in jobs]
        for result, item in zip(self.results, jobs, strict=True):
            assert result.samples == item.expected(self.config), item.tag()
