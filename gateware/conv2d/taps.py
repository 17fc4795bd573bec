"""Windows of three neighbouring pixels for every pixel lane: the operands of depthwise convolutions."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import WINDOW_OPERATIONS, WINDOW_TAPS

_KEPT = WINDOW_TAPS - 1
"""Words of the group before that windows of a group reach back to."""


class Taps(wiring.Component):
    """Joins the words of a group with the last two of the group before.

    Of the words 0, 1 (the group before, of the same micro-operation) and 2.. (this group) lane l has the words l, l + 1 and l + 2,
    around that of its pixel: the lanes' pixels are one behind the words that come. A neighbour in another row is the zero point.

    Words are kept in LUT RAM, by number of the micro-operation; they are read a cycle before they are used. What is kept in that
    same cycle goes past the memory.

    Members:
        current: of every lane, the channels of its word that the outputs use.
        window, row_start, complete, last: as at the array, a cycle before `current`.
        words: the words, with `current`.
        chosen: for each tap of each lane, whether it is a channel of the words; likewise.
        outside: whether it is the zero point; likewise. A tap that is neither is an operand as without windows.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._lanes = lanes = config.pixel_lanes
        word = data.ArrayLayout(signed(config.activation_bits), config.output_lanes)
        self._kept = data.StructLayout({"words": data.ArrayLayout(word, _KEPT), "row_start": 1})
        super().__init__(
            {
                "current": In(data.ArrayLayout(word, lanes)),
                "window": In(1),
                "row_start": In(lanes),
                "complete": In(1),
                "last": In(1),
                "words": Out(data.ArrayLayout(word, lanes + _KEPT)),
                "chosen": Out(data.ArrayLayout(WINDOW_TAPS, lanes)),
                "outside": Out(data.ArrayLayout(WINDOW_TAPS, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._lanes
        index, index_now = Signal(range(WINDOW_OPERATIONS)), Signal(range(WINDOW_OPERATIONS))
        keeps, row_start = Signal(), Signal()
        m.d.sync += [index_now.eq(index), keeps.eq(self.complete), row_start.eq(self.row_start[-1])]
        with m.If(self.complete):
            m.d.sync += index.eq(Mux(self.last, 0, index + 1))

        kept, following, tail = Signal(self._kept, reset_less=True), Signal(self._kept), Signal(self._kept)
        m.submodules.memory = memory = Memory(
            shape=self._kept, depth=WINDOW_OPERATIONS, init=[], attrs={"ram_style": "distributed"}
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            self.words.eq(Cat(kept.words, self.current)),
            tail.words.eq(Cat(self.words[lanes + k] for k in range(_KEPT))),
            tail.row_start.eq(row_start),
            write.addr.eq(index_now),
            write.data.eq(tail),
            write.en.eq(keeps),
            read.addr.eq(index),
            following.eq(Mux(keeps & (index_now == index), tail, read.data)),
        ]
        m.d.sync += kept.eq(following)

        starts = Cat(following.row_start, self.row_start)  # of the words from number 1 on
        for lane in range(lanes):
            neighbours = Cat(starts[lane], 0, starts[lane + 1])
            m.d.sync += [
                self.chosen[lane].eq(Mux(self.window, ~neighbours, 0)),
                self.outside[lane].eq(Mux(self.window, neighbours, 0)),
            ]
        return m
