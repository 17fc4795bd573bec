"""Keeps a command from reading what earlier ones have yet to write."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import BEAT_BYTES

ADDRESS_BITS = 64 - (BEAT_BYTES - 1).bit_length()
"""Bits of the address of a beat."""

BeatRange = data.StructLayout({"start": ADDRESS_BITS, "end": ADDRESS_BITS + 1})
"""Beats from `start` up to but not including `end`."""


class WriteGuard(wiring.Component):
    """Remembers what the commands in execution write, as one range from the lowest to the highest beat.

    One range is less than a list of all, and enough: commands that go through memory in one direction never wait, and a range
    that grew too wide is forgotten as soon as all writes are done.

    Args:
        reads: ranges that a command reads.
        limit: writes that may be unfinished at a time.

    Members:
        read: what the next command reads.
        write: what it writes.
        conflict: it reads in the remembered range.
        begin: the next command begins; its write is unfinished from now on.
        finish: the oldest unfinished write is done.
    """

    def __init__(self, *, reads: int, limit: int) -> None:
        self._limit = limit
        super().__init__(
            {
                "read": In(BeatRange).array(reads),
                "write": In(BeatRange),
                "conflict": Out(1),
                "begin": In(1),
                "finish": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unfinished = Signal(range(self._limit + 1))
        written = Signal(BeatRange, reset_less=True)
        m.d.sync += unfinished.eq(unfinished + self.begin - self.finish)
        with m.If(self.begin):
            alone = unfinished == 0
            m.d.sync += [
                written.start.eq(Mux(alone | (self.write.start < written.start), self.write.start, written.start)),
                written.end.eq(Mux(alone | (self.write.end > written.end), self.write.end, written.end)),
            ]
        with m.If(unfinished != 0):
            for read in self.read:
                with m.If((read.start < written.end) & (read.end > written.start)):
                    m.d.comb += self.conflict.eq(1)
        return m
