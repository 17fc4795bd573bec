"""The LOAD unit against a NumPy reference, byte by byte, with stalls on every stream; and its cycles."""

from __future__ import annotations

import random

import numpy as np
import pytest
from amaranth.back import rtlil

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.fork import JOIN_LATENCY
from cosoc.gateware.conv2d.isa import Opcode
from cosoc.gateware.conv2d.load import LOAD_IDLE, LOAD_LATENCY, LOAD_REQUEST_LATENCY, LoadUnit
from tests.gateware.conv2d.load.tiles import ADDRESSES, Word, expected_words, random_folded, random_plain
from tests.gateware.conv2d.unit_bench import BenchInstruction, UnitBench

ORIGIN = 0x1234_FFFF_F000
"""Rows cross a multiple of 2^32."""

MEMORY = random.Random(1).randbytes(1024 * WORD_BYTES)

EMPTY = 0xEE

ALL = (1 << WORD_BYTES) - 1
"""The whole word is written."""


def small(bits: int = 8, ports: int = 1) -> Conv2DConfig:
    return Conv2DConfig(activation_bits=bits, memory_ports=ports, input_lanes=8, output_lanes=8, pixel_lanes=1)


class LoadBench(UnitBench):
    """Writes go into `buffer`; when an instruction finishes, its words must be there, and no other bytes be written at the end.

    Bytes that are not written are `EMPTY`.
    """

    def __init__(self, config: Conv2DConfig, **arguments: object) -> None:
        super().__init__(LoadUnit(config), MEMORY, origin=ORIGIN, **arguments)
        self.config = config
        self.buffer: dict[int, bytearray] = {}
        self.writes: list[tuple[int, int, int]] = []
        self.results = [
            self.sink(port, stream, lambda payload, cycle, port=port: self._write(port, payload))
            for port, stream in enumerate(self.unit.write)
        ]
        self._expected: list[list[Word]] = []
        self.on_finished = self._check

    def execute(self, tiles: list[dict[str, int]], *, cycles: int = 20_000) -> None:
        program = [BenchInstruction(Opcode.LOAD, fields, ORIGIN, count % 16) for count, fields in enumerate(tiles)]
        self._expected = [expected_words(self.config, fields, MEMORY) for fields in tiles]
        self.run(program, cycles=cycles)
        words = [(word.port, word.address, word.enable) for expected in self._expected for word in expected]
        assert sorted(self.writes) == sorted(words)
        for port, requests in enumerate(self.requests):
            assert requests == self._expected_requests(tiles, port)

    def _write(self, port: int, payload: int) -> None:
        address, word, enable = payload % ADDRESSES, payload >> 16 & (1 << 128) - 1, payload >> 144
        self.writes.append((port, address, enable))
        content = self.buffer.setdefault(address, bytearray([EMPTY] * WORD_BYTES))
        for byte, value in enumerate(word.to_bytes(WORD_BYTES, "little")):
            if enable >> byte & 1:
                content[byte] = value

    def _check(self, count: int) -> None:
        for word in self._expected[count - 1]:
            found = self.buffer.get(word.address)
            assert found is not None, f"instruction {count - 1} finished without word {word.address:#x}"
            content = np.frombuffer(found, np.uint8)[word.written]
            assert np.array_equal(content, word.data[word.written]), f"word {word.address:#x}"

    def _expected_requests(self, tiles: list[dict[str, int]], port: int) -> list[tuple[int, int, int]]:
        """A transfer for each row whose pixels follow one another, otherwise for each pixel."""
        requests = []
        for count, fields in enumerate(tiles):
            dense = fields["pixel_pitch"] == fields["words"]
            length = WORD_BYTES * fields["words"] * (fields["columns"] if dense else 1)
            for row in range(port, fields["rows"], self.config.memory_ports):
                start = ORIGIN + WORD_BYTES * (fields.get("offset", 0) + row * fields["row_pitch"])
                for column in range(1 if dense else fields["columns"]):
                    requests.append((start + WORD_BYTES * column * fields["pixel_pitch"], length, count % 16))
        return requests


def plain(rows: int, columns: int, words: int = 1, *, address: int = 0, **fields: int) -> dict[str, int]:
    """A dense tile."""
    tile = {"rows": rows, "columns": columns, "words": words, "row_pitch": columns * words, "pixel_pitch": words}
    tile |= {"address": address, "address_row_pitch": columns, "address_plane_pitch": rows * columns}
    return tile | fields


STALLED = [("never",), ("random",), ("mostly", "never"), ("never", "mostly"), ("alternating", "random")]


@pytest.mark.parametrize("stalls", STALLED)
@pytest.mark.parametrize(("bits", "ports"), [(8, 1), (8, 2), (16, 1), (16, 2)])
def test_random_tiles(bits, ports, stalls):
    """Tiles with and without folding, mixed, so that each kind follows each other."""
    rng = random.Random(f"{bits} {ports} {stalls}")
    config = small(bits, ports)
    tiles = [
        (random_plain(rng, 400 * i) if rng.random() < 0.5 else random_folded(rng, config, 400 * i))
        | {"offset": rng.randint(0, 500)}
        for i in range(24)
    ]
    bench = LoadBench(config, stalls=stalls, latency=rng.choice([1, 30]), seed=rng.randint(0, 1000))
    bench.execute(tiles)


