"""Commands of the FIR accelerator: checked, turned into transfers and jobs while earlier ones are still computed."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.fir.config import COMMAND, MAX_SAMPLES, SAMPLE_BYTES, FIRConfig, FIROperation
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS, CoreCommand, Transfer
from cosoc.gateware.peripheral.guard import MemoryGuard

COUNT_BITS = ceil_log2(MAX_SAMPLES + 1)

MAX_COMMANDS = 15
"""Most commands in execution at once."""

_BEAT_LOG2 = ceil_log2(BEAT_BYTES)
_TRANSFERS = ("taps", "samples", "sums", "results")


def job_layout(config: FIRConfig) -> data.StructLayout:
    """What is left of a command after its check; with an `error` nothing but that."""
    return data.StructLayout(
        {
            "error": 8,
            "accumulate": 1,
            "taps": range(config.multipliers + 1),
            "delay": 16,
            "length": 32,
            "samples": COUNT_BITS,
            "outputs": COUNT_BITS,
            "decimation": 16,
        }
    )


class CommandUnit(wiring.Component):
    """Takes a command, asks for its transfers, hands it on as a job, and is ready for the next one.

    A command that reads what an unfinished one writes waits for it: see `MemoryGuard`.

    Members:
        command: the core's commands.
        taps, samples, sums, results: transfers; taps and samples in this order.
        job: all commands, after their transfers.
        done: a command that writes is done in this cycle.
    """

    def __init__(self, config: FIRConfig) -> None:
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                **{name: Out(stream.Signature(Transfer)) for name in _TRANSFERS},
                "job": Out(stream.Signature(job_layout(config))),
                "done": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard = guard = MemoryGuard(reads=3, limit=MAX_COMMANDS, ordered=True)
        words = Signal(COMMAND.struct(), reset_less=True)
        sequence = Signal(SEQUENCE_BITS, reset_less=True)
        error = Signal(8)
        accumulate = words.opcode == FIROperation.ACCUMULATE
        self._ranges(m, words, accumulate, guard)
        self._transfers(m, words, sequence)
        job = self.job.payload
        names = ("taps", "delay", "length", "samples", "outputs", "decimation")
        m.d.comb += [job.error.eq(error), job.accumulate.eq(accumulate), *(job[name].eq(words[name]) for name in names)]
        m.d.comb += guard.finish.eq(self.done)
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += [words.eq(self.command.payload.words), sequence.eq(self.command.payload.sequence)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += error.eq(self._error(words))
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(error != Error.NONE):
                    m.next = "HAND_ON"
                with m.Elif(~guard.conflict):
                    m.d.comb += guard.begin.eq(1)
                    m.next = "TAPS"
            self._ask(m, "TAPS", self.taps, "SAMPLES")
            self._ask(m, "SAMPLES", self.samples, Mux(accumulate, 1, 0))
            self._ask(m, "SUMS", self.sums, "RESULTS")
            self._ask(m, "RESULTS", self.results, "HAND_ON")
            with m.State("HAND_ON"):
                m.d.comb += self.job.valid.eq(1)
                with m.If(self.job.ready):
                    m.next = "TAKE"
        return m

    def _ask(self, m: Module, state: str, port: Any, following: str | Value) -> None:
        """A state that asks for a transfer; behind the samples, whether there are sums decides on the next one."""
        with m.State(state):
            m.d.comb += port.valid.eq(1)
            with m.If(port.ready):
                if isinstance(following, str):
                    m.next = following
                else:
                    m.next = "RESULTS"
                    with m.If(following):
                        m.next = "SUMS"

    def _transfers(self, m: Module, words: Any, sequence: Signal) -> None:
        """Addresses and lengths."""
        places = {
            "taps": (words.taps_address, words.taps),
            "samples": (words.in_address, words.samples),
            "sums": (words.out_address, words.outputs),
            "results": (words.out_address, words.outputs),
        }
        for name, (address, count) in places.items():
            transfer = getattr(self, name).payload
            m.d.comb += [transfer.address.eq(address), transfer.length.eq(count * SAMPLE_BYTES), transfer.sequence.eq(sequence)]

    def _ranges(self, m: Module, words: Any, accumulate: Value, guard: MemoryGuard) -> None:
        """The beats that the command reads and writes, a cycle after it is there."""

        def set_range(target: Any, address: Value, count: Value, used: Any) -> None:
            beats = (count * SAMPLE_BYTES + (BEAT_BYTES - 1)) >> _BEAT_LOG2
            start, end = Signal.like(target.start), Signal.like(target.end)
            m.d.sync += [start.eq(address >> _BEAT_LOG2), end.eq(Mux(used, (address >> _BEAT_LOG2) + beats, 0))]
            m.d.comb += [target.start.eq(start), target.end.eq(end)]

        set_range(guard.read[0], words.taps_address, words.taps, 1)
        set_range(guard.read[1], words.in_address, words.samples, 1)
        set_range(guard.read[2], words.out_address, words.outputs, accumulate)
        set_range(guard.write, words.out_address, words.outputs, 1)

    def _error(self, words: Any) -> Value:
        """The lowest code of the errors that a command has, of those that it shows."""
        addresses = words.in_address | words.out_address | words.taps_address
        lengths = [
            (words.outputs == 0) | (words.outputs > words.samples) | (words.samples > MAX_SAMPLES),
            (words.length == 0) | (words.taps == 0) | (words.taps > self.config.multipliers),
        ]
        parameters = (words.decimation == 0) | (words.delay >= self.config.max_taps)
        result: Any = Mux(parameters, Error.BAD_PARAMETER, Error.NONE)
        result = Mux(addresses[:_BEAT_LOG2].any(), Error.MISALIGNED, result)
        result = Mux(lengths[0] | lengths[1], Error.BAD_LENGTH, result)
        return Value.cast(Mux(words.opcode > max(FIROperation), Error.BAD_OPCODE, result))
