"""The part of the ZIP core behind one memory port: operands in, lanes, results out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES
from cosoc.gateware.zip.config import MAX_LENGTH, NumberFormat
from cosoc.gateware.zip.integer_lane import IntegerLane
from cosoc.gateware.zip.lane import OPERATION_BITS, FloatLane
from cosoc.gateware.zip.operand import SLOT_BITS, SecondOperand, operand_job

BEATS_BITS = (-(-MAX_LENGTH * 8 // BEAT_BYTES)).bit_length()

LaneJob = data.StructLayout({"operation": OPERATION_BITS, "beats": BEATS_BITS, "with_c": 1, "narrow": 1, "shift": 5})
"""What the lanes do with the next `beats` beats; `narrow`: a result has half the bytes of an operand."""

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
    cycle, with one lane in every second. The lanes never stall: a beat enters only when there is room for its result. Where an
    operand's last beat has bytes above its length, their results are not written.

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
        slot_enters, beat_enters, ends = Signal(), Signal(), Signal()
        last_slot = self._halves(m, slot_enters)
        m.d.comb += [
            slot_enters.eq(jobs.r_rdy & self.a.valid & second.beat.valid & (self.c.valid | ~job.with_c) & (room != 0)),
            beat_enters.eq(slot_enters & last_slot),
            self.a.ready.eq(beat_enters),
            second.beat.ready.eq(beat_enters),
            self.c.ready.eq(beat_enters & job.with_c),
            ends.eq(entered + 1 == job.beats),
            jobs.r_en.eq(beat_enters & ends),
        ]
        with m.If(beat_enters):
            m.d.sync += entered.eq(Mux(ends, 0, entered + 1))
        merged = self._compute(m, job, second, last_slot, beat_enters, ends, results)
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
        self, m: Module, job: Any, second: Any, last_slot: Signal, beat_enters: Signal, ends: Signal, results: SyncFIFO
    ) -> Signal:
        """Slots through the lanes into the FIFO of results; returns whether a beat came out that shares its place with the next."""
        outputs = []
        for index in range(self._lanes):
            m.submodules[f"lane{index}"] = lane = self._lane()
            m.d.comb += [lane.operation.eq(job.operation), lane.shift.eq(job.shift)]
            for operand, beat in ((lane.a, self.a), (lane.b, second.beat), (lane.c, self.c)):
                lower, upper = beat.payload[:SLOT_BITS], beat.payload[SLOT_BITS:]
                m.d.comb += operand.eq(Mux(last_slot, upper, lower) if self._lanes == 1 else (lower, upper)[index])
            outputs.append(lane.o.as_value())
        if self._lanes == 1:
            lower = Signal(SLOT_BITS, reset_less=True)
            m.d.sync += lower.eq(outputs[0])
            outputs.insert(0, lower)
        # What is known of a beat accompanies it.
        latency = self._lane.latency
        valid = Signal(latency)
        marks = [Signal(2, name=f"marks_{cycle}", reset_less=True) for cycle in range(latency)]
        m.d.sync += valid.eq(Cat(beat_enters, valid))
        m.d.sync += [now.eq(before) for now, before in zip(marks, (Cat(job.narrow, ends), *marks), strict=False)]
        return self._pack(m, outputs, valid[-1], marks[-1][0], marks[-1][1], results)

    def _pack(self, m: Module, outputs: list[Any], valid: Any, narrow: Any, last: Any, results: SyncFIFO) -> Signal:
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