@pytest.mark.parametrize(("channels", "skip"), [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (4, 0)])
@pytest.mark.parametrize("bits", [8, 16])
def test_folding_with_every_stride_and_skip(bits, channels, skip):
    rng = random.Random(f"{bits} {channels}")
    config = small(bits, 1)
    tiles = [
        random_folded(rng, config, 300 * i, channels)
        | {"fold_stride": stride, "fold_left": left, "fold_right": right, "fold_skip": skip, "twin": 0}
        for i, (stride, left, right) in enumerate((s, a, b) for s in (1, 2, 3, 4) for a in (0, 1, 15) for b in (0, 1, 15))
    ]
    LoadBench(config, stalls=("random",), seed=channels).execute(tiles)


@pytest.mark.parametrize("stalls", ["never", "mostly"])
@pytest.mark.parametrize("bits", [8, 16])
def test_tiles_that_follow_one_another_keep_their_own_channels(bits, stalls):
    """All masks, in tiles of one word, so that the words of several wait for the buffer; between them also whole words."""
    rng = random.Random(bits)
    config, lanes = small(bits), 128 // bits
    kept = [{"fold_keep_low": low, "fold_keep_high": high} for low in range(16) for high in range(16)]
    tiles = []
    for i, masks in enumerate(rng.sample(kept, len(kept))):
        tiles.append(plain(1, lanes // 4, address=2 * i, fold_channels=4, fold_stride=1, **masks))
        if rng.random() < 0.5:
            tiles.append(plain(1, 1, address=2 * i + 1))
    bench = LoadBench(config, stalls=(stalls,), latency=3)
    bench.execute(tiles)
    enables = {enable for _, _, enable in bench.writes}
    assert {0, ALL} < enables
    assert len(enables) == 1 + lanes * (lanes + 1) // 2


@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_rows_of_two_tiles_share_words(bits, ports):
    """The end of a kernel row in the low channels, that of the next one above them; what neither writes stays as it was."""
    size, lanes = bits // 8, 128 // bits
    for low in range(1, lanes - 1):
        first = plain(2, 12, address=8, fold_channels=3, fold_left=1, fold_stride=2, fold_skip=1, fold_keep_high=lanes - low)
        second = plain(2, 12, address=8, fold_channels=3, fold_right=1, fold_stride=2, fold_skip=2, fold_keep_low=low)
        second |= {"fold_keep_high": 1, "offset": 24}
        bench = LoadBench(small(bits, ports), stalls=("random",), seed=low)
        bench.execute([first, second])
        a, b = ([MEMORY[16 * (start + p) :][: 3 * size] for p in range(12)] for start in (0, 24))
        lower, upper = (bytes(3 * size) + b"".join(a))[size:], b"".join(b)[2 * size :]
        words = (13 - -(-(lanes + 2) // 3)) // 2 + 1
        for word in range(words):
            at = 6 * size * word
            expected = lower[at:][: low * size] + upper[at:][low * size : 16 - size] + bytes([EMPTY] * size)
            assert bytes(bench.buffer[8 + word]) == expected


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_blank_rows_are_read_and_hold_the_zero_point(bits, channels):
    """Between rows that are not blank; a blank row takes what another one takes."""
    config = small(bits)
    zero_point = -0x7B if bits == 8 else -0x7BCD
    rows = {"fold_channels": channels, "fold_left": 2, "fold_right": 3, "fold_stride": 1, "zero_point": zero_point}
    tiles = [plain(2, 20, address=100 * i, address_row_pitch=40, fold_blank=i % 2, **rows) for i in range(6)]
    bench = LoadBench(config, latency=10)
    bench.execute(tiles)
    blank = (zero_point % (1 << bits)).to_bytes(bits // 8, "little") * config.word_channels
    for tile in (1, 3, 5):
        assert {bytes(bench.buffer[100 * tile + column]) for column in range(10)} == {blank}
    assert len(bench.data[0].taken) == 6 * 2 * 20
    per_tile = 2 * (2 + 20 + 3) + LOAD_IDLE
    assert np.diff(bench.finished).tolist() == [per_tile] * 5


def test_a_row_too_narrow_for_a_word_writes_nothing_and_finishes():
    bench = LoadBench(small())
    narrow = plain(2, 3, fold_channels=1, fold_left=6, fold_right=6, fold_stride=1)
    exact = plain(2, 3, address=64, fold_channels=1, fold_left=6, fold_right=7, fold_stride=1)
    bench.execute([narrow, exact, narrow])
    assert sorted(bench.writes) == [(0, 64, ALL), (0, 67, ALL)]


def test_fold_fields_do_not_matter_without_folding():
    """Neither for the words nor for the cycles."""
    bench = LoadBench(small())
    unused = {"fold_left": 15, "fold_right": 9, "fold_stride": 7, "zero_point": -3}
    unused |= {"fold_skip": 3, "fold_keep_low": 15, "fold_keep_high": 15, "fold_blank": 1}
    unused |= {"twin": 1, "twin_offset": 99, "twin_skip": 2, "twin_keep_low": 3, "twin_keep_high": 3}
    bench.execute([plain(2, 3, 2, **unused)])
    assert len(bench.writes) == 2 * 3 * 2
    assert bench.data[0].taken[-1] - bench.data[0].taken[0] == 2 * 3 * 2 - 1


def test_a_port_without_rows_finishes_in_order():
    """Tiles of one row are port 0's alone; port 1, which has nothing to do, is late with the row before."""
    tiles = [plain(2, 8, address=0)] + [plain(1, 4, address=100 * (i + 1)) for i in range(6)] + [plain(3, 4, address=1000)]
    for stalls in (("never", "mostly"), ("mostly", "never")):
        LoadBench(small(ports=2), stalls=stalls).execute(tiles)


def test_addresses_wrap():
    LoadBench(small(ports=2)).execute([plain(3, 5, 2, address=ADDRESSES - 7)])


def test_largest_fields():
    """The widest row and the most words; pitches of all ones."""
    tiles = [
        plain(1, 2, 255, address=0, address_plane_pitch=2),
        plain(1, 300, 1, address=1000),
        plain(1, 1, 1, address=2000, row_pitch=(1 << 20) - 1, address_row_pitch=4095),
        plain(1, 1, 1, address=2001, pixel_pitch=1023),
    ]
    LoadBench(small()).execute(tiles)


def test_later_instructions_overwrite_earlier_ones():
    bench = LoadBench(small(), stalls=("random",))
    tiles = [plain(1, 4, address=0, offset=8 * i) for i in range(3)]
    bench.on_finished = lambda count: None
    bench.execute(tiles)
    assert b"".join(bytes(bench.buffer[i]) for i in range(4)) == MEMORY[16 * 16 : 20 * 16]


def test_the_largest_parameters_elaborate():
    largest = Conv2DConfig(input_lanes=16, output_lanes=16, pixel_lanes=16, feature_words=65536, memory_ports=2)
    assert "read__1__request__payload" in rtlil.convert(LoadUnit(largest))


@pytest.mark.parametrize("ports", [1, 2])
def test_latencies(ports):
    bench = LoadBench(small(ports=ports), latency=5)
    bench.execute([plain(1, 1)])
    asked = bench.instruction.taken[0] + LOAD_REQUEST_LATENCY
    assert bench.request[0].taken == [asked]
    assert bench.data[0].taken == [asked + 5]
    assert bench.results[0].taken == [asked + 5 + LOAD_LATENCY]
    assert bench.finished == [asked + 5 + LOAD_LATENCY + JOIN_LATENCY]


@pytest.mark.parametrize("gaps", [0, 1])
@pytest.mark.parametrize("ports", [1, 2])
def test_one_word_per_cycle_in_spite_of_latency(ports, gaps):
    """Rows, pixels and words follow one another without a pause; instructions with `LOAD_IDLE` cycles between."""
    rows, columns, words = 4, 5, 2
    tiles = [plain(rows, columns, words, address=64 * i, pixel_pitch=words + gaps) for i in range(8)]
    bench = LoadBench(small(ports=ports), latency=40)
    bench.execute(tiles)
    beats = rows // ports * columns * words
    for port in range(ports):
        taken = bench.data[port].taken
        starts = [taken[beats * i] for i in range(8)]
        assert starts == [starts[0] + (beats + LOAD_IDLE) * i for i in range(8)]
        assert taken[-1] == starts[-1] + beats - 1


def test_padding_takes_a_cycle_for_each_pixel():
    tile = plain(3, 10, fold_channels=4, fold_left=3, fold_right=2, fold_stride=1)
    tiles = [tile | {"address": 64 * i, "address_row_pitch": 16} for i in range(4)]
    bench = LoadBench(small(), latency=10)
    bench.execute(tiles)
    per_tile = 3 * (3 + 10 + 2) + LOAD_IDLE
    assert [later - earlier for earlier, later in zip(bench.finished, bench.finished[1:], strict=False)] == [per_tile] * 3


def test_tiles_of_one_word_take_two_cycles():
    bench = LoadBench(small(), latency=1)
    bench.execute([plain(1, 1, address=i) for i in range(20)])
    assert np.diff(bench.data[0].taken).tolist() == [1 + LOAD_IDLE] * 19


def test_a_unit_asks_ahead():
    """While nothing arrives, the requests of several instructions go out."""
    bench = LoadBench(small(), latency=200)
    bench.execute([plain(1, 2, address=2 * i) for i in range(8)])
    assert sum(cycle < bench.data[0].taken[0] for cycle in bench.request[0].taken) >= 4
