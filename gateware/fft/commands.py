"""Checks commands and hands their parts to the feeder and the writer."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.fft.config import COMMAND, MIN_LOG2, FFTOperation
from cosoc.gateware.fft.feeder import BEATS_BITS, FeedJob
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS, CoreCommand, Transfer

WriteJob = data.StructLayout({"error": 8, "address": 64, "beats": BEATS_BITS, "sequence": SEQUENCE_BITS})
"""The output of one command, or the reason why it has none."""

MAX_COMMANDS = 15
"""Most commands in execution at once."""


class CommandUnit(wiring.Component):
    """Turns each command into a read transfer, a job for the feeder and one for the writer; one that is not possible into an error.

    A command is read while earlier ones are still computed, unless its input overlaps one of their outputs: then it waits for
    all of them. The outputs in execution are kept as one range around all of them, which may wait without need.

    Args:
        max_log2: log2 of the longest transform.

    Members:
        command: the core's commands.
        request: read transfers.
        feed: the same inputs, for the feeder.
        write: all commands, for the writer.
        completed: a command completes in this cycle.
    """

    def __init__(self, *, max_log2: int) -> None:
        self.max_log2 = max_log2
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "request": Out(stream.Signature(Transfer)),
                "feed": Out(stream.Signature(FeedJob)),
                "write": Out(stream.Signature(WriteJob)),
                "completed": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words = Signal(COMMAND.struct(), reset_less=True)
        sequence = Signal(SEQUENCE_BITS, reset_less=True)
        error = Signal(8)
        beats = Signal(BEATS_BITS)
        running = Signal(range(MAX_COMMANDS + 1))
        overlap = self._overlap(m, words, beats, running)

        m.d.comb += [
            self.request.payload.address.eq(words.in_address),
            self.request.payload.length.eq(beats * BEAT_BYTES),
            self.request.payload.sequence.eq(sequence),
            self.feed.payload.log2_length.eq(words.log2_length),
            self.feed.payload.inverse.eq(words.opcode == FFTOperation.INVERSE),
            self.feed.payload.beats.eq(beats),
            self.write.payload.error.eq(error),
            self.write.payload.address.eq(words.out_address),
            self.write.payload.beats.eq(beats),
            self.write.payload.sequence.eq(sequence),
        ]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += [words.eq(self.command.payload.words), sequence.eq(self.command.payload.sequence)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [error.eq(self._error(words)), beats.eq(words.frames << words.log2_length[:5] >> 1)]
                m.next = "BOUND"
            with m.State("BOUND"):
                m.next = "COMPARE"
                with m.If(error != Error.NONE):
                    m.next = "WRITE"
            with m.State("COMPARE"):
                m.next = "READ"
            with m.State("READ"):
                # Once true it stays: nothing is added to the running commands meanwhile.
                m.d.comb += self.request.valid.eq(~overlap | (running == 0))
                with m.If(self.request.valid & self.request.ready):
                    m.next = "FEED"
            with m.State("FEED"):
                m.d.comb += self.feed.valid.eq(1)
                with m.If(self.feed.ready):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.write.valid.eq(1)
                with m.If(self.write.ready):
                    m.next = "TAKE"
        m.d.sync += running.eq(running + (self.write.valid & self.write.ready) - self.completed)
        return m

    def _error(self, words: Any) -> Any:
        """The lowest code of the errors that a command has."""
        too_long: Any = 1  # bytes above 2^32 - 1, or a length that does not exist
        for log2 in range(MIN_LOG2, self.max_log2 + 1):
            too_long = Mux(words.log2_length == log2, words.frames[29 - log2 :].any(), too_long)
        misaligned = (words.in_address | words.out_address)[: ceil_log2(BEAT_BYTES)].any()
        result: Any = Mux(misaligned, Error.MISALIGNED, Error.NONE)
        result = Mux(too_long | (words.frames == 0), Error.BAD_LENGTH, result)
        return Mux(words.opcode > max(FFTOperation), Error.BAD_OPCODE, result)

    def _overlap(self, m: Module, words: Any, beats: Signal, running: Signal) -> Signal:
        """Whether the command reads between the lowest and the highest word that running commands write.

        The command's last words are known one cycle after `beats`, and the answer after another.
        """
        skip = ceil_log2(BEAT_BYTES)
        in_first, out_first = words.in_address[skip:], words.out_address[skip:]
        in_last, out_last, low, high = (
            Signal(64 - skip, name=name, reset_less=True) for name in ("in_last", "out_last", "low", "high")
        )
        overlap = Signal()
        m.d.sync += [
            in_last.eq(in_first + beats - 1),
            out_last.eq(out_first + beats - 1),
            overlap.eq((in_first <= high) & (in_last >= low)),
        ]
        with m.If(self.write.valid & self.write.ready & (self.write.payload.error == Error.NONE)):
            with m.If((running == 0) | (out_first < low)):
                m.d.sync += low.eq(out_first)
            with m.If((running == 0) | (out_last > high)):
                m.d.sync += high.eq(out_last)
        return overlap
