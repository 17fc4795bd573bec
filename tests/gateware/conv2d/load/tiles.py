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
    """A word that is written: its 16 bytes, which of them are, and the port that carries them."""

    data: NDArray[np.uint8]
    written: NDArray[np.bool_]
    port: int

    @property
    def enable(self) -> int:
        """A bit for each byte that is written."""
        return sum(1 << int(byte) for byte in np.flatnonzero(self.written))


Words = dict[int, Word]
"""By address in the feature buffer."""


def expected_words(config: Conv2DConfig, fields: Mapping[str, int], memory: bytes) -> Words:
    """The words that an instruction writes; `memory` begins at its base address."""
    beats = np.frombuffer(memory, np.uint8).reshape(-1, WORD_BYTES)
    rows, columns, words = fields["rows"], fields["columns"], fields["words"]
    y, x, w = np.ogrid[:rows, :columns, :words]
    tile = beats[fields.get("offset", 0) + y * fields["row_pitch"] + x * fields["pixel_pitch"] + w]
    written = np.full(WORD_BYTES, True)
    if fields.get("fold_channels", 0):
        tile = fold(config, fields, tile[:, :, 0])[:, :, None]
        lanes = np.arange(WORD_BYTES) // config.activation_bytes
        written = lanes >= fields.get("fold_keep_low", 0)
        written &= lanes < config.word_channels - fields.get("fold_keep_high", 0)
    result: Words = {}
    for row, column, word in np.ndindex(*tile.shape[:3]):
        address = fields["address"] + word * fields["address_plane_pitch"] + row * fields["address_row_pitch"] + column
        assert address % ADDRESSES not in result, "a test wants to write a word twice"
        result[address % ADDRESSES] = Word(tile[row, column, word], written, row % config.memory_ports)
    return result


def fold(config: Conv2DConfig, fields: Mapping[str, int], tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns, 16 bytes) of pixels to (rows, words, 16 bytes)."""
    channels, size = fields["fold_channels"], config.activation_bytes
    zero_point = (fields.get("zero_point", 0) & (1 << config.activation_bits) - 1).to_bytes(size, "little") * channels

    def border(count: int) -> NDArray[np.uint8]:
        return np.broadcast_to(np.frombuffer(zero_point, np.uint8), (len(tile), count, len(zero_point)))

    pixels = border(tile.shape[1]) if fields.get("fold_blank", 0) else tile[:, :, : channels * size]
    sequence = np.concatenate([border(fields.get("fold_left", 0)), pixels, border(fields.get("fold_right", 0))], axis=1)
    taken = {8: 6, 16: 4}[config.activation_bits] if channels == 3 else config.word_channels // channels
    firsts = range(0, sequence.shape[1] - taken + 1, fields["fold_stride"])
    row_bytes = sequence.reshape(len(tile), -1)
    starts = [size * (first * channels + fields.get("fold_skip", 0)) for first in firsts]
    words = [row_bytes[:, start : start + WORD_BYTES] for start in starts]
    return np.stack(words, axis=1) if words else np.zeros((len(tile), 0, WORD_BYTES), np.uint8)


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
    return fields | random_kept(rng) | {"fold_skip": rng.randint(0, 3)}


def random_kept(rng: random.Random) -> dict[str, int]:
    """Channels of words that stay as they were, often none, and now and then blank rows."""
    return {
        "fold_keep_low": rng.choice([0, rng.randint(0, 15)]),
        "fold_keep_high": rng.choice([0, rng.randint(0, 15)]),
        "fold_blank": rng.choice([0, 0, 0, 1]),
    }


def random_folded(rng: random.Random, config: Conv2DConfig, address: int, channels: int | None = None) -> dict[str, int]:
    """A small tile with folding; sometimes too narrow for a single word."""
    columns = rng.randint(1, 24)
    channels = channels or rng.randint(1, 4)
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
        "fold_stride": rng.randint(1, 4),
        "fold_skip": rng.randint(0, 2) if channels == 3 else 0,
        **random_kept(rng),
        "zero_point": rng.randint(lowest, -lowest - 1),
    }
