"""Queues under random stalls against a deque: every payload once and in order, rate, latency, capacity, flags."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from cosoc.gateware.conv2d.queue import Queue, RegisterSlice, Tally

WIDTH = 16


def run(
    dut: Any, *, capacity: int, put: float, take: float, cycles: int = 500, bounded: bool = False
) -> tuple[list[int], list[int]]:
    """The cycles of payloads in and out; the sides are ready as `put` and `take` tell. `bounded` offers only what fits."""
    rng = random.Random(f"{capacity} {put} {take}")
    inside: deque[int] = deque()
    puts, takes = [], []

    async def testbench(ctx: Any) -> None:
        offered = False
        for cycle in range(cycles):
            if not offered:
                offered = rng.random() < put and not (bounded and len(inside) == capacity)
                ctx.set(dut.input.payload, rng.getrandbits(WIDTH))
            ctx.set(dut.input.valid, offered)
            accepts = dut.input.ready, dut.output.valid, dut.output.payload
            before = [ctx.get(signal) for signal in accepts]
            ctx.set(dut.output.ready, rng.random() < take)
            ready, valid, payload = (ctx.get(signal) for signal in accepts)
            assert before == [ready, valid, payload], "a handshake went through in one cycle"
            assert ready == (len(inside) < capacity)
            assert valid == bool(inside)
            if isinstance(dut, Queue):
                assert ctx.get(dut.level) == len(inside)
            if valid:
                assert payload == inside[0]
            if valid and ctx.get(dut.output.ready):
                inside.popleft()
                takes.append(cycle)
            if offered and ready:
                inside.append(ctx.get(dut.input.payload))
                puts.append(cycle)
                offered = False
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return puts, takes


QUEUES = {"one": (lambda: Queue(WIDTH, 1), 1), "four": (lambda: Queue(WIDTH), 4), "ten": (lambda: Queue(WIDTH, 10), 10)}
QUEUES |= {f"front {depth}": (lambda depth=depth: Queue(WIDTH, depth, front=True), depth) for depth in (2, 4, 16)}
QUEUES["slice"] = (lambda: RegisterSlice(WIDTH), 2)


@pytest.mark.parametrize("name", QUEUES)
@pytest.mark.parametrize(("put", "take"), [(1, 1), (0.5, 0.5), (1, 0.2), (0.2, 1), (0.9, 0.8)])
def test_random_stalls(name: str, put: float, take: float) -> None:
    make, capacity = QUEUES[name]
    puts, takes = run(make(), capacity=capacity, put=put, take=take)
    assert len(puts) - capacity <= len(takes) <= len(puts)
    assert len(takes) > 50


@pytest.mark.parametrize(("put", "take"), [(1, 1), (1, 0.2), (0.9, 0.8)])
def test_bounded(put: float, take: float) -> None:
    puts, takes = run(Queue(WIDTH, 10, bounded=True), capacity=10, put=put, take=take, bounded=True)
    assert len(puts) - 10 <= len(takes) <= len(puts)


@pytest.mark.parametrize("name", ["four", "ten", "front 4", "slice"])
def test_full_rate_a_cycle_later(name: str) -> None:
    make, capacity = QUEUES[name]
    puts, takes = run(make(), capacity=capacity, put=1, take=1)
    assert puts == list(range(500))
    assert takes == list(range(1, 500))


@pytest.mark.parametrize("take", [1, 0.9, 0.5, 0.1])
@pytest.mark.parametrize(("depth", "behind"), [(4, 0), (10, 0), (6, 1), (8, 2)])
def test_space(depth: int, behind: int, take: float) -> None:
    """Whoever puts something `behind` cycles after there was `space` never finds the queue full, and never leaves it empty."""
    queue, rng, empty = Queue(WIDTH, depth, bounded=True, behind=behind), random.Random(take), []
    on_way = deque([0] * behind)

    async def testbench(ctx: Any) -> None:
        inside: deque[int] = deque()
        for cycle in range(500):
            on_way.append(ctx.get(queue.space))
            puts, takes = on_way.popleft(), rng.random() < take
            ctx.set(queue.input.valid, puts)
            ctx.set(queue.input.payload, cycle)
            ctx.set(queue.output.ready, takes)
            if ctx.get(queue.output.valid):
                assert ctx.get(queue.output.payload) == inside[0]
            else:
                empty.append(cycle)
            if takes and inside:
                inside.popleft()
            if puts:
                assert ctx.get(queue.input.ready)
                inside.append(cycle)
            await ctx.tick()

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert empty == list(range(1 + behind))


def test_tally() -> None:
    """Counts from `init` between zero and the limit; `some` tells of zero in the same cycle."""
    m = Module()
    up, down, tally = Signal(), Signal(), Tally(3, name="count", init=3)
    tally.count(m, up=up, down=down)
    rng = random.Random(0)

    async def testbench(ctx: Any) -> None:
        value = 3
        for _ in range(300):
            assert (ctx.get(tally.value), ctx.get(tally.some)) == (value, value != 0)
            ups, downs = rng.choice([(u, d) for u in (0, 1) for d in (0, 1) if 0 <= value + u - d <= 3])
            ctx.set(up, ups)
            ctx.set(down, downs)
            value += ups - downs
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
