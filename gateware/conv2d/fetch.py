"""Takes commands, checks them, and asks for their instructions."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import BASES, COMMAND, Conv2DOperation
from cosoc.gateware.conv2d.isa import INSTRUCTION_BYTES
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS, CoreCommand, Transfer

SLOTS = 4
"""Commands whose instructions are fetched or wait to be dispatched."""

TRANSFER_INSTRUCTIONS = 64
"""Instructions of a transfer, but for the last one of a command: 2 KB."""

Program = data.StructLayout({"count": 32, "sequence": SEQUENCE_BITS, "slot": range(SLOTS), "error": 8})
"""`count` instructions that were asked for, in order, with the base addresses in `slot`; none of a command with an `error`."""

ALIGNED_BITS = 60
"""Bits of an address without those that are zero."""


class Fetch(wiring.Component):
    """Asks for the instructions of one command after the other, without regard to how many of them were taken.

    Members:
        command: commands in.
        request: transfers of instructions.
        program: the command, once its base addresses can be read; at most `SLOTS` are not `freed`.
        freed: the slot of the oldest program is not needed any more.
        slot, index: which base address to read.
        base: the base address, in units of 16 bytes, one cycle later.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "request": Out(stream.Signature(Transfer)),
                "program": Out(stream.Signature(Program)),
                "freed": In(1),
                "slot": In(range(SLOTS)),
                "index": In(range(BASES)),
                "base": Out(ALIGNED_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given = data.View(COMMAND.struct(), self.command.payload.words)
        bases = Signal(data.ArrayLayout(unsigned(ALIGNED_BITS), BASES))
        base_index = Signal(range(BASES))
        address = Signal(ALIGNED_BITS)
        opcode = Signal(8)
        misaligned = Signal()
        program = Signal(Program)
        whole, rest = Signal(32 - 6), Signal(6)
        wholes_left, rest_left = Signal(), Signal()
        # What many registers look at comes from registers: a command may be taken; the base addresses are on their way to memory.
        idle, storing, offered = Signal(init=1), Signal(), Signal()

        used = Signal(range(SLOTS + 1))
        taken, vacant = Signal(), Signal()
        m.d.comb += taken.eq(self.command.valid & self.command.ready)
        # A slot that is taken is counted before the next command may come.
        m.d.sync += [used.eq(used + taken - self.freed), vacant.eq(used != SLOTS)]

        m.submodules.bases = memory = Memory(shape=unsigned(ALIGNED_BITS), depth=SLOTS * BASES, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            read.addr.eq(Cat(self.index, self.slot)),
            self.base.eq(read.data),
            self.program.payload.eq(program),
            self.request.payload.address.eq(address << 4),
            self.request.payload.length.eq(Mux(wholes_left, TRANSFER_INSTRUCTIONS, rest) * INSTRUCTION_BYTES),
            self.request.payload.sequence.eq(program.sequence),
        ]
        m.d.sync += [write.en.eq(storing), write.addr.eq(Cat(base_index, program.slot)), write.data.eq(bases[base_index])]
        with m.If(idle):
            m.d.sync += [base_index.eq(0), *(bases[i].eq(given[f"base{i}"][4:]) for i in range(BASES))]
        with m.Else():
            m.d.sync += base_index.eq(base_index + 1)
        with m.If(base_index == BASES - 1):
            m.d.sync += storing.eq(0)
        addresses = [given.instruction_address, *(given[f"base{i}"] for i in range(BASES))]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(vacant)
                m.d.sync += [
                    opcode.eq(given.opcode),
                    address.eq(given.instruction_address >> 4),
                    Cat(rest, whole).eq(given.instruction_count),
                    program.count.eq(given.instruction_count),
                    program.sequence.eq(self.command.payload.sequence),
                    misaligned.eq(Cat(item[:4] for item in addresses).any()),
                ]
                with m.If(taken):
                    m.d.sync += [idle.eq(0), storing.eq(1)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [offered.eq(0), program.error.eq(Error.NONE)]
                m.d.sync += [wholes_left.eq(whole != 0), rest_left.eq(rest != 0)]
                m.next = "FETCH"
                with m.If(opcode != Conv2DOperation.RUN):
                    m.d.sync += [program.error.eq(Error.BAD_OPCODE), storing.eq(0)]
                    m.next = "REFUSE"
                with m.Elif(misaligned):
                    m.d.sync += [program.error.eq(Error.MISALIGNED), storing.eq(0)]
                    m.next = "REFUSE"
                with m.Elif(program.count == 0):
                    m.d.sync += [program.error.eq(Error.BAD_LENGTH), storing.eq(0)]
                    m.next = "REFUSE"
            with m.State("FETCH"):
                m.d.comb += [
                    self.program.valid.eq(~storing & ~offered),
                    self.request.valid.eq(wholes_left | rest_left),
                ]
                with m.If(self.program.ready & self.program.valid):
                    m.d.sync += offered.eq(1)
                with m.If(self.request.ready & self.request.valid):
                    m.d.sync += address.eq(address + TRANSFER_INSTRUCTIONS * INSTRUCTION_BYTES // BEAT_BYTES)
                    m.d.sync += [whole.eq(whole - 1), wholes_left.eq(wholes_left & (whole != 1))]
                    with m.If(~wholes_left):
                        m.d.sync += rest_left.eq(0)
                with m.If(offered & ~self.request.valid):
                    m.d.sync += [program.slot.eq(program.slot + 1), idle.eq(1)]
                    m.next = "TAKE"
            with m.State("REFUSE"):
                m.d.comb += self.program.valid.eq(1)
                with m.If(self.program.ready):
                    m.d.sync += [program.slot.eq(program.slot + 1), idle.eq(1)]
                    m.next = "TAKE"
        return m
