"""The part of the ZIP core behind one memory port: operands in, lanes, results out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES
from cosoc.gateware.zip.config import MAX_LANES_PER_PORT, MAX_LENGTH, NumberFormat
from cosoc.gateware.zip.integer_lane import IntegerLane
from cosoc.gateware.zip.lane import OPERATION_BITS, FloatLane
from cosoc.gateware.zip.operand import SLOT_BITS, SecondOperand, operand_job

BEATS_BITS = (-(-MAX_LENGTH * 8 // BEAT_BYTES)).bit_length()

LaneJob = data.StructLayout({"operation": OPERATION_BITS, "beats": BEATS_BITS, "with_c": 1, "narrow": 1, "divided": 1, "shift": 5})
"""What the lanes do with the next `beats` beats; `narrow`: a result has half the bytes of an operand."""

_Mark = data.StructLayout({"divided": 1, "narrow": 1, "last": 1})
"""Of a beat in the lanes: its job's, and whether it is the last one."""

Job = data.StructLayout({"lanes": LaneJob, "operand": operand_job(BEATS_BITS)})

QUEUED = 8
"""Commands after their check and before their completion."""

_ROOM = 64
"""Beats on their way through the lanes and behind them: more than the lanes' latency, and the depth of a LUT's memory."""


class ZIPEngine(wiring.Component):
    """Executes jobs, one after the other without a gap.

    ::

        a --------------------+
        b --> SecondOperand --+--> lanes --> pack --> results --> out
        c --------------------+

    A beat of 128 bits carries two slots of 64, slot 2k in its lower half. With two lanes a beat of each operand enters in every
    cycle, with one lane in every second. The lanes never stall: a beat enters only when there is room for its result, and when it
    overtakes no other: quotients and roots take longer. Where an operand's last beat has bytes above its length, their results
    are not written.

    Args:
        lanes: 1 or 2.
        number_format: of all vectors.

    Members:
        job: work, in the order of the transfers.
        a, b, c: beats of the operands from memory.
        out: beats of the results.
    """

    def __init__(self, *, lanes: int, number_format: NumberFormat) -> None:
        self._lanes = lanes
        self._lane = IntegerLane if number_format is NumberFormat.INT16 else FloatLane
        beats = {name: In(stream.Signature(BEAT_BITS)) for name in "abc"}
        super().__init__({"job": In(stream.Signature(Job)), **beats, "out": Out(stream.Signature(BEAT_BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.jobs = jobs = SyncFIFOBuffered(width=LaneJob.size, depth=QUEUED)
        m.submodules.operands = operands = SyncFIFOBuffered(width=operand_job(BEATS_BITS).size, depth=QUEUED)
        m.submodules.second = second = SecondOperand(beats_bits=BEATS_BITS)
        m.submodules.results = results = SyncFIFO(width=BEAT_BITS, depth=_ROOM)
        wiring.connect(m, wiring.flipped(self.b), second.data)
        wiring.connect(m, operands.r_stream, second.job)
        wiring.connect(m, results.r_stream, wiring.flipped(self.out))
        # Both queues are as deep as there are jobs, so they are never full.
        m.d.comb += [
            self.job.ready.eq(1),
            jobs.w_en.eq(self.job.valid),
            jobs.w_data.eq(self.job.payload.lanes),
            operands.w_en.eq(self.job.valid),
            operands.w_data.eq(self.job.payload.operand),
        ]
        job = data.View(LaneJob, jobs.r_data)

        entered = Signal(BEATS_BITS)  # beats of the current job
        room = Signal(range(_ROOM + 1), init=_ROOM)  # places behind the lanes that are not promised to any beat
        ready, slot_enters, beat_enters, ends, overtakes = (Signal() for _ in range(5))
        last_slot = self._halves(m, slot_enters)
        m.d.comb += [
            ready.eq(jobs.r_rdy & (room != 0) & ~overtakes),
            slot_enters.eq(ready & self.a.valid & second.beat.valid & (self.c.valid | ~job.with_c)),
            beat_enters.eq(slot_enters & last_slot),
            self.a.ready.eq(beat_enters),
            second.beat.ready.eq(beat_enters),
            self.c.ready.eq(beat_enters & job.with_c),
            ends.eq(entered + 1 == job.beats),
            jobs.r_en.eq(beat_enters & ends),
        ]
        with m.If(beat_enters):
            m.d.sync += entered.eq(Mux(ends, 0, entered + 1))
        merged = self._compute(m, job, second, last_slot, beat_enters, ends, overtakes, results)
        m.d.sync += room.eq(room - beat_enters + merged + (results.r_rdy & results.r_en))
        return m

    def _halves(self, m: Module, slot_enters: Signal) -> Signal:
        """Whether the slot that enters now is the last one of its beat."""
        last = Signal()
        if self._lanes == 1:
            half = Signal()
            m.d.sync += half.eq(half ^ slot_enters)
            m.d.comb += last.eq(half)
        else:
            m.d.comb += last.eq(1)
        return last

    def _compute(
        self,
        m: Module,
        job: Any,
        second: Any,
        last_slot: Signal,
        beat_enters: Signal,
        ends: Signal,
        overtakes: Signal,
        results: SyncFIFO,
    ) -> Signal:
        """Slots through the lanes into the FIFO of results; returns whether a beat came out that shares its place with the next.
        `overtakes` tells when a beat of the job must not enter.
        """
        lanes = []
        for index in range(self._lanes):
            m.submodules[f"lane{index}"] = lane = self._lane()
            m.d.comb += [lane.operation.eq(job.operation), lane.shift.eq(job.shift)]
            for operand, beat in ((lane.a, self.a), (lane.b, second.beat), (lane.c, self.c)):
                lower, upper = beat.payload[:SLOT_BITS], beat.payload[SLOT_BITS:]
                m.d.comb += operand.eq(Mux(last_slot, upper, lower) if self._lanes == 1 else (lower, upper)[index])
            lanes.append(lane)
        outputs = [lane.o.as_value() for lane in lanes]
        if self._lanes == 1:
            lower = Signal(SLOT_BITS, reset_less=True)
            m.d.sync += lower.eq(outputs[0])
            outputs.insert(0, lower)
        valid, mark = self._accompany(m, job, beat_enters, ends, overtakes, lanes)
        return self._pack(m, outputs, valid, mark.narrow, mark.last, results)

    def _accompany(
        self, m: Module, job: Any, beat_enters: Signal, ends: Signal, overtakes: Signal, lanes: list[Any]
    ) -> tuple[Value, Any]:
        """What is known of a beat goes beside it: a place for each stage on the way through a divider, of which other beats leave
        out the first ones. Returns whether a beat comes out, and its mark.
        """
        places, skipped = self._lane.divided_latency, self._lane.divided_latency - self._lane.latency
        valid = Signal(places)
        marks = [Signal(_Mark, name=f"mark_{place}", reset_less=True) for place in range(places)]
        entering = Signal(_Mark)
        m.d.comb += [entering.divided.eq(job.divided), entering.narrow.eq(job.narrow), entering.last.eq(ends)]
        m.d.sync += [valid.eq(Cat(beat_enters & job.divided, valid)), marks[0].eq(entering)]
        m.d.sync += [now.eq(before) for now, before in zip(marks[1:], marks, strict=False)]
        with m.If(beat_enters & ~job.divided):
            m.d.sync += [valid[skipped].eq(1), marks[skipped].eq(entering)]
        m.d.comb += overtakes.eq(~job.divided & valid[:skipped].any())
        # With one lane the first half of a beat comes out a cycle before the second.
        coming = range(places - 1 - MAX_LANES_PER_PORT // self._lanes, places - 1)
        m.d.comb += [lane.late.eq(Cat(valid[place] & marks[place].divided for place in coming).any()) for lane in lanes]
        return valid[-1], marks[-1]

    def _pack(self, m: Module, outputs: list[Any], valid: Value, narrow: Any, last: Any, results: SyncFIFO) -> Signal:
        """Two beats of narrow results make one; the last one of a job may remain half."""
        merged, second_half = Signal(), Signal()
        halves = Cat(output[: SLOT_BITS // 2] for output in outputs)
        kept = Signal(BEAT_BITS // 2, reset_less=True)
        with m.If(valid & narrow):
            m.d.sync += second_half.eq(~second_half & ~last)
            with m.If(~second_half):
                m.d.sync += kept.eq(halves)
        packed = Mux(second_half, Cat(kept, halves), Cat(halves, halves))
        m.d.comb += [
            merged.eq(valid & narrow & ~second_half & ~last),
            results.w_data.eq(Mux(narrow, packed, Cat(outputs))),
            results.w_en.eq(valid & ~merged),
        ]
        return merged
