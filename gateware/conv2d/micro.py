"""The micro-program memory, and the reading ahead of its entries."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from cosoc.gateware.conv2d.isa import MICRO_OPERATIONS
from cosoc.gateware.conv2d.prepare import MICRO_ADDRESS_BITS, MicroJob, MicroOperation, MicroWrite
from cosoc.gateware.conv2d.queue import Queue
from cosoc.gateware.conv2d.types import ADDRESS_BITS

MicroStep = data.StructLayout(
    {
        "offset": ADDRESS_BITS,  # with that of the block
        "row": signed(8),
        "column": signed(8),
        "words": 8,
        "single": 1,  # words is 1
        "first": 1,  # of its group
        "last": 1,
        "last_group": 1,  # of its block
        "last_block": 1,
    }
)
"""A micro-operation of a group of a block."""

MICRO_LATENCY = 6
"""Cycles from the one in which a job is taken to the one in which its first micro-operation is offered."""

_Place = data.StructLayout({"valid": 1, "block_offset": ADDRESS_BITS, "first": 1, "last": 1, "last_group": 1, "last_block": 1})


class Countdown:
    """Counts the rounds of a loop. `ends`, true in the last round, comes from a register.

    Args:
        width: bits of the number of rounds less one.
    """

    def __init__(self, width: int, *, name: str) -> None:
        self.ends = Signal(name=f"{name}_ends")
        self._left = Signal(width, name=f"{name}_left")

    def load(self, left: Value, none: Value) -> list[Any]:
        """Starts with `left` rounds after the first; `none` tells that this is zero."""
        return [self._left.eq(left), self.ends.eq(none)]

    def count(self) -> list[Any]:
        """Goes to the next round."""
        return [self._left.eq(self._left - 1), self.ends.eq(self._left == 1)]


class MicroProgram(wiring.Component):
    """Walks over blocks, groups and micro-operations, and reads these ahead: one per cycle when they are taken so fast.

    Stages: 0 counters, 1 memory, 2 its output register, 3 sum of the offsets, then a queue. All of them move while that has space.

    Members:
        write: writes an entry.
        job: of a COMPUTE instruction.
        operation: its micro-operations, in the order of execution.
    """

    def __init__(self) -> None:
        super().__init__(
            {"write": In(MicroWrite), "job": In(stream.Signature(MicroJob)), "operation": Out(stream.Signature(MicroStep))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=MicroOperation, depth=MICRO_OPERATIONS, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.en.eq(self.write.enable), write.addr.eq(self.write.address), write.data.eq(self.write.entry)]

        m.submodules.queue = queue = Queue(MicroStep, bounded=True)
        connect(m, queue.output, flipped(self.operation))
        advance, operation, valid = queue.space, Signal(MicroStep, reset_less=True), Signal()
        m.d.comb += [queue.input.payload.eq(operation), queue.input.valid.eq(valid & advance)]
        place, address = self._walk(m, advance)
        m.d.comb += [read.addr.eq(address), read.en.eq(advance)]
        places = [place, Signal(_Place, name="place_1"), Signal(_Place, name="place_2")]
        entry = Signal(MicroOperation)
        with m.If(advance):
            m.d.sync += [places[1].eq(places[0]), places[2].eq(places[1]), entry.eq(read.data)]
            m.d.sync += [operation[name].eq(entry[name]) for name in ("row", "column", "words")]
            m.d.sync += [operation[name].eq(places[2][name]) for name in ("first", "last", "last_group", "last_block")]
            m.d.sync += [
                valid.eq(places[2].valid),
                operation.offset.eq(entry.offset + places[2].block_offset),
                operation.single.eq(entry.words[1:] == 0),
            ]
        return m

    def _walk(self, m: Module, advance: Signal) -> tuple[Any, Signal]:
        """The loops: the place that is read in this cycle, and its address."""
        job = Signal(MicroJob)
        place = Signal(_Place)
        valid, first, block_offset = Signal(), Signal(), Signal(ADDRESS_BITS)
        address = Signal(MICRO_ADDRESS_BITS)
        loads = Signal()
        entry, group, block = Countdown(MICRO_ADDRESS_BITS, name="entry"), Countdown(20, name="group"), Countdown(8, name="block")
        m.d.comb += [place.valid.eq(valid), place.first.eq(first), place.block_offset.eq(block_offset)]
        m.d.comb += [place.last.eq(entry.ends), place.last_group.eq(group.ends), place.last_block.eq(block.ends)]
        m.d.comb += self.job.ready.eq(~valid & ~loads)
        given = self.job.payload
        one_entry, one_group, one_block = Signal(), Signal(), Signal()
        with m.If(self.job.ready):
            m.d.sync += [job.eq(given), loads.eq(self.job.valid)]
            m.d.sync += [one_entry.eq(given.last_entry == 0), one_group.eq(given.last_group == 0)]
            m.d.sync += one_block.eq(given.last_block == 0)
        with m.If(loads):
            m.d.sync += [loads.eq(0), valid.eq(1), first.eq(1), block_offset.eq(0), address.eq(job.address)]
            m.d.sync += [
                *entry.load(job.last_entry, one_entry),
                *group.load(job.last_group, one_group),
                *block.load(job.last_block, one_block),
            ]
        with m.Elif(valid & advance):
            m.d.sync += [address.eq(address + 1), first.eq(0), *entry.count()]
            with m.If(entry.ends):
                m.d.sync += [address.eq(job.address), first.eq(1), *entry.load(job.last_entry, one_entry), *group.count()]
            with m.If(entry.ends & group.ends):
                m.d.sync += [block_offset.eq(block_offset + job.block_step), *group.load(job.last_group, one_group), *block.count()]
            with m.If(Cat(entry.ends, group.ends, block.ends).all()):
                m.d.sync += valid.eq(0)
        return place, address
