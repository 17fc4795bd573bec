"""A small core for tests of what surrounds a core: it copies bytes."""

from amaranth import Module, Signal
from amaranth.lib import wiring

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import CoreSignature

COPY = CommandLayout(
    (
        CommandField("length", 1, 0, 32, "bytes, at least 1"),
        CommandField("in_address", 2, 0, 64, "source"),
        CommandField("out_address", 4, 0, 64, "destination"),
    )
)


class CopyCore(wiring.Component):
    """Opcode 0 copies `length` bytes from `in_address` to `out_address`; any other opcode, and length 0, is an error.

    Addresses are not checked here, so that a bad one reaches the DMA.

    Args:
        completes_early: a fault, for the tests of the tests: does not wait until the write is done.
    """

    def __init__(self, config=None, *, completes_early=False):
        self._completes_early = completes_early
        super().__init__(CoreSignature(readers=1, writers=1))

    def elaborate(self, platform):
        m = Module()
        taken = Signal.like(self.command.payload)
        command = COPY.struct()(taken.words)
        read, write = self.read[0], self.write[0]
        read_asked = Signal()
        write_asked = Signal()
        m.d.comb += [
            read.request.payload.address.eq(command.in_address),
            write.request.payload.address.eq(command.out_address),
            write.data.payload.eq(read.data.payload),
            write.data.valid.eq(read.data.valid),
            read.data.ready.eq(write.data.ready),
        ]
        for port in (read, write):
            m.d.comb += [port.request.payload.length.eq(command.length), port.request.payload.sequence.eq(taken.sequence)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [taken.eq(self.command.payload), read_asked.eq(0), write_asked.eq(0)]
                with m.If(self.command.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "COPY"
                with m.If(command.opcode != 0):
                    m.d.sync += self.completion.payload.error.eq(Error.BAD_OPCODE)
                    m.next = "COMPLETE"
                with m.Elif(command.length == 0):
                    m.d.sync += self.completion.payload.error.eq(Error.BAD_LENGTH)
                    m.next = "COMPLETE"
            with m.State("COPY"):
                m.d.comb += [read.request.valid.eq(~read_asked), write.request.valid.eq(~write_asked)]
                with m.If(read.request.ready):
                    m.d.sync += read_asked.eq(1)
                with m.If(write.request.ready):
                    m.d.sync += write_asked.eq(1)
                with m.If((write_asked & self._completes_early) | write.done.valid):
                    m.d.sync += self.completion.payload.error.eq(Error.NONE)
                    m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += self.completion.valid.eq(1)
                with m.If(self.completion.ready):
                    m.next = "IDLE"
        return m
