"""The feature buffer: who is served in each cycle, every word that comes back, and when."""

from __future__ import annotations

import random
from itertools import product

import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.types import ADDRESS_BITS
from tests.gateware.conv2d.features.bench import ALL_BYTES, Access, FeatureBench
from tests.gateware.harness import STALLS

SIZES = [(1, 1), (2, 2), (8, 1)]
"""Pixel lanes and memory ports."""


def config(pixel_lanes: int, memory_ports: int) -> Conv2DConfig:
    return Conv2DConfig(pixel_lanes=pixel_lanes, memory_ports=memory_ports, feature_words=256)


def random_access(rng: random.Random, addresses: list[int]) -> Access:
    enable = rng.choice([ALL_BYTES, 0, 0xFF, 0xF0F0, rng.getrandbits(16)])
    return Access(rng.choice(addresses), rng.getrandbits(128), enable)


def random_lanes(rng: random.Random, bench_config: Conv2DConfig, rows: list[int], *, apart: bool) -> dict[int, int]:
    """Addresses of some lanes; `apart` on different banks."""
    lanes = [lane for lane in range(bench_config.pixel_lanes) if rng.random() < 0.8]
    banks = range(bench_config.banks)
    chosen = rng.sample(banks, len(lanes)) if apart else rng.choices(banks, k=len(lanes))
    return {lane: rng.choice(rows) * bench_config.banks + bank for lane, bank in zip(lanes, chosen, strict=True)}


@pytest.mark.parametrize(("size", "stall"), [*product(SIZES, STALLS), ((16, 2), "random")])
def test_random_accesses(size: tuple[int, int], stall: str) -> None:
    """Everybody at once on few words: conflicts of all kinds, reads of what was just written, lanes that share a bank."""
    parameters = config(*size)
    rng = random.Random(f"{size} {stall}")
    bench = FeatureBench(parameters, stall=stall, seed=1)
    rows = [rng.randrange((1 << ADDRESS_BITS) // parameters.banks) for _ in range(3)]
    addresses = [row * parameters.banks + bank for row in rows for bank in range(parameters.banks)]
    for requester in bench.requesters:
        requester.queue.extend(random_access(rng, addresses) for _ in range(60))
    bench.lanes = lambda cycle: random_lanes(rng, parameters, rows, apart=cycle % 5 != 0)
    bench.run(cycles=4000)


@pytest.mark.parametrize("size", SIZES)
def test_one_bank_is_never_idle(size: tuple[int, int]) -> None:
    """All requesters want one bank: one access per cycle, strictly in the order of priority, and nobody is forgotten."""
    parameters = config(*size)
    bench = FeatureBench(parameters)
    for i, requester in enumerate(bench.requesters):
        requester.queue.extend(Access(parameters.banks * (i + row), i) for row in range(5))
    bench.run(cycles=200)
    assert [cycle for requester in bench.requesters for cycle in requester.taken] == list(range(5 * len(bench.requesters)))


@pytest.mark.parametrize("size", SIZES)
def test_pauses_let_the_others_pass(size: tuple[int, int]) -> None:
    """The last in the order gets every cycle that those before it leave."""
    bench = FeatureBench(config(*size), stall="alternating")
    first, last = bench.requesters[0], bench.requesters[-1]
    first.queue.extend(Access(0, i) for i in range(20))
    last.queue.extend(Access(0, i) for i in range(20))
    bench.run(cycles=200)
    assert last.taken[-1] <= first.taken[-1] + 1


@pytest.mark.parametrize("size", SIZES)
def test_different_banks_never_wait(size: tuple[int, int]) -> None:
    """As many requesters as there are banks, each on a bank of its own in every cycle, beside the array on all its lanes."""
    parameters = config(*size)
    bench = FeatureBench(parameters)
    parallel = bench.requesters[: parameters.banks]
    for i, requester in enumerate(parallel):
        requester.queue.extend(Access(i + 3 * cycle, cycle, 0x0FF0) for cycle in range(100))
    bench.lanes = lambda cycle: {lane: 5 * cycle + 2 * lane for lane in range(parameters.pixel_lanes)}
    bench.run(cycles=200)
    assert all(requester.taken == list(range(100)) for requester in parallel)


@pytest.mark.parametrize("size", SIZES)
def test_reads_see_the_write_of_the_cycle_before(size: tuple[int, int]) -> None:
    """A write, and in the next cycle the array's read of it; both ports of the bank alternate on one word."""
    parameters = config(*size)
    bench = FeatureBench(parameters)
    bench.load_writes[0].queue.extend(Access(address, ~address & (1 << 128) - 1) for address in range(64))
    seen = []

    def lanes(cycle: int) -> dict[int, int]:
        seen.append(cycle)
        return {0: cycle - 1} if 1 <= cycle <= 64 else {}

    bench.lanes = lanes
    bench.run(cycles=200)
    assert bench.load_writes[0].taken == list(range(64))
    assert seen[:65] == list(range(65))
