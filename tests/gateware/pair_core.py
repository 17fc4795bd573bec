"""A core of two managers, for tests of what surrounds a core."""

from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, CoreSignature

MANAGER_OF_PORT = (1, 0)
"""Not in the order of the ports, so that a mix-up shows."""


class PairOperation(IntEnum):
    """Opcodes."""

    COPY = 0
    READ = 1  # reads, and drops the data
    WRITE = 2  # writes `pattern`


PAIR = CommandLayout(
    (
        CommandField("beats", 1, 0, 16, "beats of each port, at least 1"),
        CommandField("in_address", 2, 0, 64, "source of port 0; that of port 1 follows it"),
        CommandField("out_address", 4, 0, 64, "destination of port 0; that of port 1 follows it"),
    )
)


def pattern(port: int, beat: int) -> bytes:
    """What WRITE writes as beat `beat` of a port."""
    return (beat << 1 | port).to_bytes(BEAT_BYTES, "little")


class PairCore(wiring.Component):
    """Two ports, each of a reader and a writer, at work at the same time: port 0 on manager 1, port 1 on manager 0.

    An unknown opcode, or zero beats, is an error.
    """

    def __init__(self, config=None):
        super().__init__(CoreSignature(readers=2, writers=2, reader_managers=MANAGER_OF_PORT, writer_managers=MANAGER_OF_PORT))

    def elaborate(self, platform):
        m = Module()
        taken = Signal.like(self.command.payload)
        command = PAIR.struct()(taken.words)
        begin = Signal()
        finished = Cat(self._port(m, port, taken, command, begin) for port in range(2)).all()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += taken.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "COMPLETE"
                with m.If(command.opcode > max(PairOperation)):
                    m.d.sync += self.completion.payload.error.eq(Error.BAD_OPCODE)
                with m.Elif(command.beats == 0):
                    m.d.sync += self.completion.payload.error.eq(Error.BAD_LENGTH)
                with m.Else():
                    m.d.comb += begin.eq(1)
                    m.d.sync += self.completion.payload.error.eq(Error.NONE)
                    m.next = "MOVE"
            with m.State("MOVE"), m.If(finished):
                m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += self.completion.valid.eq(1)
                with m.If(self.completion.ready):
                    m.next = "IDLE"
        return m

    def _port(self, m, port, taken, command, begin):
        """One port at work; returns whether it is finished."""
        read, write = self.read[port], self.write[port]
        to_read, to_write, unwritten = Signal(17), Signal(17), Signal()
        reads, writes = command.opcode != PairOperation.WRITE, command.opcode != PairOperation.READ
        for side, address in ((read, command.in_address), (write, command.out_address)):
            m.d.comb += [
                side.request.payload.address.eq(address + port * BEAT_BYTES * command.beats),
                side.request.payload.length.eq(BEAT_BYTES * command.beats),
                side.request.payload.sequence.eq(taken.sequence),
            ]
            with m.If(side.request.ready):
                m.d.sync += side.request.valid.eq(0)
        m.d.comb += [
            write.data.payload.eq(Mux(reads, read.data.payload, Cat(port, (command.beats - to_write)[:16]))),
            write.data.valid.eq((to_write != 0) & (~reads | read.data.valid)),
            read.data.ready.eq((to_read != 0) & (~writes | write.data.ready)),
        ]
        with m.If(read.data.valid & read.data.ready):
            m.d.sync += to_read.eq(to_read - 1)
        with m.If(write.data.valid & write.data.ready):
            m.d.sync += to_write.eq(to_write - 1)
        with m.If(write.done.valid):
            m.d.sync += unwritten.eq(0)
        with m.If(begin):
            m.d.sync += [
                read.request.valid.eq(reads),
                write.request.valid.eq(writes),
                to_read.eq(Mux(reads, command.beats, 0)),
                to_write.eq(Mux(writes, command.beats, 0)),
                unwritten.eq(writes),
            ]
        return (to_read == 0) & ~unwritten
