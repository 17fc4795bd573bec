"""The ring of commands: fetches commands from memory, gives them to the core, and writes their completions back."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.bursts import ErrorReport
from cosoc.gateware.layout.command import COMPLETION, HEADER, struct_of
from cosoc.gateware.layout.page import COMMAND_WORDS, MAX_RING_LOG2, SLOT_BYTES, Error
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES, SEQUENCE_BITS, Completion, CoreCommand, ReadPort, WritePort

_COMMAND_BYTES = 4 * COMMAND_WORDS
_COMMAND_BEATS = _COMMAND_BYTES // BEAT_BYTES
_SEQUENCES = 1 << SEQUENCE_BITS

_Dispatched = data.StructLayout({"tag": 16, "interrupt": 1, "lost": 1})
"""A command on its way, in order: what its completion needs. `lost`: it could not be fetched, and the core never saw it."""

_Finished = data.StructLayout({"interrupt": 1, "error": 8})
"""A command whose completion is being written."""


class CommandRing(wiring.Component):
    """Executes the ring that `gateware/layout/page.py` describes.

    Up to 15 commands are on their way at once: they are fetched ahead while earlier ones execute. A completion is written when the
    core has completed the command, which is after all its data is in memory; `head` counts it when the completion is in
    memory too; then the interrupt follows.

    The code of a command is that of the first report of a transfer with its sequence, else the core's own, which may follow from
    it: a program that could not be read is no good one.

    A command that cannot be fetched completes with READ_RESPONSE and tag 0. A completion that cannot be written counts all the
    same, and the page tells WRITE_RESPONSE. A doorbell that announces more commands than the ring has slots, takes some back, or
    comes when the ring is too large, is refused with BAD_PARAMETER: it changes nothing, and the next good doorbell is accepted.

    The ring itself may lie outside the address window, which limits the transfers of the core: whoever sets the window also says
    where the ring is, and may want to keep it where no command can write.

    Args:
        reports: number of sources of error reports.

    Members:
        run, base, slots_log2, tail, doorbell: from the registers; `doorbell` is high for one cycle when `tail` is new.
        head: commands completed.
        busy: a command is on its way.
        completed: high for one cycle when a command with its interrupt flag is done.
        failed: high for one cycle when a command failed or a doorbell was refused, with the `error`.
        fetch, write_back: to a reader and a writer of its own.
        command, completion: to the core.
        report: errors of transfers, the reader's of `fetch` and the writer's of `write_back` among them.
    """

    def __init__(self, *, reports: int) -> None:
        super().__init__(
            {
                "run": In(1),
                "base": In(64),
                "slots_log2": In(32),
                "tail": In(32),
                "doorbell": In(1),
                "head": Out(32),
                "busy": Out(1),
                "completed": Out(1),
                "failed": Out(1),
                "error": Out(8),
                "fetch": Out(ReadPort()),
                "write_back": Out(WritePort()),
                "write_back_error": In(ErrorReport),
                "command": Out(stream.Signature(CoreCommand)),
                "completion": In(stream.Signature(Completion)),
                "report": In(ErrorReport).array(reports),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.dispatched = dispatched = fifo.SyncFIFOBuffered(width=_Dispatched.size, depth=_SEQUENCES)
        m.submodules.finished = finished = fifo.SyncFIFOBuffered(width=_Finished.size, depth=_SEQUENCES)
        m.submodules.started = started = memory.Memory(shape=64, depth=_SEQUENCES, init=[])
        errors = Array(Signal(8, name=f"error_{i}") for i in range(_SEQUENCES))
        for report in self.report:
            with m.If(report.valid & (errors[report.sequence] == Error.NONE)):
                m.d.sync += errors[report.sequence].eq(report.error)
        clock = Signal(64)
        m.d.sync += clock.eq(clock + 1)
        submitted = Signal(32)
        refused = self._accept_doorbell(m, submitted)
        self._fetch(m, submitted, started.write_port(), clock)
        self._dispatch(m, dispatched, errors)
        self._complete(m, dispatched, finished, errors, started.read_port(domain="comb"), clock)
        self._count(m, finished, refused)
        return m

    def _slot(self, count: Signal) -> Any:
        """Address of the slot of a command."""
        mask = ((1 << self.slots_log2[:4]) - 1)[:MAX_RING_LOG2]
        return (self.base & -SLOT_BYTES) + (count[:MAX_RING_LOG2] & mask) * SLOT_BYTES

    def _accept_doorbell(self, m: Module, submitted: Signal) -> Signal:
        """`submitted` follows `tail` where that is possible; returns whether a doorbell is refused."""
        refused = Signal()
        possible = Signal()
        announced = Signal(32)
        known = Signal(32)
        m.d.comb += [
            announced.eq(self.tail - self.head),
            known.eq(submitted - self.head),
            possible.eq((self.slots_log2 <= MAX_RING_LOG2) & (announced <= (1 << self.slots_log2[:4])) & (announced >= known)),
            refused.eq(self.doorbell & ~possible),
        ]
        with m.If(self.doorbell & possible):
            m.d.sync += submitted.eq(self.tail)
        return refused

    def _fetch(self, m: Module, submitted: Signal, started: Any, clock: Signal) -> None:
        """Asks for the commands that are submitted, as long as their sequences stay distinct."""
        fetched = Signal(32)
        request = self.fetch.request
        free = Signal()
        begin = Signal()
        m.d.comb += [
            self.busy.eq(fetched != self.head),
            free.eq((fetched - self.head)[:SEQUENCE_BITS] != _SEQUENCES - 1),
            begin.eq(self.run & free & (fetched != submitted) & ~request.valid),
            started.addr.eq(fetched),
            started.data.eq(clock),
            started.en.eq(begin),
            request.payload.length.eq(_COMMAND_BYTES),
        ]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(begin):
            m.d.sync += [
                request.valid.eq(1),
                request.payload.address.eq(self._slot(fetched)),
                request.payload.sequence.eq(fetched),
                fetched.eq(fetched + 1),
            ]

    def _dispatch(self, m: Module, dispatched: Any, errors: Any) -> None:
        """Assembles the beats of a command and gives it to the core, or drops it when a beat is bad."""
        command = self.command.payload
        beat = Signal(range(_COMMAND_BEATS))
        whole = Signal()
        taken = Signal()
        lost = Signal()
        entry = data.View(_Dispatched, dispatched.w_data)
        header = struct_of(HEADER, 32)(command.words[:32])
        m.d.comb += [
            self.fetch.data.ready.eq(~whole),
            lost.eq(whole & (errors[command.sequence] != Error.NONE)),
            self.command.valid.eq(whole & ~lost),
            taken.eq(lost | (self.command.valid & self.command.ready)),
            dispatched.w_en.eq(taken),
            entry.tag.eq(Mux(lost, 0, header.tag)),
            entry.interrupt.eq(~lost & header.interrupt),
            entry.lost.eq(lost),
        ]
        with m.If(self.fetch.data.valid & ~whole):
            last = beat == _COMMAND_BEATS - 1
            m.d.sync += [
                command.words.eq(Cat(command.words, self.fetch.data.payload)[BEAT_BITS:]),
                beat.eq(Mux(last, 0, beat + 1)),
                whole.eq(last),
            ]
        with m.If(taken):
            m.d.sync += [whole.eq(0), command.sequence.eq(command.sequence + 1)]

    def _complete(self, m: Module, dispatched: Any, finished: Any, errors: Any, started: Any, clock: Signal) -> None:
        """Takes one completion at a time from the core, and writes it behind its command."""
        oldest = data.View(_Dispatched, dispatched.r_data)
        entry = data.View(_Finished, finished.w_data)
        count = Signal(32)
        sequence = count[:SEQUENCE_BITS]
        code = Signal(8)
        interrupt = Signal()
        record = Signal(struct_of(COMPLETION, BEAT_BITS))
        request, beat = self.write_back.request, self.write_back.data
        m.d.comb += [
            started.addr.eq(sequence),
            request.payload.address.eq(self._slot(count) + _COMMAND_BYTES),
            request.payload.length.eq(BEAT_BYTES),
            beat.payload.eq(record),
            entry.error.eq(record.error),
            entry.interrupt.eq(interrupt),
        ]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += [
                    self.completion.ready.eq(dispatched.r_rdy & ~oldest.lost),
                    dispatched.r_en.eq(oldest.lost | self.completion.valid),
                ]
                m.d.sync += [
                    record.tag.eq(oldest.tag),
                    interrupt.eq(oldest.interrupt),
                    code.eq(Mux(oldest.lost, Error.NONE, self.completion.payload.error)),
                ]
                with m.If(dispatched.r_rdy & dispatched.r_en):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                # A cycle later, so that a report of the core's last transfer has arrived.
                m.d.sync += [
                    record.done.eq(1),
                    record.error.eq(Mux(errors[sequence] != Error.NONE, errors[sequence], code)),
                    record.cycles.eq(clock - started.data),
                    errors[sequence].eq(Error.NONE),
                ]
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += [request.valid.eq(1), finished.w_en.eq(request.ready)]
                with m.If(request.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += beat.valid.eq(1)
                with m.If(beat.ready):
                    m.d.sync += count.eq(count + 1)
                    m.next = "TAKE"

    def _count(self, m: Module, finished: Any, refused: Signal) -> None:
        """Counts a command when its completion is in memory, and tells how it went."""
        oldest = data.View(_Finished, finished.r_data)
        # The writer reports one cycle before it is done.
        unwritten = Signal()
        done = self.write_back.done.valid
        fails = Signal()
        m.d.sync += unwritten.eq(self.write_back_error.valid)
        m.d.comb += [
            finished.r_en.eq(done),
            fails.eq(done & (unwritten | (oldest.error != Error.NONE))),
            self.completed.eq(done & oldest.interrupt),
            self.failed.eq(fails | refused),
            self.error.eq(Mux(fails, Mux(oldest.error != Error.NONE, oldest.error, Error.WRITE_RESPONSE), Error.BAD_PARAMETER)),
        ]
        with m.If(done):
            m.d.sync += self.head.eq(self.head + 1)
