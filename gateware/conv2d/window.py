"""Addresses of the words of all windows of a tile, in the order in which a store engine reduces them.

    job --> rows --> columns --> words --> window --> operands
            (WindowAxis twice)   (WordLoop) (WindowLoop)

Each stage turns what it gets into one or more items, one per cycle, and the queues between them let it run ahead of the next.
So a window of one position is read in every cycle, also across pixels, rows and tiles.
"""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.queue import Queue, RegisterSlice
from cosoc.gateware.conv2d.tiles import Counter
from cosoc.gateware.conv2d.types import ADDRESS_BITS

POSITION = signed(17)
"""A row or column, also outside the tile: -16 .. 15 + 4095 * 7 + 15."""

COUNT_BITS = 12
WINDOW_BITS = 4

_PITCH_BITS = 12

_Planes = {"words": 8, "row_pitch": _PITCH_BITS, "plane_pitch": ADDRESS_BITS}

WindowColumns = data.StructLayout(
    {"columns": COUNT_BITS, "limit": COUNT_BITS, "window": WINDOW_BITS, "stride": 3, "origin": signed(5), **_Planes}
)
"""How a row is walked: number of outputs, columns inside, and the window's columns."""

PixelWindow = data.StructLayout({"rows": WINDOW_BITS, **_Planes})
"""What a pixel's window has besides its columns: rows inside, words of the pixel, and the tile's pitches."""

WordWindow = data.StructLayout({"address": ADDRESS_BITS, "rows": WINDOW_BITS, "columns": WINDOW_BITS, "row_pitch": _PITCH_BITS})
"""The positions of a window inside the tile, in one plane; without any, `rows` and `columns` are both zero."""

Operand = data.StructLayout({"address": ADDRESS_BITS, "empty": 1, "first": 1, "last": 1})
"""A word of a window, `first` to `last`; a window without positions inside has one `empty` operand, which is not to be read."""


def axis_job(rest: Any) -> data.StructLayout:
    """Windows along an axis: `count` windows of `window` positions, the first at `position`, `stride` apart.

    `address` is that of position 0, `offset` leads to the first window's, and `step` from one window to the next.
    Positions 0 .. `limit` - 1 are inside. `rest` goes along.
    """
    return data.StructLayout(
        {
            "address": ADDRESS_BITS,
            "offset": ADDRESS_BITS,
            "step": ADDRESS_BITS,
            "position": POSITION,
            "stride": 4,
            "window": WINDOW_BITS,
            "limit": COUNT_BITS,
            "count": COUNT_BITS,
            "rest": rest,
        }
    )


def axis_window(rest: Any) -> data.StructLayout:
    """A window along an axis: the address of its first position inside, how many are inside, and the job's `rest`."""
    return data.StructLayout({"address": ADDRESS_BITS, "size": WINDOW_BITS, "rest": rest})


