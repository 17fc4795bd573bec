"""What STORE must do, in NumPy, and random instructions for it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig

ADDRESSES = 1 << 16


@dataclass
class PortWork:
    """What a port must do: addresses to read, transfers (byte address, length) to ask for, words to send, all in order."""

    reads: list[int] = field(default_factory=list)
    transfers: list[tuple[int, int]] = field(default_factory=list)
    words: list[bytes] = field(default_factory=list)


def expected_work(config: Conv2DConfig, fields: Mapping[str, int], buffer: NDArray[np.uint8], memory: int) -> list[PortWork]:
    """The work of each port.

    Args:
        buffer: (2^16, 16) bytes by address.
        memory: address of the first byte.
    """
    ports = [PortWork() for _ in range(config.memory_ports)]
    kind = np.dtype(f"<i{config.activation_bytes}")
    words = buffer.view(kind)
    rows, columns, pixel_words = fields["rows"], fields["columns"], fields["words"]
    for y in range(rows):
        work = ports[y % len(ports)]
        row_memory = memory + WORD_BYTES * fields["row_pitch"] * y
        if fields["pixel_pitch"] == pixel_words:
            work.transfers.append((row_memory, WORD_BYTES * columns * pixel_words))
        for x in range(columns):
            if fields["pixel_pitch"] != pixel_words:
                work.transfers.append((row_memory + WORD_BYTES * fields["pixel_pitch"] * x, WORD_BYTES * pixel_words))
            for w in range(pixel_words):
                addresses = [
                    (fields["address"] + w * fields["address_plane_pitch"] + row * fields["address_row_pitch"] + column) % ADDRESSES
                    for row in inside(fields, "row", y)
                    for column in inside(fields, "column", x)
                ]
                work.reads += addresses
                lowest = np.full(words.shape[1], np.iinfo(kind).min, kind)
                work.words.append(np.maximum.reduce([lowest, *words[addresses]]).astype(kind).tobytes())
    return ports


def inside(fields: Mapping[str, int], axis: str, output: int) -> range:
    """Positions of an output's window that are inside the tile; `axis` is "row" or "column"."""
    start = fields[f"origin_{axis}"] + output * fields[f"stride_{axis}s"]
    return range(max(start, 0), min(start + fields[f"window_{axis}s"], fields[f"in_{axis}s"]))


def plain(rows: int, columns: int, words: int, **changes: int) -> dict[str, int]:
    """A copy of a tile, dense in memory and in the buffer."""
    return {
        "rows": rows,
        "columns": columns,
        "words": words,
        "row_pitch": columns * words,
        "pixel_pitch": words,
        "address": 0,
        "address_row_pitch": columns,
        "address_plane_pitch": rows * columns,
        "window_rows": 1,
        "window_columns": 1,
        "stride_rows": 1,
        "stride_columns": 1,
        "in_rows": rows,
        "in_columns": columns,
        "origin_row": 0,
        "origin_column": 0,
    } | changes


def pooled(in_rows: int, in_columns: int, words: int, *, window: int, stride: int, origin: int, **changes: int) -> dict[str, int]:
    """Square windows that begin at `origin` on both axes and go on as long as they touch the tile."""
    rows, columns = (max(1, (size - 1 - origin) // stride + 1) for size in (in_rows, in_columns))
    return plain(rows, columns, words) | {
        "address_row_pitch": in_columns,
        "address_plane_pitch": in_rows * in_columns,
        "window_rows": window,
        "window_columns": window,
        "stride_rows": stride,
        "stride_columns": stride,
        "in_rows": in_rows,
        "in_columns": in_columns,
        "origin_row": origin,
        "origin_column": origin,
        **changes,
    }


def random_tile(rng: random.Random) -> dict[str, int]:
    """A small tile with any window, pitches and place."""
    rows, columns, words = rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 3)
    fields = plain(rows, columns, words)
    fields |= {"address": rng.randrange(ADDRESSES), "address_row_pitch": rng.randrange(1 << 12)}
    fields |= {"address_plane_pitch": rng.randrange(ADDRESSES), "row_pitch": rng.choice([0, 7, columns * words, (1 << 20) - 1])}
    if rng.random() < 0.5:
        fields["pixel_pitch"] = rng.randrange(1 << 10)
    for axis in ("row", "column"):
        fields[f"in_{axis}s"] = rng.choice([1, rng.randint(1, 12), 4095])
        if rng.random() < 0.7:
            fields[f"window_{axis}s"] = rng.choice([1, 2, 3, 5])
            fields[f"stride_{axis}s"] = rng.randint(1, 7)
            fields[f"origin_{axis}"] = rng.randint(-6, 6)
    return fields
