"""Checks commands and hands their parts to the readers, the feeder and the writer."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.fft.config import COMMAND, MIN_LOG2, FFTConfig, FFTOperation
from cosoc.gateware.fft.jobs import Context, FeedJob, Finish, WriteJob
from cosoc.gateware.fft.operands import LOG2_BITS, SAMPLE_LOG2, OperandUnit
from cosoc.gateware.fft.walk import Walk
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS, CoreCommand

MAX_COMMANDS = 15
"""Most commands in execution at once."""

_BEAT_LOG2 = ceil_log2(BEAT_BYTES)
_IN, _B, _OUT = range(3)


class CommandUnit(wiring.Component):
    """Turns each command into walks over its operands and jobs; one that is not possible into an error.

    A command is read while earlier ones are still computed, unless what it reads overlaps one of their outputs: then it waits
    for all of them. The outputs in execution are kept as one range around all of them, which may wait without need. With two
    ports, which do not keep the order of their writes, an output waits likewise.

    Args:
        config: of the accelerator.

    Members:
        command: the core's commands.
        read, read_b: walks over the input and the second operand.
        feed: the frames, for the feeder.
        write: all commands, for the writer.
        completed: a command completes in this cycle.
    """

    def __init__(self, config: FFTConfig) -> None:
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "read": Out(stream.Signature(Walk)),
                "read_b": Out(stream.Signature(Walk)),
                "feed": Out(stream.Signature(FeedJob)),
                "write": Out(stream.Signature(WriteJob)),
                "completed": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words = Signal(COMMAND.struct(), reset_less=True)
        sequence = Signal(SEQUENCE_BITS, reset_less=True)
        frame_log2 = Signal(9, reset_less=True)
        error, packed, which = Signal(8), Signal(), Signal(2)
        reasons = self._check(m, words, frame_log2, packed)
        m.submodules.operands = operands = OperandUnit()
        self._choose_operand(m, words, frame_log2, which, operands.operand.payload)
        place = operands.place.payload
        overlap, running = self._overlap(m, place, which)
        taken = self._offer(m, words, sequence, frame_log2, error, packed, place.walk, which)
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [words.eq(self.command.payload.words), sequence.eq(self.command.payload.sequence), which.eq(_IN)]
                with m.If(self.command.valid):
                    m.next = "MEASURE"
            with m.State("MEASURE"):
                m.d.sync += frame_log2.eq(words.log2_length + words.interleave_log2)
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += error.eq(Error.NONE)
                m.next = "PLACE"
                for code in sorted(reasons, reverse=True):
                    with m.If(reasons[code]):
                        m.d.sync += error.eq(code)
                        m.next = "REFUSE"
            with m.State("REFUSE"):
                m.d.comb += self.write.valid.eq(1)
                with m.If(self.write.ready):
                    m.next = "TAKE"
            with m.State("PLACE"):
                m.d.comb += operands.operand.valid.eq(1)
                with m.If(operands.operand.ready):
                    m.next = "COMPARE"
            with m.State("COMPARE"), m.If(operands.place.valid):
                m.next = "OFFER"
            with m.State("OFFER"):
                # Once it may go, it may go on: nothing is added to the running commands meanwhile.
                ports = {_IN: self.read, _B: self.read_b, _OUT: self.write}
                for operand, port in ports.items():
                    m.d.comb += port.valid.eq((which == operand) & (~overlap | (running == 0)))
                m.d.comb += operands.place.ready.eq(taken)
                with m.If(taken):
                    m.next = "PLACE"
                    with m.If(which == _IN):
                        m.next = "FEED"
                    with m.Elif(which == _B):
                        m.d.sync += which.eq(_OUT)
                    with m.Else():
                        m.next = "TAKE"
            with m.State("FEED"):
                m.d.comb += self.feed.valid.eq(1)
                m.d.sync += which.eq(Mux(words.multiply, _B, _OUT))
                with m.If(self.feed.ready):
                    m.next = "PLACE"
        begins = self.write.valid & self.write.ready
        m.d.sync += running.eq(running + begins - self.completed)
        return m

    def _check(self, m: Module, words: Any, frame_log2: Signal, packed: Signal) -> dict[Error, Value]:
        """The errors that a command has, two cycles after it and one after its `frame_log2`; whether its output is `packed`."""
        config = self.config
        bins = Const(1 << SAMPLE_LOG2, 32) << words.log2_length[:LOG2_BITS] | 1 << SAMPLE_LOG2
        limit_log2 = 32 - SAMPLE_LOG2  # of the samples of a command; real input makes a few more
        too_many: Any = 1
        for log2 in range(MIN_LOG2, config.max_log2 + 1):
            frames = Mux(words.real, words.frames[limit_log2 - log2 - 1 :].any(), words.frames[limit_log2 - log2 :].any())
            too_many = Mux(frame_log2 == log2, frames, too_many)
        bad_length = (words.frames == 0) | (words.log2_length < MIN_LOG2) | too_many

        apart = words.interleave_log2 != 0
        several = words.frames != 1
        addresses = words.in_address | words.out_address | Mux(words.multiply, words.b_address, 0)
        rows = words.in_row_stride | words.out_row_stride | Mux(words.multiply, words.b_row_stride, 0)
        frames = words.in_frame_stride | Mux(words.multiply, words.b_frame_stride, 0)
        skewed = [value[:_BEAT_LOG2].any() for value in (addresses, rows, frames, words.out_frame_stride)]
        bad_parameter = words.interleave_log2 == 1
        bad_parameter |= words.real & (apart | words.scaled | words.multiply | (words.opcode != FFTOperation.FORWARD))
        bad_parameter |= (words.real & (not config.real_input)) | (words.multiply & (not config.multiply))

        bad_opcode, length, misaligned, skewed_output, parameter = (
            Signal(name=name) for name in ("bad_opcode", "bad_length", "misaligned", "skewed_output", "bad_parameter")
        )
        m.d.sync += [
            bad_opcode.eq(words.opcode > max(FFTOperation)),
            length.eq(bad_length),
            misaligned.eq(skewed[0] | (apart & skewed[1]) | (several & skewed[2])),
            skewed_output.eq(several & skewed[3]),
            packed.eq(words.real & (words.out_frame_stride == bins)),
            parameter.eq(bad_parameter),
        ]
        return {
            Error.BAD_OPCODE: bad_opcode,
            Error.BAD_LENGTH: length,
            Error.MISALIGNED: misaligned | (skewed_output & ~packed),
            Error.BAD_PARAMETER: parameter,
        }

    def _choose_operand(self, m: Module, words: Any, frame_log2: Signal, which: Signal, operand: Any) -> None:
        """The operand whose turn it is."""
        length_log2, columns_log2 = words.log2_length[:LOG2_BITS], words.interleave_log2[:LOG2_BITS]
        apart = words.interleave_log2 != 0
        transposed = apart & words.transpose & (which != _IN)
        m.d.comb += [
            operand.row_log2.eq(Mux(apart & ~transposed, columns_log2, length_log2)),
            operand.rows_log2.eq(Mux(transposed, columns_log2, Mux(apart, length_log2, 0))),
            operand.frame_log2.eq(frame_log2),
            operand.extra.eq(words.real & (which == _OUT)),
            operand.frames.eq(words.frames),
        ]
        for index, prefix in ((_IN, "in"), (_B, "b"), (_OUT, "out")):
            with m.If(which == index):
                m.d.comb += [
                    operand[name].eq(getattr(words, f"{prefix}_{name}")) for name in ("address", "row_stride", "frame_stride")
                ]

    def _offer(
        self,
        m: Module,
        words: Any,
        sequence: Signal,
        frame_log2: Signal,
        error: Signal,
        packed: Signal,
        walk: Any,
        which: Signal,
    ) -> Value:
        """Payloads of all streams; returns whether the walk is taken."""
        context = data.View(Context, self.feed.payload.frame.context)
        frame = self.feed.payload.frame
        multiplies = Mux(words.conjugate, Finish.MULTIPLY_CONJUGATE, Finish.MULTIPLY)
        m.d.comb += [
            frame.log2_length.eq(words.log2_length),
            frame.interleave_log2.eq(words.interleave_log2),
            frame.inverse.eq(words.opcode == FFTOperation.INVERSE),
            frame.scaled.eq(words.scaled),
            context.finish.eq(Mux(words.multiply, multiplies, Mux(words.real, Finish.REAL, Finish.NONE))),
            context.transpose.eq(words.transpose),
            self.feed.payload.frame_log2.eq(frame_log2),
            self.feed.payload.frames.eq(words.frames),
            self.feed.payload.packed.eq(packed),
            self.write.payload.error.eq(error),
        ]
        for target in (self.read.payload, self.read_b.payload, self.write.payload.walk):
            m.d.comb += [target.eq(walk), target.sequence.eq(sequence)]
        ready = Signal()
        for index, port in ((_IN, self.read), (_B, self.read_b), (_OUT, self.write)):
            with m.If(which == index):
                m.d.comb += ready.eq(port.valid & port.ready)
        return ready

    def _overlap(self, m: Module, place: Any, which: Signal) -> tuple[Signal, Signal]:
        """Whether the operand lies between the first and the last byte that running commands write, and how many of them run.

        The answer is known one cycle after the place.
        """
        running = Signal(range(MAX_COMMANDS + 1))
        first, last = (address[_BEAT_LOG2:] for address in (place.walk.address, place.last))
        low, high = (Signal(64 - _BEAT_LOG2, name=name, reset_less=True) for name in ("low", "high"))
        overlap = Signal()
        matters = 1 if self.config.memory_ports > 1 else which != _OUT
        m.d.sync += overlap.eq((first <= high) & (last >= low) & matters)
        with m.If(self.write.valid & self.write.ready & (self.write.payload.error == Error.NONE)):
            with m.If((running == 0) | (first < low)):
                m.d.sync += low.eq(first)
            with m.If((running == 0) | (last > high)):
                m.d.sync += high.eq(last)
        return overlap, running
