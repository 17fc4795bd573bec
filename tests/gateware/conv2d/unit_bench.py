"""A bench around a unit that executes instructions, in Amaranth's simulator: instructions, memory ports, sinks, `finished`.

Everything happens in one loop, a cycle per turn: streams are driven, their handshakes are looked at, the clock ticks. Each stream
stalls on its own, and the bench checks that what is offered stays offered.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Value
from amaranth.sim import Simulator

from cosoc.gateware.conv2d.isa import INSTRUCTION_BITS, INSTRUCTIONS, Opcode
from cosoc.gateware.conv2d.types import UnitInstruction
from cosoc.gateware.peripheral.core import BEAT_BYTES, Transfer
from tests.gateware.harness import STALLS, little_endian


class Source:
    """Drives a stream with payloads, each not before its cycle."""

    def __init__(self, stream: Any, stall: str, seed: str) -> None:
        self._stream = stream
        self._flow = STALLS[stall](random.Random(seed))
        self._offered = False
        self.queue: deque[tuple[int, int]] = deque()
        self.taken: list[int] = []

    def drive(self, ctx: Any, cycle: int) -> None:
        if not self._offered and self.queue and self.queue[0][0] <= cycle and next(self._flow):
            self._offered = True
            ctx.set(Value.cast(self._stream.payload), self.queue[0][1])
        ctx.set(self._stream.valid, self._offered)

    def look(self, ctx: Any, cycle: int) -> None:
        if self._offered and ctx.get(self._stream.ready):
            self.queue.popleft()
            self._offered = False
            self.taken.append(cycle)


class Sink:
    """Takes a stream's payloads."""

    def __init__(self, stream: Any, stall: str, seed: str, on_payload: Callable[[int, int], None]) -> None:
        self._stream = stream
        self._flow = STALLS[stall](random.Random(seed))
        self._on_payload = on_payload
        self._offered: int | None = None
        self._ready = False
        self.taken: list[int] = []

    def drive(self, ctx: Any, cycle: int) -> None:
        self._ready = next(self._flow)
        ctx.set(self._stream.ready, self._ready)

    def look(self, ctx: Any, cycle: int) -> None:
        if not ctx.get(self._stream.valid):
            assert self._offered is None, f"{self._offered:#x} was withdrawn"
            return
        payload = ctx.get(Value.cast(self._stream.payload))
        assert self._offered in (None, payload), "a payload changed before it was taken"
        self._offered = None if self._ready else payload
        if self._ready:
            self.taken.append(cycle)
            self._on_payload(payload, cycle)


@dataclass(frozen=True)
class BenchInstruction:
    """An instruction for a unit: `base` is the byte address that its base register would have."""

    opcode: Opcode
    fields: Mapping[str, int]
    base: int = 0
    sequence: int = 0

    @property
    def memory(self) -> int:
        return self.base + BEAT_BYTES * self.fields.get("offset", 0)

    def payload(self) -> int:
        word = int.from_bytes(little_endian(INSTRUCTIONS[self.opcode].encode(self.fields), 4), "little")
        return word | self.memory << INSTRUCTION_BITS | self.sequence << INSTRUCTION_BITS + 64


class UnitBench:
    """Runs instructions on a unit with ports `instruction`, `finished`, `read`.

    Args:
        unit: the component.
        memory: bytes from `origin` up.
        origin: address of the first byte of memory.
        stalls: a name of `STALLS` for each port's streams; the first also for the instructions.
        latency: cycles from a request to its first beat.
        seed: makes stalls reproducible.

    Attributes:
        finished: cycles of the pulses.
        requests: of each port: (address, length, sequence).
        sources, sinks: every stream; `data[p]` and `instruction` are sources.
        on_finished: called with the count of finished instructions.
    """

    def __init__(
        self, unit: Any, memory: bytes, *, origin: int = 0, stalls: tuple[str, ...] = ("never",), latency: int = 1, seed: int = 0
    ) -> None:
        self.unit = unit
        self.finished: list[int] = []
        self.on_finished: Callable[[int], None] = lambda count: None
        self._memory, self._origin, self._latency = memory, origin, latency
        ports = len(unit.read)
        self._stalls = [stalls[port % len(stalls)] for port in range(ports)]
        self._seed = seed
        self.requests: list[list[tuple[int, int, int]]] = [[] for _ in range(ports)]
        self.instruction = Source(unit.instruction, stalls[0], f"{seed} instruction")
        self.data = [Source(port.data, self._stalls[i], f"{seed} data {i}") for i, port in enumerate(unit.read)]
        self.request = [
            Sink(port.request, self._stalls[i], f"{seed} request {i}", lambda payload, cycle, i=i: self._ask(i, payload, cycle))
            for i, port in enumerate(unit.read)
        ]
        self.streams: list[Source | Sink] = [self.instruction, *self.data, *self.request]
        assert len(Value.cast(unit.instruction.payload)) == UnitInstruction.size

    def sink(self, port: int, stream: Any, on_payload: Callable[[int, int], None]) -> Sink:
        """Adds a sink of the unit's results that stalls like the port."""
        sink = Sink(stream, self._stalls[port], f"{self._seed} sink {port}", on_payload)
        self.streams.append(sink)
        return sink

    def run(
        self,
        instructions: Iterable[BenchInstruction],
        *,
        cycles: int,
        rest: int = 20,
        each: Callable[[Any, int], None] | None = None,
    ) -> None:
        """Executes instructions, and some idle cycles; `each` is called in every cycle, after `on_finished`.

        Args:
            cycles: limit; above it the unit is taken to hang.
            rest: idle cycles after the last end.
        """
        expected = len(self.finished)
        for instruction in instructions:
            self.instruction.queue.append((0, instruction.payload()))
            expected += 1
        simulator = Simulator(self.unit)
        simulator.add_clock(1e-8)

        async def bench(ctx: Any) -> None:
            remaining = rest
            for cycle in range(cycles):
                for stream in self.streams:
                    stream.drive(ctx, cycle)
                for stream in self.streams:
                    stream.look(ctx, cycle)
                if ctx.get(self.unit.finished):
                    self.finished.append(cycle)
                    self.on_finished(len(self.finished))
                if each is not None:
                    each(ctx, cycle)
                remaining -= len(self.finished) == expected
                if remaining == 0:
                    break
                await ctx.tick()

        simulator.add_testbench(bench)
        simulator.run()
        assert len(self.finished) == expected, f"{len(self.finished)} of {expected} instructions finished within {cycles} cycles"
        assert not any(source.queue for source in self.data), "data was left"

    def _ask(self, port: int, payload: int, cycle: int) -> None:
        address, length, sequence = payload & (1 << 64) - 1, payload >> 64 & (1 << 32) - 1, payload >> 96
        assert Transfer.size == 100
        assert length > 0
        assert length % BEAT_BYTES == 0
        start = address - self._origin
        assert 0 <= start <= start + length <= len(self._memory), f"{length} bytes at {address:#x} are outside memory"
        self.requests[port].append((address, length, sequence))
        for at in range(start, start + length, BEAT_BYTES):
            beat = int.from_bytes(self._memory[at : at + BEAT_BYTES], "little")
            self.data[port].queue.append((cycle + self._latency, beat))
