"""A bench around the feature buffer that knows in each cycle who must be served, and each word that must come back."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.features import FeatureBuffer
from cosoc.gateware.conv2d.types import ADDRESS_BITS, FEATURE_LATENCY
from cosoc.gateware.peripheral.core import BEAT_BITS
from tests.gateware.harness import STALLS

ALL_BYTES = (1 << WORD_BYTES) - 1


@dataclass(frozen=True)
class Access:
    """A request: a read, or with `word` a write of the bytes of `enable`."""

    address: int
    word: int = 0
    enable: int = ALL_BYTES


@dataclass
class Requester:
    """One stream of the buffer, with the accesses that wait for it.

    Attributes:
        ready: what the buffer said in this cycle.
        taken: cycles of the accepted accesses.
        expected: (cycle, word) of reads to come.
    """

    stream: Any
    port: Any
    flow: Iterator[bool]
    queue: deque[Access] = field(default_factory=deque)
    offered: bool = False
    taken: list[int] = field(default_factory=list)
    expected: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def writes(self) -> bool:
        return self.port is None


class FeatureBench:
    """Fills the buffer with random words; then `run` plays accesses.

    Args:
        config: the accelerator's parameters.
        stall: a name of `STALLS` for the requesters.
        seed: makes contents and stalls reproducible.

    Attributes:
        output_writes, output_reads, store_reads, load_writes: requesters; all of them in this order of priority in `requesters`.
        lanes: called in each cycle for the array's addresses by lane, at most `pixel_lanes`; lanes without are not enabled.
        words: contents by address, as of the accesses accepted before this cycle.
    """

    def __init__(self, config: Conv2DConfig, *, stall: str = "never", seed: int = 0) -> None:
        self._config = config
        self._rng = random.Random(f"{seed} features")
        self.buffer = FeatureBuffer(config)
        self.words = np.zeros((config.feature_words, WORD_BYTES), np.uint8)
        writes = [
            Requester(port, None, STALLS[stall](random.Random(f"{seed} write {i}"))) for i, port in enumerate(self.buffer.write)
        ]
        reads = [
            Requester(port.address, port, STALLS[stall](random.Random(f"{seed} read {i}")))
            for i, port in enumerate(self.buffer.read)
        ]
        output = config.output_pixels
        self.output_writes, self.load_writes = writes[:output], writes[output:]
        self.output_reads, self.store_reads = reads[:output], reads[output:]
        self.requesters = [*self.output_writes, *self.output_reads, *self.store_reads, *self.load_writes]
        self.lanes: Callable[[int], dict[int, int]] = lambda cycle: {}
        self._pixels: deque[tuple[int, dict[int, tuple[int, int]]]] = deque()

    def run(self, *, cycles: int) -> None:
        """Until all is accepted and has come back; more than `cycles` cycles are a failure.

        Cycles count from 0 when the buffer has its contents.
        """
        waiting = [list(requester.queue) for requester in self.requesters]
        for requester in self.requesters:
            requester.queue.clear()
        self.output_writes[0].queue.extend(Access(i, self._rng.getrandbits(BEAT_BITS)) for i in range(len(self.words)))
        lanes, self.lanes = self.lanes, lambda cycle: {}
        simulator = Simulator(self.buffer)
        simulator.add_clock(1e-8)

        async def bench(ctx: Any) -> None:
            await self._play(ctx, -(10**6), 20 * len(self.words))
            for requester, accesses in zip(self.requesters, waiting, strict=True):
                requester.taken.clear()
                requester.queue.extend(accesses)
            self.lanes = lanes
            await self._play(ctx, 0, cycles)

        simulator.add_testbench(bench)
        simulator.run()

    async def _play(self, ctx: Any, first: int, cycles: int) -> None:
        quiet = 0
        for cycle in range(first, first + cycles):
            lanes = self._drive(ctx, cycle)
            self._check_ready(ctx)
            self._check_words(ctx, cycle)
            self._accept(ctx, cycle, lanes)
            quiet = 0 if any(requester.queue for requester in self.requesters) else quiet + 1
            await ctx.tick()
            if quiet > FEATURE_LATENCY + 1:
                return
        left = [len(requester.queue) for requester in self.requesters]
        raise AssertionError(f"{left} accesses of the requesters were not accepted within {cycles} cycles")

    def _drive(self, ctx: Any, cycle: int) -> dict[int, int]:
        for requester in self.requesters:
            requester.offered = requester.offered or (bool(requester.queue) and next(requester.flow))
            access = (
                requester.queue[0] if requester.offered else Access(self._rng.getrandbits(ADDRESS_BITS), self._rng.getrandbits(128))
            )
            payload = access.address
            if requester.writes:
                payload |= access.word << ADDRESS_BITS | access.enable << ADDRESS_BITS + BEAT_BITS
            ctx.set(requester.stream.valid, requester.offered)
            ctx.set(Value.cast(requester.stream.payload), payload)
        lanes = self.lanes(cycle)
        ctx.set(self.buffer.pixels.enable, sum(1 << lane for lane in lanes))
        for lane in range(self._config.pixel_lanes):
            ctx.set(self.buffer.pixels.address[lane], lanes.get(lane, self._rng.getrandbits(ADDRESS_BITS)))
        return lanes

    def _bank(self, ctx: Any, requester: Requester) -> int:
        return int(ctx.get(Value.cast(requester.stream.payload)[:ADDRESS_BITS])) % self._config.banks

    def _check_ready(self, ctx: Any) -> None:
        """Exactly those wait that have someone before them on their bank."""
        occupied: set[int] = set()
        for i, requester in enumerate(self.requesters):
            bank = self._bank(ctx, requester)
            assert ctx.get(requester.stream.ready) == (bank not in occupied), f"ready of requester {i}"
            if requester.offered:
                occupied.add(bank)

    def _check_words(self, ctx: Any, cycle: int) -> None:
        """What was accepted `FEATURE_LATENCY` cycles ago is there, and `valid` comes for nothing else."""
        for requester in self.requesters:
            if requester.writes:
                continue
            due = bool(requester.expected) and requester.expected[0][0] == cycle
            assert ctx.get(requester.port.valid) == due
            if due:
                assert ctx.get(requester.port.data) == requester.expected.popleft()[1]
        if self._pixels and self._pixels[0][0] == cycle:
            for lane, allowed in self._pixels.popleft()[1].items():
                assert ctx.get(self.buffer.pixels.data[lane]) in allowed, f"lane {lane}"

    def _accept(self, ctx: Any, cycle: int, lanes: dict[int, int]) -> None:
        """Reads get the contents before this cycle; the array where it meets a write may also get those after it."""
        before = {lane: self._word(address) for lane, address in lanes.items()}
        for requester in self.requesters:
            if not (requester.offered and ctx.get(requester.stream.ready)):
                continue
            access = requester.queue.popleft()
            requester.offered = False
            requester.taken.append(cycle)
            if not requester.writes:
                requester.expected.append((cycle + FEATURE_LATENCY, self._word(access.address)))
                continue
            for byte in range(WORD_BYTES):
                if access.enable >> byte & 1:
                    self.words[access.address % len(self.words), byte] = access.word >> 8 * byte & 0xFF
        banks = [address % self._config.banks for address in lanes.values()]
        alone = {lane: address for lane, address in lanes.items() if banks.count(address % self._config.banks) == 1}
        if alone:
            self._pixels.append((cycle + FEATURE_LATENCY, {lane: (before[lane], self._word(at)) for lane, at in alone.items()}))

    def _word(self, address: int) -> int:
        return int.from_bytes(self.words[address % len(self.words)].tobytes(), "little")
