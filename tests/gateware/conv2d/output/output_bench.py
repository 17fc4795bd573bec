"""An OutputUnit among models of what is around it: results and jobs, channel buffer, feature buffer with stalls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator, SimulatorContext

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.golden import ACTIVATION_TYPES, OutputFormat, requantize
from cosoc.gateware.conv2d.output import OutputUnit
from cosoc.gateware.conv2d.types import ADDRESS_BITS, FEATURE_LATENCY, WEIGHT_LATENCY, FeatureWrite

CHANNEL_BLOCKS = 512


@dataclass(frozen=True)
class Group:
    """A result: `sums` (pixel_lanes, output_lanes), `address` and `valid` by pixel lane, and the place of its block."""

    sums: np.ndarray
    address: np.ndarray
    valid: np.ndarray
    part: int
    channel: int


@dataclass(frozen=True)
class Job:
    """Settings and the results to which they belong, the last of which is marked."""

    output: OutputFormat
    residual_offset: int | None
    groups: list[Group]


@dataclass(frozen=True)
class Surroundings:
    """`words` (65536, 16) uint8 are the feature buffer's, `bias` and `multiplier` (CHANNEL_BLOCKS, output_lanes) the channels'."""

    words: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray


@dataclass(frozen=True)
class Stalls:
    """Probabilities that a stream waits in a cycle: for its source (results, jobs), or for its sink."""

    job: float = 0.0
    result: float = 0.0
    read: float = 0.0
    write: float = 0.0


@dataclass
class Observed:
    """Accepted writes of each port as (cycle, address, data, enable), cycles of `finished` and of taken results."""

    writes: list[list[tuple[int, int, int, int]]]
    finished: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    reads: int = 0


def expected_writes(config: Conv2DConfig, jobs: list[Job], around: Surroundings) -> list[list[tuple[int, int, int]]]:
    """What each write port must accept, in order: address, enabled data, enable."""
    pixels = config.output_pixels
    ports: list[list[tuple[int, int, int]]] = [[] for _ in range(pixels)]
    part_bytes = config.output_lanes * config.activation_bytes
    kind = ACTIVATION_TYPES[config.activation_bits]
    for job in jobs:
        for group in job.groups:
            low = group.part * part_bytes
            residual = None
            if job.residual_offset is not None:
                words = around.words[(group.address + job.residual_offset) % (1 << ADDRESS_BITS)]
                residual = np.ascontiguousarray(words[:, low : low + part_bytes]).view(kind)
            totals = group.sums + around.bias[group.channel]
            results = requantize(totals, around.multiplier[group.channel], job.output, residual)
            for lane in np.flatnonzero(group.valid):
                packed = int.from_bytes(results[lane].tobytes(), "little") << 8 * low
                ports[lane % pixels].append((int(group.address[lane]), packed, ((1 << part_bytes) - 1) << low))
    return ports


class OutputBench:
    """One run of jobs; every stream keeps its payload while it waits."""

    def __init__(self, config: Conv2DConfig, jobs: list[Job], around: Surroundings, stalls: Stalls | None = None, seed: int = 0):
        self.dut = OutputUnit(config)
        self._config = config
        self._around = around
        self._stalls = stalls or Stalls()
        self._rng = np.random.default_rng(seed)
        self._jobs = [self._job(job) for job in jobs]
        self._results = [self._result(group, group is job.groups[-1]) for job in jobs for group in job.groups]
        self._channels = [self._channel(block) for block in range(CHANNEL_BLOCKS)]
        self._observed = Observed([[] for _ in self.dut.write])

    def run(self, limit: int = 20000) -> Observed:
        """Runs until every job finished, and 50 cycles longer; at most `limit` cycles."""
        expected = len(self._jobs)

        async def drive(ctx: SimulatorContext) -> None:
            end = limit
            for cycle in range(limit):
                self._cycle(ctx, cycle)
                await ctx.tick()
                if len(self._observed.finished) >= expected:
                    end = min(end, cycle + 50)
                if cycle >= end:
                    break

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        self._sources = {"job": deque(self._jobs), "result": deque(self._results)}
        self._offered = {"job": False, "result": False}
        self._blocks = deque([0] * WEIGHT_LATENCY)
        self._reads = [deque([None] * FEATURE_LATENCY) for _ in self.dut.read]
        simulator.add_testbench(drive)
        simulator.run()
        return self._observed

    def _cycle(self, ctx: SimulatorContext, cycle: int) -> None:
        dut, stalls, rng = self.dut, self._stalls, self._rng
        for name, port in (("job", dut.job), ("result", dut.result)):
            source = self._sources[name]
            if source and not self._offered[name] and rng.random() >= getattr(stalls, name):
                self._offered[name] = True
                ctx.set(Value.cast(port.payload), source[0])
            ctx.set(port.valid, self._offered[name])
        for read, words in zip(dut.read, self._reads, strict=True):
            word = words.popleft()
            ctx.set(read.valid, word is not None)
            ctx.set(read.data, int(rng.integers(1 << 62)) if word is None else word)
            ctx.set(read.address.ready, rng.random() >= stalls.read)
        for write in dut.write:
            ctx.set(write.ready, rng.random() >= stalls.write)
        ctx.set(Value.cast(dut.channels), self._channels[self._blocks.popleft()])
        self._observe(ctx, cycle)

    def _observe(self, ctx: SimulatorContext, cycle: int) -> None:
        dut, observed = self.dut, self._observed
        self._blocks.append(ctx.get(dut.channel_address))
        for name, port in (("job", dut.job), ("result", dut.result)):
            if self._offered[name] and ctx.get(port.ready):
                self._sources[name].popleft()
                self._offered[name] = False
                if name == "result":
                    observed.taken.append(cycle)
        for read, words in zip(dut.read, self._reads, strict=True):
            accepted = ctx.get(read.address.valid) and ctx.get(read.address.ready)
            word = self._around.words[ctx.get(read.address.payload)] if accepted else None
            words.append(None if word is None else int.from_bytes(word.tobytes(), "little"))
            observed.reads += bool(accepted)
        if ctx.get(dut.finished):
            observed.finished.append(cycle)
        for write, accepted_writes in zip(dut.write, observed.writes, strict=True):
            if ctx.get(write.valid) and ctx.get(write.ready):
                word = FeatureWrite.from_bits(ctx.get(Value.cast(write.payload)))
                enabled = sum(0xFF << 8 * i for i in range(WORD_BYTES) if word.enable >> i & 1)
                accepted_writes.append((cycle, word.address, word.data & enabled, word.enable))

    def _job(self, job: Job) -> int:
        output = job.output
        layout = self.dut.job.payload.shape()
        return int(
            layout.const(
                {
                    "zero_point": output.zero_point,
                    "clamp_min": output.clamp_min,
                    "clamp_max": output.clamp_max,
                    "residual": job.residual_offset is not None,
                    "residual_zero_point": output.residual_zero_point,
                    "residual_multiplier": output.residual_multiplier,
                    "residual_offset": job.residual_offset or 0,
                }
            ).as_bits()
        )

    def _result(self, group: Group, last: bool) -> int:
        layout = self.dut.result.payload.shape()
        valid = sum(int(flag) << lane for lane, flag in enumerate(group.valid))
        return int(
            layout.const(
                {
                    "sums": [[int(value) for value in lane] for lane in group.sums],
                    "address": [int(value) for value in group.address],
                    "valid": valid,
                    "part": group.part,
                    "channel": group.channel,
                    "last": last,
                }
            ).as_bits()
        )

    def _channel(self, block: int) -> int:
        bits = 64 if self._config.activation_bits == 16 else 32
        factors = self._around.multiplier[block].view(np.uint32)
        channels = [
            int(bias) & ((1 << bits) - 1) | int(factor) << bits
            for bias, factor in zip(self._around.bias[block], factors, strict=True)
        ]
        return sum(channel << 8 * self._config.channel_bytes * i for i, channel in enumerate(channels))
