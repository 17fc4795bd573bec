"""Keeps commands from memory that unfinished ones still read or write."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import BEAT_BYTES

ADDRESS_BITS = 64 - (BEAT_BYTES - 1).bit_length()
"""Bits of the address of a beat."""

BeatRange = data.StructLayout({"start": ADDRESS_BITS, "end": ADDRESS_BITS + 1})
"""Beats from `start` up to but not including `end`; none if both are 0."""


class MemoryGuard(wiring.Component):
    """Remembers what the commands in execution write and read, each as one range from the lowest to the highest beat.

    One range is less than a list of all, and enough: commands that go through memory in one direction never wait, and a range
    that grew too wide is forgotten as soon as all commands are done.

    Args:
        reads: ranges that a command reads.
        limit: commands that may be unfinished at a time.
        ordered: a command's writes follow all reads and writes of those before it, so that only reading what is yet to be
            written is a conflict.

    Members:
        read: what the next command reads.
        write: what it writes.
        conflict: it must wait; a cycle after `read` and `write` have changed.
        begin: the next command begins; it is unfinished from now on.
        finish: how many commands are done in this cycle.
    """

    def __init__(self, *, reads: int, limit: int, ordered: bool) -> None:
        self._limit = limit
        self._ordered = ordered
        super().__init__(
            {
                "read": In(BeatRange).array(reads),
                "write": In(BeatRange),
                "conflict": Out(1),
                "begin": In(1),
                "finish": In(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unfinished = Signal(range(self._limit + 1))
        m.d.sync += unfinished.eq(unfinished + self.begin - self.finish)
        reads = list(self.read)
        written = self._remember(m, "written", [self.write], unfinished)
        meets = [_meet(read, written) for read in reads]
        if not self._ordered:
            was_read = self._remember(m, "was_read", reads, unfinished)
            meets += [_meet(self.write, written), _meet(self.write, was_read)]
        m.d.sync += self.conflict.eq((unfinished != 0) & Cat(meets).any())
        return m

    def _remember(self, m: Module, name: str, ranges: list[Any], unfinished: Signal) -> Any:
        """The range that covers those of all commands since there was none; empty ranges of a command do not count."""
        covered = Signal(BeatRange, name=name, reset_less=True)
        start, end = covered.start, covered.end
        empty = unfinished == 0
        # One range a cycle: the command keeps its ranges until the next one comes, some cycles later.
        steps = Signal(len(ranges), name=f"{name}_steps")
        fresh = Signal(name=f"{name}_fresh")
        m.d.sync += steps.eq(Cat(self.begin, steps))
        with m.If(self.begin):
            m.d.sync += fresh.eq(empty)
        for step, item in enumerate(ranges):
            with m.If(steps[step]):
                forget = fresh if step == 0 else False
                with m.If(item.end != 0):
                    m.d.sync += [
                        start.eq(Mux(forget | (item.start < start), item.start, start)),
                        end.eq(Mux(forget | (item.end > end), item.end, end)),
                    ]
                with m.Elif(forget):
                    m.d.sync += [start.eq(-1), end.eq(0)]
        return covered


def _meet(first: Any, second: Any) -> Value:
    return (first.end != 0) & (first.start < second.end) & (first.end > second.start)
