"""Twins of folded words, of which one pass over a row makes both: where they begin and go, and that they cost no cycle."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cosoc.gateware.conv2d.config import WORD_BYTES
from cosoc.gateware.conv2d.load import LOAD_IDLE
from tests.gateware.conv2d.load.test_load import ALL, EMPTY, MEMORY, LoadBench, plain, small
from tests.gateware.conv2d.load.tiles import ADDRESSES, pixels_of_word, random_folded

DISTANCES = [(stride, twin) for stride in range(2, 8) for twin in range(1, stride)]


@pytest.mark.parametrize("stalls", ["never", "random"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_stride_and_distance(bits, channels, stalls):
    """Channels that are skipped and kept are random; tiles without twins lie between some."""
    rng = random.Random(f"{bits} {channels} {stalls}")
    config = small(bits)
    distances = [*DISTANCES, *((stride, 0) for stride in range(1, 8))]
    tiles = [
        random_folded(rng, config, 300 * i, channels) | {"columns": rng.randint(8, 24), "fold_stride": stride, "twin": twin}
        for i, (stride, twin) in enumerate(rng.sample(distances, len(distances)))
    ]
    LoadBench(config, stalls=(stalls,), seed=channels).execute(tiles)


@pytest.mark.parametrize("twin_skip", [0, 1, 2])
@pytest.mark.parametrize("fold_skip", [0, 1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_words_and_twins_skip_channels_of_their_own(bits, fold_skip, twin_skip):
    """In rows that follow one another, and with twins that begin with the next pixel."""
    size = bits // 8
    bench = LoadBench(small(bits))
    skips = {"fold_skip": fold_skip, "twin_skip": twin_skip}
    bench.execute([plain(2, 12, fold_channels=3, fold_stride=2, twin=1, twin_offset=100, **skips)])
    for row in range(2):
        channels = b"".join(MEMORY[16 * (12 * row + p) :][: 3 * size] for p in range(12))
        for k in range(3):
            begin = size * (6 * k + fold_skip)
            assert bytes(bench.buffer[12 * row + k]) == channels[begin:][:WORD_BYTES]
            begin = size * (6 * k + 3 + twin_skip)
            assert bytes(bench.buffer[100 + 12 * row + k]) == channels[begin:][:WORD_BYTES]


@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (8, 3), (16, 3), (16, 4)])
def test_ends_of_rows(bits, channels):
    """Without words, with a word alone, with a twin less than words and with as many: all in order, row by row.

    Rows end with a word, with a twin, or with neither; what follows is the next row, another tile, or one without twins.
    """
    config = small(bits)
    taken = pixels_of_word(config, channels)
    for stride, twin in DISTANCES:
        fields = {"fold_channels": channels, "fold_stride": stride, "twin": twin, "twin_offset": 0x1000}
        tiles, expected = [], []
        ends = {taken + end - short for end in (0, twin, stride, stride + twin) for short in (0, 1)}
        for i, columns in enumerate(sorted(ends)):
            address = 200 * i
            tiles.append(plain(2, columns, address=address, address_row_pitch=50, **fields))
            tiles.append(plain(1, columns, address=address + 100, **fields | {"twin": 0}))
            for row in range(2):
                for k in range(3):
                    word = address + 50 * row + k
                    expected += [word] if k * stride + taken <= columns else []
                    expected += [word + 0x1000] if k * stride + twin + taken <= columns else []
            expected += [address + 100 + k for k in range(3) if k * stride + taken <= columns]
        bench = LoadBench(config, latency=3)
        bench.execute(tiles)
        assert [address for _, address, _ in bench.writes] == expected


@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("address", [0, 4, ADDRESSES - 3])
@pytest.mark.parametrize("offset", [-0x8000, -0x7FFF, -40, 40, 0x7FFF])
def test_offsets_wrap(offset, address, ports):
    """From a row that begins at the buffer's end, or to one that does."""
    bench = LoadBench(small(ports=ports), stalls=("random",))
    bench.execute([plain(2, 9, address=address, fold_channels=4, fold_stride=2, twin=1, twin_offset=offset)])
    words = {(address + 9 * row + k) % ADDRESSES for row in range(2) for k in range(3)}
    assert set(bench.buffer) == words | {(word + offset) % ADDRESSES for word in words}


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_twins_write_the_other_channels_of_words(bits, offset):
    """Each keeps what the other one writes; what none of them writes stays as it was."""
    size, lanes, row = bits // 8, 128 // bits, 64
    for low in range(1, lanes - 1):
        kept = {"fold_keep_high": lanes - low, "twin_keep_low": low, "twin_keep_high": 1}
        fields = {"fold_channels": 3, "fold_stride": 3, "fold_skip": 1, "twin": 2, "twin_offset": offset}
        bench = LoadBench(small(bits), stalls=("random",), seed=low)
        bench.execute([plain(1, 15, address=row, **fields | kept)])
        channels = b"".join(MEMORY[16 * p :][: 3 * size] for p in range(15))
        taken = -(-(lanes + 2) // 3)
        words, twins = (15 - taken) // 3 + 1, (15 - taken - 2) // 3 + 1
        for k in range(min(0, offset), max(words, twins + offset)):
            expected = bytearray([EMPTY] * WORD_BYTES)
            if 0 <= k < words:
                expected[: low * size] = channels[size * (9 * k + 1) :][: low * size]
            if 0 <= k - offset < twins:
                expected[low * size : -size] = channels[size * (9 * (k - offset) + 6) :][low * size : WORD_BYTES - size]
            assert bench.buffer.get(row + k, bytearray([EMPTY] * WORD_BYTES)) == expected


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_twins_of_blank_rows_hold_the_zero_point(bits, channels):
    config = small(bits)
    fields = {"fold_channels": channels, "fold_stride": 2, "twin": 1, "twin_offset": 300, "zero_point": -0x35}
    tiles = [plain(2, 20, address=100 * i, **fields, fold_blank=i % 2) for i in range(3)]
    bench = LoadBench(config)
    bench.execute(tiles)
    blank = (-0x35 % (1 << bits)).to_bytes(bits // 8, "little") * config.word_channels
    assert {bytes(bench.buffer[400 + column]) for column in range(2)} == {blank}


@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_twins_take_no_cycles(bits, ports):
    """A tile takes as long with as without them: a cycle for each pixel, though nearly each one ends a word."""
    config = small(bits, ports)
    fields = {"fold_channels": 4, "fold_stride": 2, "fold_left": 3, "fold_right": 3, "twin_offset": 2000}
    tiles = [plain(4, 20, address=100 * i, address_row_pitch=25, **fields, twin=i % 3 > 0) for i in range(9)]
    bench = LoadBench(config, latency=10)
    bench.execute(tiles)
    assert np.diff(bench.finished).tolist() == [4 // ports * (3 + 20 + 3) + LOAD_IDLE] * 8


def test_fields_of_twins_do_not_matter_without_them():
    bench = LoadBench(small())
    unused = {"twin_offset": 77, "twin_skip": 2, "twin_keep_low": 9, "twin_keep_high": 5}
    bench.execute([plain(2, 12, fold_channels=3, fold_stride=2, twin=0, **unused)])
    assert sorted(bench.writes) == [(0, 12 * row + k, ALL) for row in range(2) for k in range(4)]
