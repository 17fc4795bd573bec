"""A bench around the STORE unit: a feature buffer that may let it wait, and memory that takes its transfers."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.isa import Opcode
from cosoc.gateware.conv2d.store import StoreUnit
from cosoc.gateware.conv2d.types import FEATURE_LATENCY
from tests.gateware.conv2d.store.reference import ADDRESSES, PortWork, expected_work
from tests.gateware.conv2d.unit_bench import BenchInstruction, Sink, Source
from tests.gateware.harness import STALLS

ORIGIN = 0x1234_FFFF_FF00
"""Rows cross a multiple of 2^32."""


class BeatSink(Sink):
    """Takes beats, but none before its transfer was asked for."""

    def __init__(self, *arguments: Any, may_take: Callable[[], bool]) -> None:
        super().__init__(*arguments)
        self._may_take = may_take

    def drive(self, ctx: Any, cycle: int) -> None:
        self._ready = self._may_take() and next(self._flow)
        ctx.set(self._stream.ready, self._ready)


class BenchPort:
    """The feature buffer and memory as one engine sees them.

    Attributes:
        reads, transfers, words: what the engine did, in order; a transfer is (address, length, sequence).
        done: number of tokens that it got.
        read, request, data: the sinks, with the cycles in which they took something.
    """

    def __init__(self, unit: StoreUnit, port: int, buffer: NDArray[np.uint8], stall: str, latency: int, seed: int) -> None:
        self._read, self._write = unit.read[port], unit.write[port]
        self._buffer, self._latency = buffer, latency
        self._rng = random.Random(f"{seed} port {port}")
        self._done_flow = STALLS[stall](random.Random(f"{seed} done {port}"))
        self.reads: list[int] = []
        self.transfers: list[tuple[int, int, int]] = []
        self.words: list[bytes] = []
        self.done = 0
        self._on_way: deque[tuple[int, int]] = deque()
        self._missing: deque[int] = deque()
        self._full: deque[int] = deque()
        self.read = Sink(self._read.address, stall, f"{seed} read {port}", self._accept)
        self.request = Sink(self._write.request, stall, f"{seed} request {port}", self._ask)
        self.data = BeatSink(self._write.data, stall, f"{seed} data {port}", self._fill, may_take=lambda: bool(self._missing))

    def drive(self, ctx: Any, cycle: int) -> None:
        for sink in (self.read, self.request, self.data):
            sink.drive(ctx, cycle)
        arrives = bool(self._on_way) and self._on_way[0][0] == cycle
        word = bytes(self._buffer[self._on_way.popleft()[1]]) if arrives else self._rng.randbytes(WORD_BYTES)
        ctx.set(self._read.valid, arrives)
        ctx.set(self._read.data, int.from_bytes(word, "little"))
        done = bool(self._full) and self._full[0] <= cycle and next(self._done_flow)
        if done:
            self._full.popleft()
            self.done += 1
        ctx.set(self._write.done.valid, done)

    def look(self, ctx: Any, cycle: int) -> None:
        for sink in (self.read, self.request, self.data):
            sink.look(ctx, cycle)

    def _accept(self, address: int, cycle: int) -> None:
        self.reads.append(address)
        self._on_way.append((cycle + FEATURE_LATENCY, address))

    def _ask(self, payload: int, cycle: int) -> None:
        address, length, sequence = payload & (1 << 64) - 1, payload >> 64 & (1 << 32) - 1, payload >> 96
        assert length > 0, "a transfer of no bytes"
        assert length % WORD_BYTES == 0, f"a transfer of {length} bytes"
        self.transfers.append((address, length, sequence))
        self._missing.append(length // WORD_BYTES)

    def _fill(self, beat: int, cycle: int) -> None:
        self.words.append(beat.to_bytes(WORD_BYTES, "little"))
        self._missing[0] -= 1
        if self._missing[0] == 0:
            self._missing.popleft()
            self._full.append(cycle + self._latency)


class StoreBench:
    """Executes instructions, and compares all that the unit does with the reference.

    Args:
        config: the accelerator's parameters.
        stalls: a name of `STALLS` for each port; the first also for the instructions.
        latency: cycles from the last beat of a transfer to its `done`.
        seed: makes the buffer and the stalls reproducible.

    Attributes:
        buffer: (2^16, 16) bytes by address.
        ports: what the engines did.
        instruction: source of the instructions, with the cycles in which they were taken.
        finished: cycles of the pulses.
        last_done: for each pulse, the cycle of the token that it waited for.
    """

    def __init__(self, config: Conv2DConfig, *, stalls: Sequence[str] = ("never",), latency: int = 1, seed: int = 0) -> None:
        self._config, self._seed = config, seed
        self.unit = StoreUnit(config)
        self.buffer = np.random.default_rng(seed).integers(0, 256, (ADDRESSES, WORD_BYTES), np.uint8)
        names = [stalls[port % len(stalls)] for port in range(config.memory_ports)]
        self.ports = [BenchPort(self.unit, port, self.buffer, name, latency, seed) for port, name in enumerate(names)]
        self.instruction = Source(self.unit.instruction, stalls[0], f"{seed} instruction")
        self.finished: list[int] = []
        self.last_done: list[int] = []

    def execute(self, tiles: Sequence[Mapping[str, int]], *, cycles: int = 20_000) -> None:
        """Runs all tiles; more than `cycles` are taken to be a hang."""
        program = [
            BenchInstruction(Opcode.STORE, {**fields, "offset": 3 * count}, ORIGIN, count % 16)
            for count, fields in enumerate(tiles)
        ]
        work = [expected_work(self._config, item.fields, self.buffer, item.memory) for item in program]
        self.instruction.queue.extend((0, item.payload()) for item in program)
        simulator = Simulator(self.unit)
        simulator.add_clock(1e-8)

        async def bench(ctx: Any) -> None:
            await self._run(ctx, work, cycles)

        simulator.add_testbench(bench)
        simulator.run()
        for port, engine in enumerate(self.ports):
            mine = [parts[port] for parts in work]
            assert engine.reads == [address for part in mine for address in part.reads]
            assert engine.transfers == [(*each, count % 16) for count, part in enumerate(mine) for each in part.transfers]
            assert engine.words == [word for part in mine for word in part.words]

    async def _run(self, ctx: Any, work: list[list[PortWork]], cycles: int) -> None:
        needed = np.cumsum([[len(part.transfers) for part in parts] for parts in work], axis=0)
        done_at: list[list[int]] = [[] for _ in self.ports]
        idle = 0
        for cycle in range(cycles):
            for item in (self.instruction, *self.ports):
                item.drive(ctx, cycle)
            for item in (self.instruction, *self.ports):
                item.look(ctx, cycle)
            for port, engine in enumerate(self.ports):
                done_at[port] += [cycle] * (engine.done - len(done_at[port]))
            if ctx.get(self.unit.finished):
                count = len(self.finished)
                assert count < len(work), "an end without an instruction"
                before = [
                    done_at[port][total - 1] if total <= len(done_at[port]) else None
                    for port, total in enumerate(needed[count])
                    if total
                ]
                assert None not in before, f"instruction {count} finished before its writes were done"
                self.finished.append(cycle)
                self.last_done.append(max(at for at in before if at is not None))
            idle = idle + 1 if len(self.finished) == len(work) else 0
            if idle == 30:
                return
            await ctx.tick()
        raise AssertionError(f"{len(self.finished)} of {len(work)} instructions finished within {cycles} cycles")
