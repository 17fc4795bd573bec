"""Receiving tiles: walks over a tile as its beats arrive, and makes words with addresses of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d_engine.config import Conv2DConfig
from cosoc.gateware.conv2d_engine.fold import FOLD_LATENCY, MAX_FOLD_CHANNELS, Folder, folded_pixels
from cosoc.gateware.conv2d_engine.tiles import Counter, TilePlace
from cosoc.gateware.conv2d_engine.types import ADDRESS_BITS
from cosoc.gateware.peripheral.core import BEAT_BITS

LoadItem = data.StructLayout({"address": ADDRESS_BITS, "data": BEAT_BITS, "write": 1, "last": 1})
"""A word to write, or only the end of a tile: `last` comes with the last word or after it."""


class Phase(IntEnum):
    """Where in a row the walk is. Pixels come from memory in BEATS, and are padding in LEFT and RIGHT."""

    LEFT = 0
    BEATS = 1
    RIGHT = 2


class TileReceiver(wiring.Component):
    """Takes one beat, or a pixel of padding, per enabled cycle.

    A tile without rows, as a port may get it, is walked as one pixel of padding that is not folded: nothing is written.

    Args:
        config: width of an activation.

    Members:
        place: tiles; the next is taken when all beats of the one before have arrived.
        data: their beats.
        enable: all stages move.
        item: `write` a word, or the end of a tile, or (neither) nothing, `FOLD_LATENCY` enabled cycles after its beat.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "place": In(stream.Signature(TilePlace)),
                "data": In(stream.Signature(BEAT_BITS)),
                "enable": In(1),
                "item": Out(LoadItem),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.folder = folder = Folder(self._config)
        tile = Signal(TilePlace)
        active, row_end, write = Signal(), Signal(), Signal()
        phase = Signal(Phase)
        words, pixels, rows = Counter("words"), Counter("pixels"), Counter("rows")
        step = Signal()
        m.d.comb += [
            self.place.ready.eq(~active),
            self.data.ready.eq(active & self.enable & (phase == Phase.BEATS)),
            step.eq(active & self.enable & ((phase != Phase.BEATS) | self.data.valid)),
            row_end.eq(words.last & pixels.last & ((phase == Phase.RIGHT) | ((phase == Phase.BEATS) & (tile.right == 0)))),
            folder.enable.eq(self.enable),
            folder.valid.eq(step),
            folder.beat.eq(self.data.payload),
            folder.pad.eq(phase != Phase.BEATS),
            folder.channels.eq(tile.channels),
            folder.zero_point.eq(tile.zero_point),
        ]
        with m.If(~active):
            m.d.sync += [active.eq(self.place.valid), tile.eq(self.place.payload), rows.start(self.place.payload.rows)]
        with m.Elif(step & row_end):
            m.d.sync += [active.eq(~rows.last), rows.step()]
        self._walk_row(m, tile, active, step, row_end, phase, words, pixels)
        self._fold(m, tile, active, step, row_end, phase, write)
        address = self._address(m, tile, active, step, row_end, write, words)
        self._delay(m, address, step & write, step & row_end & rows.last)
        m.d.comb += self.item.data.eq(folder.word)
        return m

    def _walk_row(
        self,
        m: Module,
        tile: Any,
        active: Signal,
        step: Signal,
        row_end: Signal,
        phase: Signal,
        words: Counter,
        pixels: Counter,
    ) -> None:
        """Words of a pixel, pixels of a phase, phases of a row."""
        first = self.place.payload
        with m.If(~active):
            m.d.sync += words.start(first.words)
            self._start_row(m, first, phase, pixels)
            with m.If(first.rows == 0):
                m.d.sync += [phase.eq(Phase.RIGHT), words.start(Const(1)), pixels.start(Const(1))]
        with m.Elif(step):
            m.d.sync += words.step()
            with m.If(words.last):
                m.d.sync += [words.start(tile.words), pixels.step()]
            with m.If(row_end):
                self._start_row(m, tile, phase, pixels)
            with m.Elif(words.last & pixels.last):
                is_left = phase == Phase.LEFT
                m.d.sync += [
                    phase.eq(Mux(is_left, Phase.BEATS, Phase.RIGHT)),
                    pixels.start(Mux(is_left, tile.columns, tile.right)),
                ]

    @staticmethod
    def _start_row(m: Module, tile: Any, phase: Signal, pixels: Counter) -> None:
        padded = tile.left != 0
        m.d.sync += [
            phase.eq(Mux(padded, Phase.LEFT, Phase.BEATS)),
            pixels.start(Mux(padded, tile.left, tile.columns)),
        ]

    def _fold(self, m: Module, tile: Any, active: Signal, step: Signal, row_end: Signal, phase: Signal, write: Signal) -> None:
        """Which pixels end a word: when folding the n-th of a row, and from then on one in `stride`."""
        until = Counter("until", bits=4)
        first = Signal.like(until.value)
        folds = tile.channels != 0

        def pixels_of_word(channels: Any) -> Any:
            counts = [folded_pixels(self._config, max(1, count)) for count in range(MAX_FOLD_CHANNELS + 1)]
            chosen: Any = Const(counts[1])
            for count in range(2, MAX_FOLD_CHANNELS + 1):
                chosen = Mux(channels == count, counts[count], chosen)
            return chosen

        m.d.comb += [first.eq(pixels_of_word(tile.channels) - 2), write.eq(Mux(folds, until.last, phase == Phase.BEATS))]
        with m.If(~active):
            m.d.sync += until.start(pixels_of_word(self.place.payload.channels))
        with m.Elif(step):
            m.d.sync += until.step()
            with m.If(until.last):
                m.d.sync += until.start(tile.stride)
            with m.If(row_end):
                m.d.sync += until.value.eq(first)

    def _address(
        self, m: Module, tile: Any, active: Signal, step: Signal, row_end: Signal, write: Signal, words: Counter
    ) -> Signal:
        """Where the word goes that the current beat ends."""
        address, next_pixel, next_row = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        first = self.place.payload
        with m.If(~active):
            m.d.sync += [
                address.eq(first.address),
                next_pixel.eq(first.address + 1),
                next_row.eq(first.address + first.row_step),
            ]
        with m.Elif(step & row_end):
            m.d.sync += [address.eq(next_row), next_pixel.eq(next_row + 1), next_row.eq(next_row + tile.row_step)]
        with m.Elif(step & write):
            m.d.sync += address.eq(address + tile.plane_pitch)
            with m.If(words.last):
                m.d.sync += [address.eq(next_pixel), next_pixel.eq(next_pixel + 1)]
        return address

    def _delay(self, m: Module, address: Any, write: Any, last: Any) -> None:
        """Address and flags go along with the folder's stages."""
        for stage in range(FOLD_LATENCY):
            names = (("address", address), ("write", write), ("last", last))
            registers = [Signal.like(value, name=f"{name}_{stage}") for name, value in names]
            with m.If(self.enable):
                m.d.sync += [register.eq(value) for register, (_, value) in zip(registers, names, strict=True)]
            address, write, last = registers
        m.d.comb += [self.item.address.eq(address), self.item.write.eq(write), self.item.last.eq(last)]
