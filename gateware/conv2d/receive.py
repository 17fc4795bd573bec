"""Receiving tiles: walks over a tile as its beats arrive, and makes words with addresses of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.array import delayed
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.fold import FOLD_LATENCY, MAX_FOLD_CHANNELS, Folder, folded_pixels
from cosoc.gateware.conv2d.tiles import Counter, TilePlace, WordChannels
from cosoc.gateware.conv2d.types import ADDRESS_BITS
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES

LoadItem = data.StructLayout({"address": ADDRESS_BITS, "data": BEAT_BITS, "enable": BEAT_BYTES, "write": 1, "last": 1})
"""A word to write, of it the bytes of `enable`; or only the end of a tile: `last` comes with the last word or after it."""


class Phase(IntEnum):
    """Where in a row the walk is: the bit of a register. Pixels come from memory in BEATS, and are padding in LEFT and RIGHT."""

    LEFT = 0
    BEATS = 1
    RIGHT = 2

    @property
    def bit(self) -> int:
        return 1 << self


class Walk:
    """Signals of the walk over a tile.

    Attributes:
        tile: where it goes; `active` while it has beats to come. `left`, `right`: it has padding there; `folds`: it is folded;
            `twins`: its words have twins.
        phase, words, pixels, rows: what is left of the tile, from this beat on. `final`: the row ends with the phase.
        step: a beat or a pixel of padding is taken in this cycle.
        row_end: it is the last of its row.
    """

    def __init__(self) -> None:
        self.tile = Signal(TilePlace)
        self.active, self.left, self.right = Signal(), Signal(), Signal()
        self.folds, self.twins = Signal(), Signal()
        self.phase, self.final = Signal(len(Phase)), Signal()
        self.words, self.pixels, self.rows = Counter("words"), Counter("pixels"), Counter("rows")
        self.step, self.row_end = Signal(), Signal()


class TileReceiver(wiring.Component):
    """Takes one beat, or a pixel of padding, per enabled cycle. What was taken goes on whether the next cycle is enabled or not.

    A tile without rows, as a port may get it, is walked as one pixel of padding that is not folded: nothing is written.

    Args:
        config: width of an activation.

    Members:
        place: tiles; the next is taken when all beats of the one before have arrived.
        data: their beats.
        enable: another one may be taken.
        item: `write` a word, or the end of a tile, or (neither) nothing, `FOLD_LATENCY` cycles after its beat.
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
        walk = Walk()
        tile, beats, first = walk.tile, walk.phase[Phase.BEATS], self.place.payload
        m.d.comb += [
            self.place.ready.eq(~walk.active),
            self.data.ready.eq(walk.active & self.enable & beats),
            walk.step.eq(walk.active & self.enable & (~beats | self.data.valid)),
            walk.row_end.eq(walk.words.last & walk.pixels.last & walk.final),
            folder.valid.eq(walk.step),
            folder.beat.eq(self.data.payload),
            folder.pad.eq(~beats | tile.blank),
            folder.channels.eq(tile.channels),
            folder.zero_point.eq(tile.zero_point),
            self.item.data.eq(folder.word),
        ]
        with m.If(~walk.active):
            m.d.sync += [walk.active.eq(self.place.valid), tile.eq(first), walk.rows.start(first.rows)]
            m.d.sync += [walk.left.eq(first.left != 0), walk.right.eq(first.right != 0)]
            m.d.sync += [walk.folds.eq(first.channels != 0), walk.twins.eq(first.twin != 0)]
        with m.Elif(walk.step & walk.row_end):
            m.d.sync += [walk.active.eq(~walk.rows.last), walk.rows.step()]
        self._walk_row(m, walk)
        write, address, channels = self._place_words(m, walk)
        channels = data.View(WordChannels, delayed(m, channels, FOLD_LATENCY - 1, name="channels"))
        last = walk.step & walk.row_end & walk.rows.last
        m.d.comb += [
            folder.skip.eq(channels.skip),
            self.item.enable.eq(self._written(channels)),
            self.item.address.eq(delayed(m, address, FOLD_LATENCY - 1, name="address")),
            self.item.write.eq(delayed(m, write, FOLD_LATENCY - 1, name="write", resets=True)),
            self.item.last.eq(delayed(m, last, FOLD_LATENCY, name="last", resets=True)),
        ]
        return m

    def _walk_row(self, m: Module, walk: Walk) -> None:
        """Words of a pixel, pixels of a phase, phases of a row."""
        first = self.place.payload
        with m.If(~walk.active):
            m.d.sync += walk.words.start(first.words)
            self._start_row(m, walk, first, first.left != 0, first.right != 0)
            with m.If(first.rows == 0):
                m.d.sync += [
                    walk.phase.eq(Phase.RIGHT.bit),
                    walk.final.eq(1),
                    walk.words.start(Const(1)),
                    walk.pixels.start(Const(1)),
                ]
        with m.Elif(walk.step):
            m.d.sync += walk.words.step()
            with m.If(walk.words.last):
                m.d.sync += [walk.words.start(walk.tile.words), walk.pixels.step()]
            with m.If(walk.row_end):
                self._start_row(m, walk, walk.tile, walk.left, walk.right)
            with m.Elif(walk.words.last & walk.pixels.last):
                is_left = walk.phase[Phase.LEFT]
                m.d.sync += [
                    walk.phase.eq(Mux(is_left, Phase.BEATS.bit, Phase.RIGHT.bit)),
                    walk.final.eq(~is_left | ~walk.right),
                    walk.pixels.start(Mux(is_left, walk.tile.columns, walk.tile.right)),
                ]

    @staticmethod
    def _start_row(m: Module, walk: Walk, tile: Any, left: Value, right: Value) -> None:
        """`left`, `right`: the tile has padding there."""
        m.d.sync += [
            walk.phase.eq(Mux(left, Phase.LEFT.bit, Phase.BEATS.bit)),
            walk.final.eq(~left & ~right),
            walk.pixels.start(Mux(left, tile.left, tile.columns)),
        ]

    def _written(self, channels: Any) -> Value:
        """The bytes of a word that are written."""
        lanes = self._config.word_channels
        written = ((channels.keep_low <= lane) & (channels.keep_high < lanes - lane) for lane in range(lanes))
        return Cat(bit.replicate(self._config.activation_bytes) for bit in written)

    def _pixels_of_word(self, channels: Value) -> Value:
        """n by the number of channels; any where nothing is folded."""
        chosen: Value = Const(folded_pixels(self._config, 1))
        for count in range(2, MAX_FOLD_CHANNELS + 1):
            chosen = Mux(channels == count, folded_pixels(self._config, count), chosen)
        return chosen

    def _place_words(self, m: Module, walk: Walk) -> tuple[Value, Value, Value]:
        """Whether the last beat ended a word, where that goes, and which channels of it: the walk decides in one cycle, and this
        follows in the next, for which a tile stays longer than its last beat.

        A twin ends before the next word does, so it has the turn that a pixel's second word has in other tiles.
        """
        address, next_pixel, next_row = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        starts, stepped, beat, ended_row, ended_pixel = Signal(), Signal(), Signal(), Signal(), Signal()
        tile, write = walk.tile, Signal()
        m.d.sync += [
            starts.eq(~walk.active),
            stepped.eq(walk.step),
            beat.eq(walk.phase[Phase.BEATS]),
            ended_row.eq(walk.step & walk.row_end),
            ended_pixel.eq(walk.words.last),
        ]
        ends, is_twin, has_twin = self._end_words(m, walk, starts | ended_row, stepped)
        m.d.comb += write.eq(stepped & Mux(walk.folds, ends, beat))
        with m.If(starts):
            m.d.sync += [address.eq(tile.address), next_pixel.eq(tile.address + 1), next_row.eq(tile.address + tile.row_step)]
        with m.Elif(ended_row):
            m.d.sync += [address.eq(next_row), next_pixel.eq(next_row + 1), next_row.eq(next_row + tile.row_step)]
        with m.Elif(write):
            m.d.sync += address.eq(address + tile.word_step)
            with m.If(ended_pixel & ~has_twin):
                m.d.sync += [address.eq(next_pixel), next_pixel.eq(next_pixel + 1)]
        return write, address, Mux(is_twin, tile.twin_channels, tile.word_channels)

    def _end_words(self, m: Module, walk: Walk, row_starts: Value, stepped: Value) -> tuple[Value, Value, Value]:
        """Whether a pixel ends a folded word; whether the word that ends with it or next is a twin, and whether it has one.

        The n-th pixel of a row ends a word. From then on words take turns with their twins, if they have any.
        """
        until, is_twin, has_twin, tile = Counter("until", bits=4), Signal(), Signal(), walk.tile
        m.d.comb += has_twin.eq(walk.twins & ~is_twin)
        with m.If(row_starts):
            m.d.sync += [until.start(self._pixels_of_word(tile.channels)), is_twin.eq(0)]
        with m.Elif(stepped):
            m.d.sync += until.step()
            with m.If(until.last):
                m.d.sync += [until.start(Mux(has_twin, tile.twin, tile.next_word)), is_twin.eq(has_twin)]
        return until.last, is_twin, has_twin
