"""Commands of the ZIP accelerator: checked, turned into transfers and jobs, and completed in order."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, Completion, CoreCommand, Transfer
from cosoc.gateware.peripheral.guard import ADDRESS_BITS, MemoryGuard
from cosoc.gateware.zip.config import COMMAND, MAX_LENGTH, MAX_REPEATED_BYTES, SLOT_BYTES, NumberFormat, ZIPOperation
from cosoc.gateware.zip.engine import QUEUED, Job

A, B, C, OUT = range(4)
OPERANDS = 3

_Outcome = data.StructLayout({"error": 8, "engine": 1})

_LARGEST_SLOT_LOG2 = SLOT_BYTES.bit_length() - 1


class CommandUnit(wiring.Component):
    """Takes a command, asks for its transfers, and is ready for the next one while the lanes work.

    With two engines every second command that passes its check goes to each. A command that reads what an unfinished one writes
    waits; between two engines, so does one that writes what an unfinished one reads or writes: see `MemoryGuard`.

    Stages, a cycle each: take, decode, measure, compare with unfinished commands, queue; then as long as the transfers are taken.

    Args:
        engines: 1 or 2.
        number_format: of all vectors.

    Members:
        command, completion: as in `CoreSignature`.
        request: for each engine the transfers of `a`, `b`, `c` and the result.
        job: for each engine, in the order of the transfers.
        written: for each engine 1 in a cycle in which its oldest write is done.
    """

    def __init__(self, *, engines: int, number_format: NumberFormat) -> None:
        self._engines = engines
        self._format = number_format
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "completion": Out(stream.Signature(Completion)),
                "request": Out(stream.Signature(Transfer)).array(engines, OPERANDS + 1),
                "job": Out(stream.Signature(Job)).array(engines),
                "written": In(engines),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.outcomes = outcomes = SyncFIFOBuffered(width=_Outcome.size, depth=QUEUED)
        m.submodules.guard = guard = MemoryGuard(reads=OPERANDS, limit=QUEUED, ordered=self._engines == 1)
        taken = Signal(CoreCommand)
        command = COMMAND.struct()(taken.words)
        decoded = self._decode(m, command)
        measured = self._measure(m, command, decoded, guard)
        engine = Signal()  # that takes the next good command
        asked = Signal(OPERANDS + 1)
        ready = [Cat(port.ready for port in requests) for requests in self.request]
        self._give(m, taken, command, decoded, measured)
        outcome = data.View(_Outcome, outcomes.w_data)
        m.d.comb += [
            outcome.error.eq(measured.error),
            outcome.engine.eq(engine),
            guard.finish.eq(sum(self.written[index] for index in range(self._engines))),
        ]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += taken.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.next = "MEASURE"
            with m.State("MEASURE"):
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.next = "QUEUE"
            with m.State("QUEUE"), m.If(outcomes.w_rdy & ((measured.error != Error.NONE) | ~guard.conflict)):
                m.d.comb += outcomes.w_en.eq(1)
                m.next = "TAKE"
                with m.If(measured.error == Error.NONE):
                    # A job has its place: there are never more of them than outcomes.
                    m.d.comb += guard.begin.eq(1)
                    m.d.comb += [self.job[index].valid.eq(engine == index) for index in range(self._engines)]
                    m.d.sync += asked.eq(~measured.asks)
                    m.next = "ASK"
            with m.State("ASK"):
                for index, requests in enumerate(self.request):
                    m.d.comb += [port.valid.eq(~asked[i] & (engine == index)) for i, port in enumerate(requests)]
                now_asked = asked | Array(ready)[engine]
                m.d.sync += asked.eq(now_asked)
                with m.If(now_asked.all()):
                    m.d.sync += engine.eq((engine + 1) if self._engines == 2 else 0)
                    m.next = "TAKE"
        self._complete(m, outcomes)
        return m

    def _decode(self, m: Module, command: Any) -> SimpleNamespace:
        """The first stage: what the opcode says, and the number of bytes."""
        known = list(ZIPOperation)

        def register(name: str, value: Any) -> Signal:
            signal = Signal(Value.cast(value).shape(), name=name)
            m.d.sync += signal.eq(value)
            return signal

        def which(name: str, test: Callable[[ZIPOperation], bool]) -> Signal:
            return register(name, Cat(command.opcode == item for item in known if test(item)).any())

        sizes = {False: 2 * self._format.real_bytes, True: self._format.real_bytes}
        is_real = Cat(command.opcode == item for item in known if item.real).any()
        length, repeats = command.length, command.b_length
        return SimpleNamespace(
            known=which("known", lambda item: True),
            real=which("real", lambda item: item.real),
            narrow=which("narrow", lambda item: item.narrow),
            divided=which("divided", lambda item: item.divides),
            with_b=register("with_b", ~command.b_constant & Cat(command.opcode == i for i in known if i.operands > 1).any()),
            with_c=which("with_c", lambda item: item.operands > 2),
            bad_length=register("bad_length", (length == 0) | (length > MAX_LENGTH)),
            repeats_too_long=register("repeats_too_long", repeats > length),
            bytes=register("bytes", Mux(is_real, length * sizes[True], length * sizes[False])[:33]),
            repeated=register("repeated", Mux(is_real, repeats * sizes[True], repeats * sizes[False])[:20]),
            single=register("single", Mux(repeats == 1, Mux(is_real, sizes[True], sizes[False] % SLOT_BYTES), 0)[:3]),
        )

    def _measure(self, m: Module, command: Any, decoded: SimpleNamespace, guard: MemoryGuard) -> SimpleNamespace:
        """The second stage: beats, ranges of memory, and the error; the lowest code if there are several."""
        beats = (decoded.bytes + (BEAT_BYTES - 1))[4:]
        result_bytes = Mux(decoded.narrow, decoded.bytes >> 1, decoded.bytes)
        uses = Cat(1, decoded.with_b, decoded.with_c, 1)
        repeats = decoded.with_b & (command.b_length != 0)
        whole = (decoded.repeated[:_LARGEST_SLOT_LOG2] == 0) | (command.b_length == 1)
        addresses = (command.a_address, command.b_address, command.c_address, command.out_address)
        misaligned = Cat(use & (address[:4] != 0) for use, address in zip(uses, addresses, strict=True)).any()
        bad_length = decoded.bad_length | (repeats & (decoded.repeats_too_long | (decoded.repeated > MAX_REPEATED_BYTES)))
        error = Mux(misaligned, Error.MISALIGNED, Mux(repeats & ~whole, Error.BAD_PARAMETER, Error.NONE))
        error = Mux(decoded.known, Mux(bad_length, Error.BAD_LENGTH, error), Error.BAD_OPCODE)
        b_bytes = Mux(repeats, decoded.repeated, decoded.bytes)
        sizes = (beats, (b_bytes + (BEAT_BYTES - 1))[4:], beats, (result_bytes + (BEAT_BYTES - 1))[4:])
        for window, use, address, size in zip((*guard.read, guard.write), uses, addresses, sizes, strict=True):
            start = address[-ADDRESS_BITS:]
            m.d.sync += [window.start.eq(start), window.end.eq(Mux(use, start + size, 0))]
        measured = SimpleNamespace(
            error=Signal(Error),
            beats=Signal.like(beats),
            asks=Signal(OPERANDS + 1),
            period=Signal(range(MAX_REPEATED_BYTES // SLOT_BYTES + 1)),
            b_bytes=Signal(32),
            result_bytes=Signal(32),
        )
        m.d.sync += [
            measured.error.eq(error),
            measured.beats.eq(beats),
            measured.asks.eq(uses),
            measured.period.eq(Mux(repeats, Mux(command.b_length == 1, 1, decoded.repeated >> _LARGEST_SLOT_LOG2), 0)),
            measured.b_bytes.eq(b_bytes),
            measured.result_bytes.eq(result_bytes),
        ]
        return measured

    def _give(self, m: Module, taken: Any, command: Any, decoded: SimpleNamespace, measured: SimpleNamespace) -> None:
        """The payloads of transfers and jobs, the same for both engines."""
        addresses = (command.a_address, command.b_address, command.c_address, command.out_address)
        sizes = (decoded.bytes, measured.b_bytes, decoded.bytes, measured.result_bytes)
        for requests in self.request:
            for port, address, size in zip(requests, addresses, sizes, strict=True):
                m.d.comb += [
                    port.payload.address.eq(address),
                    port.payload.length.eq(size),
                    port.payload.sequence.eq(taken.sequence),
                ]
        for job in self.job:
            lanes, operand = job.payload.lanes, job.payload.operand
            m.d.comb += [
                lanes.operation.eq(command.opcode),
                lanes.beats.eq(measured.beats),
                lanes.with_c.eq(decoded.with_c),
                lanes.narrow.eq(decoded.narrow),
                lanes.divided.eq(decoded.divided),
                lanes.shift.eq(command.shift),
                operand.beats.eq(measured.beats),
                operand.constant.eq(~decoded.with_b),
                operand.period.eq(measured.period),
                operand.single.eq(decoded.single),
                operand.value.eq(command.constant),
            ]

    def _complete(self, m: Module, outcomes: SyncFIFOBuffered) -> None:
        """Completes the oldest command: at once if it failed its check, else when its write is done."""
        oldest = data.View(_Outcome, outcomes.r_data)
        failed = oldest.error != Error.NONE
        ready = []
        for index in range(self._engines):
            done = Signal(range(QUEUED + 1), name=f"done{index}")  # writes whose commands are not yet completed
            ready.append((oldest.engine == index) & (done != 0))
            ends = outcomes.r_en & ~failed & (oldest.engine == index)
            m.d.sync += done.eq(done + self.written[index] - ends)
        m.d.comb += [
            self.completion.payload.error.eq(oldest.error),
            self.completion.valid.eq(outcomes.r_rdy & (failed | Cat(ready).any())),
            outcomes.r_en.eq(self.completion.valid & self.completion.ready),
        ]
