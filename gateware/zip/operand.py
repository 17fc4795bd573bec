"""The second operand of the lanes: a vector from memory, a short one again and again, or a constant."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import BEAT_BITS
from cosoc.gateware.zip.config import MAX_REPEATED_BYTES, SLOT_BYTES

SLOT_BITS = 8 * SLOT_BYTES
MAX_PERIOD = MAX_REPEATED_BYTES // SLOT_BYTES
"""Slots of the longest vector that repeats."""

PERIOD_BITS = MAX_PERIOD.bit_length()

_READY = 8
"""Beats that wait for the lanes: more than the cycles that a beat takes through the buffer."""


def operand_job(beats_bits: int) -> data.StructLayout:
    """`beats` beats of b. `constant`: all are `value` twice. Else, if `period` is not 0, so many slots repeat; `single`: the slot
    is made of its first `single` bytes (2 or 4; 0 for all).
    """
    return data.StructLayout({"beats": beats_bits, "constant": 1, "period": PERIOD_BITS, "single": 3, "value": SLOT_BITS})


class SecondOperand(wiring.Component):
    """Makes the beats of b, one in every cycle, in the order of its jobs.

    A vector that repeats is kept while its first period goes through, so the period costs no time of its own. The buffer has one
    memory for even and one for odd slots, so that any two neighbours are read at once; behind the last slot of an odd period
    lies the first one again::

        port.data --+--------------------------------> choose --> beats that wait --> beat
                    +--> even slots, odd slots --------^

    Args:
        beats_bits: bits of the number of beats of a job.

    Members:
        job: what to make, `operand_job(beats_bits)`.
        data: beats of b from memory.
        beat: beats of b for the lanes.
    """

    def __init__(self, *, beats_bits: int) -> None:
        self._beats_bits = beats_bits
        super().__init__(
            {
                "job": In(stream.Signature(operand_job(beats_bits))),
                "data": In(stream.Signature(BEAT_BITS)),
                "beat": Out(stream.Signature(BEAT_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ready = ready = SyncFIFO(width=BEAT_BITS, depth=_READY)
        wiring.connect(m, ready.r_stream, wiring.flipped(self.beat))
        job = self.job.payload
        position = Signal(PERIOD_BITS)  # slot of the period that is the beat's first
        stored = Signal()  # the first period has gone through
        beats = Signal(self._beats_bits)
        room = Signal(range(_READY + 1), init=_READY)
        from_memory = ~job.constant & ~stored
        step = Signal()
        ends = Signal()
        period_ends = Signal()
        period = Signal(PERIOD_BITS)
        m.d.comb += [
            # A period of one slot is one of two equal slots.
            period.eq(Mux(job.period == 1, 2, job.period)),
            step.eq(self.job.valid & (room != 0) & (self.data.valid | ~from_memory)),
            self.data.ready.eq(step & from_memory),
            ends.eq(beats + 1 == job.beats),
            period_ends.eq((job.period != 0) & (position + 2 >= period)),
            self.job.ready.eq(step & ends),
        ]
        m.d.sync += room.eq(room - step + (ready.r_rdy & ready.r_en))
        with m.If(step):
            m.d.sync += [
                beats.eq(Mux(ends, 0, beats + 1)),
                stored.eq(~ends & (stored | period_ends)),
                position.eq(Mux(ends | (job.period == 0), 0, Mux(period_ends, position + 2 - period, position + 2))),
            ]
        fresh = self._complete_beat(m, step, position, period_ends)
        self._output(m, ready, step, stored, position, fresh)
        return m

    def _complete_beat(self, m: Module, step: Signal, position: Signal, period_ends: Signal) -> Any:
        """The beat that comes from memory, or the constant; where an odd period ends, its first slot follows the last."""
        job = self.job.payload
        lower, upper = self.data.payload[:SLOT_BITS], self.data.payload[SLOT_BITS:]
        half, quarter = lower[: SLOT_BITS // 2], lower[: SLOT_BITS // 4]
        lower = Mux(job.single == 4, half.replicate(2), Mux(job.single == 2, quarter.replicate(4), lower))
        first = Signal(SLOT_BITS, reset_less=True)
        with m.If(step & (position == 0)):
            m.d.sync += first.eq(lower)
        follows = Mux(job.period == 1, lower, first)
        upper = Mux((job.period != 0) & period_ends & job.period[0], follows, upper)
        return Mux(job.constant, job.value.replicate(2), Cat(lower, upper))

    def _output(self, m: Module, ready: SyncFIFO, step: Signal, stored: Signal, position: Signal, fresh: Any) -> None:
        """Writes the slots of the first period, reads those of the others, and gives the beat a cycle later."""
        slots = []
        for name, upper in (("even", 0), ("odd", 1)):
            m.submodules[name] = slot = memory.Memory(shape=SLOT_BITS, depth=MAX_PERIOD // 2, init=[])
            write, read = slot.write_port(), slot.read_port()
            index = position[1:]
            m.d.comb += [
                write.addr.eq(index),
                write.data.eq(fresh[upper * SLOT_BITS :][:SLOT_BITS]),
                write.en.eq(step & ~stored),
                # An odd position begins in the memory of the odd slots and goes on with the next even one.
                read.addr.eq(index if upper else index + position[0]),
                read.en.eq(step),
            ]
            slots.append(read.data)
        even, odd = slots
        made, from_buffer, swapped = Signal(), Signal(), Signal()
        passing = Signal(BEAT_BITS, reset_less=True)
        m.d.sync += [made.eq(step), from_buffer.eq(stored), swapped.eq(position[0]), passing.eq(fresh)]
        m.d.comb += [
            ready.w_en.eq(made),
            ready.w_data.eq(Mux(from_buffer, Mux(swapped, Cat(odd, even), Cat(even, odd)), passing)),
        ]
