"""What LOAD must do, in NumPy, and random instructions for it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig

ADDRESSES = 1 << 16


@dataclass(frozen=True)
class Word:
    """A word that is written: its 16 bytes, which of them are, where, and the port that carries them."""

    address: int
    data: NDArray[np.uint8]
    written: NDArray[np.bool_]
    port: int

    @property
    def enable(self) -> int:
        """A bit for each byte that is written."""
        return sum(1 << int(byte) for byte in np.flatnonzero(self.written))


def expected_words(config: Conv2DConfig, fields: Mapping[str, int], memory: bytes) -> list[Word]:
    """The words that an instruction writes; `memory` begins at its base address."""
    beats = np.frombuffer(memory, np.uint8).reshape(-1, WORD_BYTES)
    rows, columns, words = fields["rows"], fields["columns"], fields["words"]
    y, x, w = np.ogrid[:rows, :columns, :words]
    tile = beats[fields.get("offset", 0) + y * fields["row_pitch"] + x * fields["pixel_pitch"] + w]
    result: list[Word] = []

    def place(tile: NDArray[np.uint8], first: int, written: NDArray[np.bool_]) -> None:
        for row, column, word in np.ndindex(*tile.shape[:3]):
            address = first + word * fields["address_plane_pitch"] + row * fields["address_row_pitch"] + column
            result.append(Word(address % ADDRESSES, tile[row, column, word], written, row % config.memory_ports))

    if fields.get("fold_channels", 0):
        sequences = pixel_sequences(config, fields, tile[:, :, 0])
        place(fold(config, fields, sequences, 0, "fold"), fields["address"], lanes_written(config, fields, "fold"))
        if twin := fields.get("twin", 0):
            first = fields["address"] + fields.get("twin_offset", 0)
            place(fold(config, fields, sequences, twin, "twin"), first, lanes_written(config, fields, "twin"))
    else:
        place(tile, fields["address"], np.full(WORD_BYTES, True))
    written = [(word.address, int(byte)) for word in result for byte in np.flatnonzero(word.written)]
    assert len(set(written)) == len(written), "a test wants to write a byte twice"
    return result


def pixel_sequences(config: Conv2DConfig, fields: Mapping[str, int], tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns, 16 bytes) of pixels to (rows, pixels, bytes of the channels that count): with padding, or blank."""
    channels, size = fields["fold_channels"], config.activation_bytes
    zero_point = (fields.get("zero_point", 0) & (1 << config.activation_bits) - 1).to_bytes(size, "little") * channels

    def border(count: int) -> NDArray[np.uint8]:
        return np.broadcast_to(np.frombuffer(zero_point, np.uint8), (len(tile), count, len(zero_point)))

    pixels = border(tile.shape[1]) if fields.get("fold_blank", 0) else tile[:, :, : channels * size]
    return np.concatenate([border(fields.get("fold_left", 0)), pixels, border(fields.get("fold_right", 0))], axis=1)


def fold(config: Conv2DConfig, fields: Mapping[str, int], sequences: NDArray[np.uint8], begin: int, kind: str) -> NDArray[np.uint8]:
    """(rows, words, 1, 16 bytes): the words of each sequence, of which the first one begins with pixel `begin`."""
    rows, pixels, _ = sequences.shape
    row_bytes = sequences.reshape(rows, -1)
    firsts = range(begin, pixels - pixels_of_word(config, fields["fold_channels"]) + 1, fields["fold_stride"])
    size, skip = config.activation_bytes, fields.get(f"{kind}_skip", 0)
    starts = [size * (first * fields["fold_channels"] + skip) for first in firsts]
    words = [row_bytes[:, start : start + WORD_BYTES] for start in starts]
    return np.stack(words, axis=1)[:, :, None] if words else np.zeros((rows, 0, 1, WORD_BYTES), np.uint8)


def pixels_of_word(config: Conv2DConfig, channels: int) -> int:
    """Pixels that must be in the sequence for a word to be written."""
    return {8: 6, 16: 4}[config.activation_bits] if channels == 3 else config.word_channels // channels


def lanes_written(config: Conv2DConfig, fields: Mapping[str, int], kind: str) -> NDArray[np.bool_]:
    """Which bytes of folded words are written; `kind` is `fold` or `twin`."""
    lanes = np.arange(WORD_BYTES) // config.activation_bytes
    low, high = fields.get(f"{kind}_keep_low", 0), fields.get(f"{kind}_keep_high", 0)
    return (lanes >= low) & (lanes < config.word_channels - high)


def random_plain(rng: random.Random, address: int) -> dict[str, int]:
    """A small tile without folding; most fields of folding have values that must not matter."""
    rows, columns, words = rng.randint(1, 5), rng.randint(1, 6), rng.randint(1, 4)
    pixel_pitch = words if rng.random() < 0.5 else rng.randint(0, 9)
    fields = {"rows": rows, "columns": columns, "words": words, "pixel_pitch": pixel_pitch, "row_pitch": rng.randint(0, 70)}
    if rng.random() < 0.5:
        row_pitch = columns + rng.randint(0, 3)
        plane_pitch = rows * row_pitch + rng.randint(0, 3)
    else:
        plane_pitch = columns + rng.randint(0, 3)
        row_pitch = words * plane_pitch + rng.randint(0, 3)
    fields |= {"address": address, "address_row_pitch": row_pitch, "address_plane_pitch": plane_pitch}
    return fields | random_kept(rng) | random_twins(rng, 8, 3) | {"fold_skip": rng.randint(0, 3)}


def random_kept(rng: random.Random) -> dict[str, int]:
    """Channels of words that stay as they were, often none, and now and then blank rows."""
    return {
        "fold_keep_low": rng.choice([0, rng.randint(0, 15)]),
        "fold_keep_high": rng.choice([0, rng.randint(0, 15)]),
        "fold_blank": rng.choice([0, 0, 0, 1]),
    }


def random_twins(rng: random.Random, stride: int, max_skip: int) -> dict[str, int]:
    """Often none. They go far from the words, to where no twins of another tile go that begins 300 words away."""
    return {
        "twin": rng.randrange(stride) if rng.random() < 0.7 else 0,
        "twin_offset": rng.choice([-20_000, 20_000]) + rng.randint(-24, 24),
        "twin_skip": rng.randint(0, max_skip),
        "twin_keep_low": rng.choice([0, rng.randint(0, 15)]),
        "twin_keep_high": rng.choice([0, rng.randint(0, 15)]),
    }


def random_folded(rng: random.Random, config: Conv2DConfig, address: int, channels: int | None = None) -> dict[str, int]:
    """A small tile with folding; sometimes too narrow for a single word, or for a twin."""
    columns = rng.randint(1, 24)
    channels = channels or rng.randint(1, 4)
    stride = rng.randint(1, 7)
    lowest = -(1 << config.activation_bits - 1)
    return {
        "rows": rng.randint(1, 4),
        "columns": columns,
        "words": 1,
        "pixel_pitch": rng.choice([1, 1, rng.randint(0, 4)]),
        "row_pitch": rng.randint(0, 70),
        "address": address,
        "address_row_pitch": rng.randint(56, 64),
        "address_plane_pitch": rng.randint(0, 65535),
        "fold_channels": channels,
        "fold_left": rng.choice([0, rng.randint(0, 15)]),
        "fold_right": rng.choice([0, rng.randint(0, 15)]),
        "fold_stride": stride,
        "fold_skip": rng.randint(0, 2) if channels == 3 else 0,
        **random_kept(rng),
        **random_twins(rng, stride, 2 if channels == 3 else 0),
        "zero_point": rng.randint(lowest, -lowest - 1),
    }
