"""Commands of the ZIP accelerator: checked, turned into transfers and jobs, and completed in order."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, Completion, CoreCommand, Transfer
from cosoc.gateware.zip.config import COMMAND, ELEMENT_BYTES, MAX_LENGTH, ZIPOperation
from cosoc.gateware.zip.guard import ADDRESS_BITS, WriteGuard
from cosoc.gateware.zip.lane import OPERATION_BITS

BEATS_BITS = (-(-MAX_LENGTH * ELEMENT_BYTES // BEAT_BYTES)).bit_length()

Job = data.StructLayout({"operation": OPERATION_BITS, "beats": BEATS_BITS})
"""What the lanes do with the next `beats` beats of both operands."""

_QUEUED = 8
"""Commands after their check and before their completion."""

_OPERANDS, _RESULT = 2, 2


class CommandUnit(wiring.Component):
    """Takes a command, asks for its transfers, and is ready for the next one while the lanes work.

    A command that reads what an unfinished one writes waits; see `WriteGuard`.

    Members:
        command, completion: as in `CoreSignature`.
        request: transfers of the operands and of the result.
        job: work for the lanes, in the order of the transfers.
        written: 1 in a cycle in which the oldest write is done.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "completion": Out(stream.Signature(Completion)),
                "request": Out(stream.Signature(Transfer)).array(_OPERANDS + 1),
                "job": Out(stream.Signature(Job)),
                "written": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.jobs = jobs = SyncFIFOBuffered(width=Job.size, depth=_QUEUED)
        m.submodules.outcomes = outcomes = SyncFIFOBuffered(width=Completion.size, depth=_QUEUED)
        m.submodules.guard = guard = WriteGuard(reads=_OPERANDS, limit=_QUEUED)
        m.d.comb += [
            self.job.valid.eq(jobs.r_rdy),
            self.job.payload.eq(jobs.r_data),
            jobs.r_en.eq(self.job.ready),
            guard.finish.eq(self.written),
        ]

        taken = Signal(CoreCommand)
        command = COMMAND.struct()(taken.words)
        error = Signal(Error)
        asked = Signal(_OPERANDS + 1)
        beats = (command.length + 1) >> 1
        m.d.comb += [
            jobs.w_data.eq(Cat(command.opcode[:OPERATION_BITS], beats[:BEATS_BITS])),
            outcomes.w_data.eq(error),
        ]
        self._ask(m, taken, command, asked)
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += taken.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += error.eq(_check(command))
                addresses = (command.a_address, command.b_address, command.out_address)
                for window, address in zip((*guard.read, guard.write), addresses, strict=True):
                    start = address[-ADDRESS_BITS:]
                    m.d.sync += [window.start.eq(start), window.end.eq(start + beats)]
                m.next = "QUEUE"
            with m.State("QUEUE"), m.If(outcomes.w_rdy & ((error != Error.NONE) | ~guard.conflict)):
                m.d.comb += outcomes.w_en.eq(1)
                m.next = "TAKE"
                with m.If(error == Error.NONE):
                    # A job has its place: there are never more of them than outcomes.
                    m.d.comb += [jobs.w_en.eq(1), guard.begin.eq(1)]
                    m.d.sync += asked.eq(0)
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += [port.valid.eq(~asked[i]) for i, port in enumerate(self.request)]
                now_asked = asked | Cat(port.ready for port in self.request)
                m.d.sync += asked.eq(now_asked)
                with m.If(now_asked.all()):
                    m.next = "TAKE"
        self._complete(m, outcomes)
        return m

    def _ask(self, m: Module, taken: Any, command: Any, asked: Signal) -> None:
        """The payloads of the three transfers."""
        addresses = (command.a_address, command.b_address, command.out_address)
        for port, address in zip(self.request, addresses, strict=True):
            m.d.comb += [
                port.payload.address.eq(address),
                port.payload.length.eq(command.length * ELEMENT_BYTES),
                port.payload.sequence.eq(taken.sequence),
            ]

    def _complete(self, m: Module, outcomes: SyncFIFOBuffered) -> None:
        """Completes the oldest command: at once if it failed its check, else when its write is done."""
        done = Signal(range(_QUEUED + 1))  # writes that are done and whose commands are not yet completed
        failed = outcomes.r_data != Error.NONE
        m.d.comb += [
            self.completion.payload.error.eq(outcomes.r_data),
            self.completion.valid.eq(outcomes.r_rdy & (failed | (done != 0))),
            outcomes.r_en.eq(self.completion.valid & self.completion.ready),
        ]
        m.d.sync += done.eq(done + self.written - (outcomes.r_en & ~failed))


def _check(command: Any) -> Value:
    """The error of a command; the lowest code if there are several."""
    addresses = command.a_address | command.b_address | command.out_address
    misaligned = addresses % BEAT_BYTES != 0
    bad_length = (command.length == 0) | (command.length > MAX_LENGTH)
    error = Mux(bad_length, Error.BAD_LENGTH, Mux(misaligned, Error.MISALIGNED, Error.NONE))
    return Mux(command.opcode > max(ZIPOperation), Error.BAD_OPCODE, error)
