"""Drives a dispatcher with commands, memory and four units that finish when they like, and checks every step it takes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.sim import Simulator

from cosoc.gateware.conv2d.dispatch import COMPLETIONS, DISPATCH_LATENCY, QUEUE_DEPTH, Dispatcher
from cosoc.gateware.conv2d.gate import ROOM_MARGIN
from cosoc.gateware.conv2d.isa import Unit
from cosoc.gateware.layout.page import COMMAND_WORDS
from tests.gateware.conv2d.dispatch.reference import CONFIG, Expected, Stream

SLACK = 4
"""Cycles by which an instruction or a completion may come later than the model says."""


@dataclass
class Behaviour:
    """How the surroundings behave: the chance that each moves in a cycle.

    Attributes:
        durations: makes the cycles that an instruction takes in its unit.
        memory: cycles from a request to its first beat.
    """

    commands: float = 1.0
    requests: float = 1.0
    beats: float = 1.0
    accepts: float = 1.0
    completions: float = 1.0
    memory: int = 16
    durations: Callable[[random.Random, Unit], int] = lambda rng, _: rng.randint(1, 20)


class DispatchBench:
    """Runs a `Stream` to its end.

    Args:
        prompt: nothing may come later than the model says.

    Attributes:
        cycles: of the run, from the first to the last.
        starts: for every unit, the cycles in which its instructions were taken.
    """

    def __init__(self, stream: Stream, behaviour: Behaviour, *, seed: int, count_bits: int = 16, prompt: bool = True) -> None:
        self.cycles = 0
        self.starts: dict[Unit, list[int]] = {unit: [] for unit in Unit}
        self.finished_at: dict[Unit, list[int]] = {unit: [] for unit in Unit}
        self._stream = stream
        self._behaviour = behaviour
        self._prompt = prompt
        self._rng = random.Random(seed)
        self._dut = Dispatcher(CONFIG, count_bits=count_bits)
        self._offered: dict[Unit, bool] = dict.fromkeys(Unit, False)
        self._counted_starts: dict[Unit, deque[int]] = {unit: deque() for unit in Unit}
        self._commands = deque(enumerate(stream.commands))
        self._requests: deque[tuple[int, int]] = deque()
        self._requested = [0] * len(stream.commands)
        self._beats: deque[tuple[int, int]] = deque()
        self._beat_taken: list[int] = []
        self._completed: list[int] = []
        self._entered: dict[int, int] = {}
        self._completion_offered = False
        self._shown: dict[str, Any] = {}

    def run(self, *, limit: int) -> None:
        """Runs until all commands are completed.

        Raises:
            AssertionError: the dispatcher did something wrong, or not enough within `limit` cycles.
        """
        sim = Simulator(self._dut)
        sim.add_clock(1e-6)

        async def test(ctx: Any) -> None:
            await self._test(ctx, limit)

        sim.add_testbench(test)
        sim.run()
        assert len(self._completed) == len(self._stream.commands), f"{len(self._completed)} completions in {limit} cycles"
        for unit in Unit:
            assert len(self.starts[unit]) == len(self._stream.units[unit]), unit.name
        for (_, length), requested in zip(self._stream.transfers, self._requested, strict=True):
            assert requested == length

    async def _test(self, ctx: Any, limit: int) -> None:
        for now in range(limit):
            self._command(ctx)
            self._memory(ctx, now)
            for unit in Unit:
                self._unit(ctx, unit, now)
            self._completion(ctx, now)
            await ctx.tick()
            if self._ended():
                self.cycles = now
                break
        for _ in range(10):
            assert not any(ctx.get(port.valid) for port in (*self._dut.instruction, self._dut.completion, self._dut.read.request))
            await ctx.tick()

    def _ended(self) -> bool:
        """Settings behind the last counted instruction may come after the last completion."""
        started = all(len(self.starts[unit]) == len(self._stream.units[unit]) for unit in Unit)
        return started and len(self._completed) == len(self._stream.commands)

    def _moves(self, chance: float) -> bool:
        return self._rng.random() < chance

    def _offer(self, ctx: Any, port: Any, payload: int | None, chance: float, name: str) -> bool:
        """Offers a payload, which stays until it is taken; tells whether it is taken now."""
        valid = payload is not None and (self._shown.get(name, False) or self._moves(chance))
        ctx.set(port.valid, valid)
        if valid:
            ctx.set(port.payload.as_value() if hasattr(port.payload, "as_value") else port.payload, payload)
        taken = valid and bool(ctx.get(port.ready))
        self._shown[name] = valid and not taken
        return taken

    def _command(self, ctx: Any) -> None:
        payload = None
        if self._commands and self._commands[0][0] - len(self._completed) < 15:
            index, words = self._commands[0]
            payload = words | index % 16 << 32 * COMMAND_WORDS
        if self._offer(ctx, self._dut.command, payload, self._behaviour.commands, "command"):
            self._commands.popleft()

    def _memory(self, ctx: Any, now: int) -> None:
        request = self._dut.read.request
        ready = self._moves(self._behaviour.requests)
        ctx.set(request.ready, ready)
        if ready and ctx.get(request.valid):
            payload = request.payload
            self._request(ctx.get(payload.address), ctx.get(payload.length), ctx.get(payload.sequence), now)
        beat = self._beats[0][1] if self._beats and self._beats[0][0] <= now else None
        if self._offer(ctx, self._dut.read.data, beat, self._behaviour.beats, "beat"):
            self._beats.popleft()
            self._beat_taken.append(now)

    def _request(self, address: int, length: int, sequence: int, now: int) -> None:
        """Transfers go through the commands in order, and each through its instructions from the first to the last."""
        command = next(i for i, (_, size) in enumerate(self._stream.transfers) if self._requested[i] < size)
        first, size = self._stream.transfers[command]
        assert sequence == command % 16
        assert address == first + self._requested[command]
        assert length == min(2048, size - self._requested[command])
        self._requested[command] += length
        for at in range(address, address + length, 32):
            word = self._stream.memory[at]
            self._beats.extend((now + self._behaviour.memory, half) for half in (word & (1 << 128) - 1, word >> 128))

    def _unit(self, ctx: Any, unit: Unit, now: int) -> None:
        port = self._dut.instruction[unit]
        running = self._counted_starts[unit]
        finishes = bool(running) and running[0] <= now
        ctx.set(self._dut.finished[unit], finishes)
        ready = self._moves(self._behaviour.accepts)
        ctx.set(port.ready, ready)
        if ctx.get(port.valid):
            assert len(self.starts[unit]) < len(self._stream.units[unit]), f"{unit.name} got an instruction too many"
            expected = self._stream.units[unit][len(self.starts[unit])]
            assert ctx.get(port.payload.word) == expected.word, f"{unit.name} got another instruction than {expected}"
            if not self._offered[unit]:
                self._check_moment(expected, now)
            self._offered[unit] = not ready
            if ready:
                assert expected.memory is None or ctx.get(port.payload.memory) == expected.memory
                assert ctx.get(port.payload.sequence) == expected.sequence
                self.starts[unit].append(now)
                if expected.counted:
                    duration = self._behaviour.durations(self._rng, unit)
                    running.append(max(now + duration, running[-1] + 1 if running else 0))
        else:
            assert not self._offered[unit], f"{unit.name}: an instruction was withdrawn"
        if finishes:
            running.popleft()
            self.finished_at[unit].append(now)

    def _reached(self, targets: dict[Unit, int]) -> int | None:
        """The cycle in which the last target was reached, if it was."""
        cycle = -SLACK
        for unit, target in targets.items():
            if target > len(self.finished_at[unit]):
                return None
            if target > 0:
                cycle = max(cycle, self.finished_at[unit][target - 1])
        return cycle

    def _check_moment(self, expected: Expected, now: int) -> None:
        """An instruction is offered: not before its waits are over, and not long after it could be."""
        reached = self._reached(expected.targets)
        assert reached is not None, f"{expected.unit.name} {len(self.starts[expected.unit])} starts early, in cycle {now}"
        before = self.starts[expected.unit][-1] if self.starts[expected.unit] else 0
        may = max(self._enters(expected) + DISPATCH_LATENCY, before + 2, reached + 2)
        assert now <= may + SLACK or not self._prompt, (
            f"{expected.unit.name} {len(self.starts[expected.unit])} could start at {may}, not at {now}"
        )

    def _enters(self, expected: Expected) -> int:
        """The cycle in which an instruction could enter the dispatcher, by the room in front of the units."""
        index = len(self.starts[expected.unit])
        enters = self._beat_taken[2 * expected.position + 1]
        for unit in Unit:
            queue = self._stream.units[unit]
            # The youngest instruction of this unit that must be dispatched before, and the one that made room for it.
            last = index if unit == expected.unit else _count_before(queue, expected.position) - 1
            left = last - (QUEUE_DEPTH - ROOM_MARGIN)
            if left >= 0:
                enters = max(enters, self.starts[unit][left] + 3 if left < len(self.starts[unit]) else enters)
        oldest = expected.command - (COMPLETIONS - ROOM_MARGIN)
        if oldest >= 0:
            enters = max(enters, self._completed[oldest] + 4 if oldest < len(self._completed) else enters)
        previous = max((cycle for position, cycle in self._entered.items() if position < expected.position), default=-2)
        self._entered[expected.position] = max(enters, previous)
        return self._entered[expected.position]

    def _completion(self, ctx: Any, now: int) -> None:
        port = self._dut.completion
        ready = self._moves(self._behaviour.completions)
        ctx.set(port.ready, ready)
        if not ctx.get(port.valid):
            return
        index = len(self._completed)
        reached = self._reached(self._stream.finished[index])
        assert reached is not None, f"command {index} completes early"
        assert ctx.get(port.payload.error) == self._stream.errors[index], f"command {index}"
        if self._prompt and not self._completion_offered and self._completed and not self._stream.errors[index]:
            fetched = self._beat_taken[2 * self._stream.fetched_by[index] - 1]
            may = max(reached, self._completed[-1], fetched + DISPATCH_LATENCY) + 3
            assert now <= may + SLACK, f"command {index} could complete at {may}, not at {now}"
        self._completion_offered = not ready
        if ready:
            self._completed.append(now)


def _count_before(queue: list[Expected], position: int) -> int:
    low, high = 0, len(queue)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if queue[middle].position < position else (low, middle)
    return low