class WindowAxis(wiring.Component):
    """Walks the windows along an axis and cuts off what is outside; they wait in a queue.

    Args:
        rest: shape of what goes along.

    Members:
        job: axes, each with at least one window.
        window: their windows.
    """

    def __init__(self, rest: Any) -> None:
        self._rest = rest
        super().__init__({"job": In(stream.Signature(axis_job(rest))), "window": Out(stream.Signature(axis_window(rest)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(axis_window(self._rest), 8, bounded=True, behind=2)
        wiring.connect(m, queue.output, wiring.flipped(self.window))
        moves = queue.space
        walked, job, end = self._walk(m, moves)
        clipped, found = Signal(), Signal()
        top, bottom = Signal(POSITION, reset_less=True), Signal(POSITION, reset_less=True)
        address = Signal(ADDRESS_BITS, reset_less=True)
        rest = Signal(self._rest, reset_less=True)
        outside = job.position < 0
        size = bottom - top
        window = Signal(axis_window(self._rest), reset_less=True)
        m.d.sync += [
            clipped.eq(walked & moves),
            top.eq(Mux(outside, 0, job.position)),
            bottom.eq(Mux(end < job.limit, end, job.limit)),
            address.eq(Mux(outside, job.address, job.offset)),
            rest.eq(job.rest),
            found.eq(clipped),
            window.address.eq(address),
            window.size.eq(Mux(size < 0, 0, size)),
            window.rest.eq(rest),
        ]
        m.d.comb += [queue.input.payload.eq(window), queue.input.valid.eq(found)]
        return m

    def _walk(self, m: Module, moves: Signal) -> tuple[Signal, Any, Signal]:
        """One window per cycle: whether there is one, its job with `position` and `offset` (now an address) advanced, its end."""
        active = Signal()
        job = Signal(axis_job(self._rest), reset_less=True)
        end = Signal(POSITION, reset_less=True)
        windows = Counter("windows")
        new = self.job.payload
        m.d.comb += self.job.ready.eq(moves & (~active | windows.last))
        with m.If(self.job.ready):
            m.d.sync += [
                active.eq(self.job.valid),
                job.eq(new),
                job.offset.eq(new.address + new.offset),
                end.eq(new.position + new.window),
                windows.start(new.count),
            ]
        with m.Elif(moves):
            m.d.sync += [
                job.position.eq(job.position + job.stride),
                job.offset.eq(job.offset + job.step),
                end.eq(end + job.stride),
                windows.step(),
            ]
        return active, job, end


class WordLoop(wiring.Component):
    """Repeats a pixel's window for each word of the pixel.

    Members:
        pixel: windows along a row.
        word: their windows in each plane, the lowest first.
    """

    def __init__(self) -> None:
        super().__init__({"pixel": In(stream.Signature(axis_window(PixelWindow))), "word": Out(stream.Signature(WordWindow))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pixel, word = self.pixel.payload, self.word.payload
        plane_pitch = Signal(ADDRESS_BITS, reset_less=True)
        words = Counter("words", len(pixel.rest.words))
        m.d.comb += self.pixel.ready.eq(~self.word.valid | (self.word.ready & words.last))
        with m.If(self.pixel.ready):
            m.d.sync += [
                self.word.valid.eq(self.pixel.valid),
                word.address.eq(pixel.address),
                word.rows.eq(Mux(pixel.size == 0, 0, pixel.rest.rows)),
                word.columns.eq(Mux(pixel.rest.rows == 0, 0, pixel.size)),
                word.row_pitch.eq(pixel.rest.row_pitch),
                plane_pitch.eq(pixel.rest.plane_pitch),
                words.start(pixel.rest.words),
            ]
        with m.Elif(self.word.ready):
            m.d.sync += [word.address.eq(word.address + plane_pitch), words.step()]
        return m


class WindowLoop(wiring.Component):
    """Takes a window apart.

    Members:
        word: windows.
        operand: their words, row by row.
    """

    def __init__(self) -> None:
        super().__init__({"word": In(stream.Signature(WordWindow)), "operand": Out(stream.Signature(Operand))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, operand = self.word.payload, self.operand.payload
        next_row, row_pitch = Signal(ADDRESS_BITS, reset_less=True), Signal.like(word.row_pitch, reset_less=True)
        width, columns, rows = (Counter(name, WINDOW_BITS) for name in ("width", "columns", "rows"))
        m.d.comb += [
            operand.last.eq(columns.last & rows.last),
            self.word.ready.eq(~self.operand.valid | (self.operand.ready & operand.last)),
        ]
        with m.If(self.word.ready):
            m.d.sync += [
                self.operand.valid.eq(self.word.valid),
                operand.address.eq(word.address),
                operand.empty.eq(word.rows == 0),
                operand.first.eq(1),
                next_row.eq(word.address + word.row_pitch),
                row_pitch.eq(word.row_pitch),
                width.start(word.columns),
                columns.start(word.columns),
                rows.start(word.rows),
            ]
        with m.Elif(self.operand.ready):
            m.d.sync += operand.first.eq(0)
            with m.If(columns.last):
                m.d.sync += [
                    operand.address.eq(next_row),
                    next_row.eq(next_row + row_pitch),
                    columns.copy(width),
                    rows.step(),
                ]
            with m.Else():
                m.d.sync += [operand.address.eq(operand.address + 1), columns.step()]
        return m


class WindowWalk(wiring.Component):
    """All stages, with queues behind them.

    Members:
        job: an engine's rows of a tile: the windows along its rows.
        operand: the operands of all its windows: row by row, pixel by pixel, word by word.
    """

    def __init__(self) -> None:
        super().__init__({"job": In(stream.Signature(axis_job(WindowColumns))), "operand": Out(stream.Signature(Operand))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rows = rows = WindowAxis(WindowColumns)
        m.submodules.columns = columns = WindowAxis(PixelWindow)
        m.submodules.words = words = WordLoop()
        m.submodules.window = window = WindowLoop()
        m.submodules.word_queue = word_queue = Queue(WordWindow)
        wiring.connect(m, wiring.flipped(self.job), rows.job)
        wiring.connect(m, columns.window, words.pixel)
        wiring.connect(m, words.word, word_queue.input)
        wiring.connect(m, word_queue.output, window.word)
        m.submodules.operands = operands = RegisterSlice(Operand)
        wiring.connect(m, window.operand, operands.input)
        wiring.connect(m, operands.output, wiring.flipped(self.operand))
        row, job = rows.window.payload, columns.job.payload
        m.d.comb += [
            columns.job.valid.eq(rows.window.valid),
            rows.window.ready.eq(columns.job.ready),
            job.address.eq(row.address),
            job.offset.eq(row.rest.origin),
            job.step.eq(row.rest.stride),
            job.position.eq(row.rest.origin),
            job.stride.eq(row.rest.stride),
            job.window.eq(row.rest.window),
            job.limit.eq(row.rest.limit),
            job.count.eq(row.rest.columns),
            job.rest.rows.eq(row.size),
            *(job.rest[name].eq(row.rest[name]) for name in _Planes),
        ]
        return m
