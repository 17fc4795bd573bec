"""The STORE unit against a NumPy reference: every read, transfer and word, in order; and its cycles."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.store import STORE_FINISH, STORE_IDLE, STORE_LATENCY, STORE_START, STORES_RUNNING
from cosoc.gateware.conv2d.store_jobs import TRANSFERS_RUNNING
from tests.gateware.conv2d.store.bench import StoreBench
from tests.gateware.conv2d.store.reference import inside, plain, pooled, random_tile
from tests.gateware.harness import STALLS


def small(bits: int = 8, ports: int = 1) -> Conv2DConfig:
    return Conv2DConfig(activation_bits=bits, memory_ports=ports, input_lanes=8, output_lanes=8, pixel_lanes=1)


CORNERS = {
    "one word": plain(1, 1, 1),
    "one row": plain(1, 9, 2),
    "one column": plain(9, 1, 1),
    "gaps between pixels": plain(3, 4, 2, pixel_pitch=5, row_pitch=70),
    "pixels over one another": plain(2, 3, 2, pixel_pitch=0, row_pitch=0),
    "a pixel of many words": plain(1, 2, 255),
    "wraps in the buffer": plain(3, 4, 2, address=0xFFFA, address_plane_pitch=0xFFF0),
    "part of a tile": plain(
        2, 3, 1, address=77, address_row_pitch=20, address_plane_pitch=500, in_rows=9, in_columns=20, origin_row=3
    ),
    "2x2, stride 2": pooled(6, 8, 2, window=2, stride=2, origin=0),
    "2x2, stride 2, odd": pooled(5, 7, 1, window=2, stride=2, origin=0),
    "3x3, stride 2, padded": pooled(6, 7, 2, window=3, stride=2, origin=-1),
    "5x5, stride 1, padded": pooled(5, 4, 1, window=5, stride=1, origin=-2),
    "15x15 around all": pooled(4, 3, 1, window=15, stride=7, origin=-6),
    "whole tile": pooled(7, 7, 2, window=7, stride=7, origin=0),
    "stride without overlap": pooled(9, 9, 1, window=1, stride=4, origin=0),
    "before the tile": plain(3, 3, 1, window_rows=2, window_columns=2, origin_row=-16, origin_column=-16),
    "behind the tile": plain(2, 3, 1, origin_row=15, origin_column=15),
    "only rows outside": plain(4, 3, 2, origin_row=-2),
    "only columns outside": plain(2, 5, 2, origin_column=-3),
    "rows far away": plain(2, 2, 1, in_rows=4095, origin_row=15, stride_rows=7, address_row_pitch=4095),
}


@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_corners(bits: int, ports: int) -> None:
    StoreBench(small(bits, ports), seed=bits + ports).execute(list(CORNERS.values()))


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("ports", [1, 2])
def test_random_tiles(ports: int, stall: str) -> None:
    rng = random.Random(f"{ports} {stall}")
    bench = StoreBench(small(rng.choice([8, 16]), ports), stalls=(stall, "random"), latency=rng.choice([1, 40]), seed=ports)
    bench.execute([random_tile(rng) for _ in range(40)], cycles=60_000)


def test_all_equal_and_extreme_words() -> None:
    """Maxima of equal, lowest and greatest values; signs decide."""
    for bits in (8, 16):
        bench = StoreBench(small(bits))
        patterns = [0x80, 0x7F, 0x00, 0xFF, 0x01, 0x81]
        for address in range(64):
            bench.buffer[address] = random.Random(address).choices(patterns, k=16)
        bench.execute([pooled(8, 8, 1, window=3, stride=1, origin=-1)])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 64, 1), (8, 8, 1), (64, 1, 1), (4, 4, 8)])
def test_cycles_of_a_copy(shape: tuple[int, int, int]) -> None:
    """n words take n cycles and named constants."""
    bench = StoreBench(small())
    bench.execute([plain(*shape)])
    (engine,) = bench.ports
    count = shape[0] * shape[1] * shape[2]
    first = bench.instruction.taken[0] + STORE_START
    assert engine.read.taken == list(range(first, first + count))
    assert engine.data.taken == [cycle + STORE_LATENCY for cycle in engine.read.taken]
    assert bench.finished == [bench.last_done[0] + STORE_FINISH]


@pytest.mark.parametrize(("window", "stride", "origin"), [(2, 2, 0), (3, 2, -1), (5, 1, -2)])
def test_cycles_of_windows(window: int, stride: int, origin: int) -> None:
    """A cycle for each position inside the tile."""
    bench = StoreBench(small())
    fields = pooled(6, 7, 2, window=window, stride=stride, origin=origin)
    bench.execute([fields])
    rows = sum(len(inside(fields, "row", y)) for y in range(fields["rows"]))
    columns = sum(len(inside(fields, "column", x)) for x in range(fields["columns"]))
    taken = bench.ports[0].read.taken
    assert taken[-1] - taken[0] + 1 == rows * columns * fields["words"]


@pytest.mark.parametrize("origin", [{"origin_row": -16}, {"origin_column": -16}])
def test_cycles_of_empty_windows(origin: dict[str, int]) -> None:
    """A cycle for each word, whichever axis is outside."""
    bench = StoreBench(small())
    bench.execute([plain(4, 5, 2, window_rows=3, window_columns=3, **origin)])
    taken = bench.ports[0].data.taken
    assert taken == list(range(taken[0], taken[0] + 4 * 5 * 2))


@pytest.mark.parametrize("ports", [1, 2])
def test_queued_stores_follow_at_once(ports: int) -> None:
    """Late tokens of the one before do not matter, as long as fewer than `STORES_RUNNING` are awaited."""
    bench = StoreBench(small(ports=ports), latency=60)
    bench.execute([plain(2, 4, 2)] * (STORES_RUNNING - 1))
    for engine in bench.ports:
        words = len(engine.words) // (STORES_RUNNING - 1)
        starts, ends = engine.read.taken[::words], engine.read.taken[words - 1 :: words]
        assert [start - end - 1 for start, end in zip(starts[1:], ends[:-1], strict=True)] == [STORE_IDLE] * (STORES_RUNNING - 2)


def test_many_small_stores() -> None:
    """One-word stores come one per cycle until as many as possible are in flight, and all end."""
    bench = StoreBench(small(), latency=50)
    bench.execute([plain(1, 1, 1)] * (3 * STORES_RUNNING))
    taken = bench.ports[0].read.taken
    assert max(later - earlier for earlier, later in pairwise(taken[:STORES_RUNNING])) <= 4


def test_transfers_in_flight_are_bounded() -> None:
    """A port asks for no more than it can await, also when memory is very late."""
    bench = StoreBench(small(), latency=400)
    bench.execute([plain(2, 60, 1, pixel_pitch=2)])
    asked = bench.ports[0].request.taken
    assert asked[TRANSFERS_RUNNING - 1] < 200 <= asked[TRANSFERS_RUNNING]
