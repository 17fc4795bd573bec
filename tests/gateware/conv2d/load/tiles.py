"""What LOAD must do, in NumPy, and random instructions for it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig

ADDRESSES = 1 << 16

Words = dict[int, tuple[NDArray[np.uint8], int]]
"""By address in the feature buffer: the 16 bytes, and the port that carries them; bytes that are unspecified are left out."""


def expected_words(config: Conv2DConfig, fields: Mapping[str, int], memory: bytes) -> Words:
    """The words that an instruction writes; `memory` begins at its base address."""
    beats = np.frombuffer(memory, np.uint8).reshape(-1, WORD_BYTES)
    rows, columns, words = fields["rows"], fields["columns"], fields["words"]
    y, x, w = np.ogrid[:rows, :columns, :words]
    tile = beats[fields.get("offset", 0) + y * fields["row_pitch"] + x * fields["pixel_pitch"] + w]
    if fields.get("fold_channels", 0):
        tile = fold(config, fields, tile[:, :, 0])[:, :, None]
    result: Words = {}
    for row, column, word in np.ndindex(*tile.shape[:3]):
        address = fields["address"] + word * fields["address_plane_pitch"] + row * fields["address_row_pitch"] + column
        assert address % ADDRESSES not in result, "a test wants to write a word twice"
        result[address % ADDRESSES] = (tile[row, column, word], row % config.memory_ports)
    return result


def fold(config: Conv2DConfig, fields: Mapping[str, int], tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns, 16 bytes) of pixels to (rows, words, bytes of the specified channels)."""
    channels, size = fields["fold_channels"], config.activation_bytes
    pixels = tile[:, :, : channels * size]
    zero_point = (fields.get("zero_point", 0) & (1 << config.activation_bits) - 1).to_bytes(size, "little") * channels

    def border(count: int) -> NDArray[np.uint8]:
        return np.broadcast_to(np.frombuffer(zero_point, np.uint8), (len(tile), count, len(zero_point)))

    sequence = np.concatenate([border(fields.get("fold_left", 0)), pixels, border(fields.get("fold_right", 0))], axis=1)
    count = config.word_channels // channels
    starts = range(0, sequence.shape[1] - count + 1, fields["fold_stride"])
    words = [sequence[:, start : start + count].reshape(len(tile), -1) for start in starts]
    return np.stack(words, axis=1) if words else np.zeros((len(tile), 0, 0), np.uint8)


def random_plain(rng: random.Random, address: int) -> dict[str, int]:
    """A small tile without folding."""
    rows, columns, words = rng.randint(1, 5), rng.randint(1, 6), rng.randint(1, 4)
    pixel_pitch = words if rng.random() < 0.5 else rng.randint(0, 9)
    fields = {"rows": rows, "columns": columns, "words": words, "pixel_pitch": pixel_pitch, "row_pitch": rng.randint(0, 70)}
    if rng.random() < 0.5:
        row_pitch = columns + rng.randint(0, 3)
        plane_pitch = rows * row_pitch + rng.randint(0, 3)
    else:
        plane_pitch = columns + rng.randint(0, 3)
        row_pitch = words * plane_pitch + rng.randint(0, 3)
    return fields | {"address": address, "address_row_pitch": row_pitch, "address_plane_pitch": plane_pitch}


def random_folded(rng: random.Random, config: Conv2DConfig, address: int, channels: int | None = None) -> dict[str, int]:
    """A small tile with folding; sometimes too narrow for a single word."""
    columns = rng.randint(1, 24)
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
        "fold_channels": channels or rng.randint(1, 4),
        "fold_left": rng.choice([0, rng.randint(0, 15)]),
        "fold_right": rng.choice([0, rng.randint(0, 15)]),
        "fold_stride": rng.randint(1, 4),
        "zero_point": rng.randint(lowest, -lowest - 1),
    }
