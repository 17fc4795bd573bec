"""Tiles in memory: what an engine of the LOAD unit is told of one, and the requests for its beats."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.types import ADDRESS_BITS
from cosoc.gateware.peripheral.core import SEQUENCE_BITS, Transfer

_COUNT = 12
_MEMORY_BITS = 60
"""Addresses and pitches in memory are in units of beats."""

WordChannels = data.StructLayout({"skip": 2, "keep_low": 4, "keep_high": 4})
"""Channels of its first pixel that a folded word leaves out, and its lowest and highest ones that are not written."""

TilePlace = data.StructLayout(
    {
        "rows": _COUNT,
        "columns": _COUNT,
        "words": 8,
        "address": ADDRESS_BITS,
        "row_step": ADDRESS_BITS,
        "word_step": ADDRESS_BITS,
        "channels": 3,
        "left": 4,
        "right": 4,
        "twin": 3,
        "next_word": 3,
        "word_channels": WordChannels,
        "twin_channels": WordChannels,
        "blank": 1,
        "zero_point": 16,
    }
)
"""What becomes of an engine's beats: `rows` (or none) of `columns` pixels of `words` words.

`twin`: pixels from a word to its twin, 0 where words have none. `next_word`: from a word, or its twin if it has one, to the next.
`word_step`: in the feature buffer, from a word of a pixel to the next, or from a folded word to its twin.

`left`, `right`, `twin`, `word_channels` and `blank` are zero unless folding; `next_word` matters only then.
"""

TileJob = data.StructLayout(
    {
        "memory": _MEMORY_BITS,
        "row_step": 21,
        "pixel_step": 10,
        "row_beats": 20,
        "dense": 1,
        "sequence": SEQUENCE_BITS,
        "place": TilePlace,
    }
)
"""An engine's part of a tile; `dense` when the pixels of a row follow one another in memory without a gap."""


class Counter:
    """A count down whose sign tells the last of at least one; `start`, `step` and `copy` are assignments to a register."""

    def __init__(self, name: str, bits: int = _COUNT) -> None:
        self.value = Signal(signed(bits + 1), name=name)
        self.last: Value = self.value[-1]

    def start(self, count: Value) -> Any:
        return self.value.eq(count - 2)

    def step(self) -> Any:
        return self.value.eq(self.value - 1)

    def copy(self, other: Counter) -> Any:
        return self.value.eq(other.value)


class TileRequests(wiring.Component):
    """Asks for the beats of a tile, one request per cycle: a row, or where pixels have gaps between them a pixel.

    Members:
        job: taken when all requests of the one before are made.
        request: transfers.
    """

    def __init__(self) -> None:
        super().__init__({"job": In(stream.Signature(TileJob)), "request": Out(stream.Signature(Transfer))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job = self.job.payload
        active = Signal()
        address, next_row = Signal(_MEMORY_BITS), Signal(_MEMORY_BITS)
        row_step, pixel_step = Signal.like(job.row_step), Signal.like(job.pixel_step)
        length, sequence = Signal.like(job.row_beats), Signal(SEQUENCE_BITS)
        pixels_of_row, pixels, rows = Counter("pixels_of_row"), Counter("pixels"), Counter("rows")
        m.d.comb += [
            self.job.ready.eq(~active),
            self.request.valid.eq(active),
            self.request.payload.address.eq(address << 4),
            self.request.payload.length.eq(length << 4),
            self.request.payload.sequence.eq(sequence),
        ]
        with m.If(~active):
            width = Mux(job.dense, 1, job.place.columns)
            m.d.sync += [
                active.eq(self.job.valid & (job.place.rows != 0)),
                address.eq(job.memory),
                next_row.eq(job.memory + job.row_step),
                row_step.eq(job.row_step),
                pixel_step.eq(job.pixel_step),
                length.eq(Mux(job.dense, job.row_beats, job.place.words)),
                sequence.eq(job.sequence),
                pixels_of_row.start(width),
                pixels.start(width),
                rows.start(job.place.rows),
            ]
        with m.Elif(self.request.ready):
            m.d.sync += [pixels.step(), address.eq(address + pixel_step)]
            with m.If(pixels.last):
                m.d.sync += [
                    pixels.copy(pixels_of_row),
                    rows.step(),
                    address.eq(next_row),
                    next_row.eq(next_row + row_step),
                    active.eq(~rows.last),
                ]
        return m
