"""A queue whose oldest entry leaves when enough instructions of every unit are finished."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.isa import Unit
from cosoc.gateware.conv2d.queue import Queue

ROOM_MARGIN = 4
"""Entries that fit after `room` went low: those that are on their way when it does."""


def counts(bits: int) -> data.ArrayLayout:
    """A count of instructions for every unit, modulo 2^bits."""
    return data.ArrayLayout(unsigned(bits), len(Unit))


def gated(payload: ShapeLike, count_bits: int) -> data.StructLayout:
    """An entry: `payload` may leave when every unit with its bit in `waits` has finished as many instructions as `targets` tells.

    `generation` is the parity of the stretch of the instruction stream that the entry belongs to.
    """
    return data.StructLayout({"payload": payload, "targets": counts(count_bits), "waits": len(Unit), "generation": 1})


class Gate(wiring.Component):
    """Holds entries in order, each until its targets are reached.

    An entry leaves at the earliest two cycles after the one before, and can leave one cycle after `finished` has grown to its
    last target. `targets` and `finished` are compared modulo 2^count_bits, so they may never be 2^(count_bits - 1) or more apart:
    `old` lets the dispatcher keep it that way.

    Args:
        payload: shape of what passes.
        depth: entries that wait behind the oldest.
        count_bits: bits of the counts of finished instructions.

    Members:
        push, entry: a new entry; there must be room.
        room: more than `ROOM_MARGIN` - 1 entries fit, as it was a cycle ago.
        finished: instructions that each unit has finished.
        output: what may leave.
        generation, old: a cycle ago, some entry had another generation than this.
    """

    def __init__(self, payload: ShapeLike, *, depth: int, count_bits: int) -> None:
        self._depth = depth
        self._entry = gated(payload, count_bits)
        super().__init__(
            {
                "push": In(1),
                "entry": In(self._entry),
                "room": Out(1),
                "finished": In(counts(count_bits)),
                "output": Out(stream.Signature(payload)),
                "generation": In(1),
                "old": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(self._entry, self._depth, bounded=True)
        oldest = Signal(self._entry)
        # Two registers for one bit: the entry is wide, and what leaves decides over much.
        holds, free = Signal(), Signal(init=1)
        reached = Signal(len(Unit))
        # The next entry is taken in the cycle after the oldest left: what a unit says in a cycle decides over no wide register.
        m.d.comb += [
            queue.input.payload.eq(self.entry),
            queue.input.valid.eq(self.push),
            queue.output.ready.eq(~holds),
            self.output.payload.eq(oldest.payload),
            self.output.valid.eq(holds & reached.all()),
        ]
        with m.If(free):
            m.d.sync += [oldest.eq(queue.output.payload), holds.eq(queue.output.valid), free.eq(~queue.output.valid)]
        with m.Elif(self.output.valid & self.output.ready):
            m.d.sync += [holds.eq(0), free.eq(1)]
        # A target that was reached stays reached, however far `finished` runs ahead.
        for unit in Unit:
            first = self._reaches(queue.output.payload, unit)
            m.d.sync += reached[unit].eq(Mux(holds, reached[unit] | self._reaches(oldest, unit), first))
        m.d.sync += [
            self.room.eq(queue.level <= self._depth - ROOM_MARGIN),
            # Entries are in order: an oldest one of this generation has no older behind it.
            self.old.eq(Mux(holds, oldest.generation != self.generation, queue.output.valid)),
        ]
        return m

    def _reaches(self, entry: Any, unit: Unit) -> Value:
        """Whether the unit has finished as many instructions as the entry waits for."""
        ahead = (self.finished[unit] - entry.targets[unit])[: len(self.finished[unit])]
        return ~ahead[-1] | ~entry.waits[unit]
