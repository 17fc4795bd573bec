"""Walks the words, steps and phases of every micro-operation, and with them over groups and blocks."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.micro import MicroStep
from cosoc.gateware.conv2d.prepare import PHASE_BITS, walk_job
from cosoc.gateware.conv2d.types import ADDRESS_BITS

Step = data.StructLayout(
    {
        "valid": 1,  # a phase of a step is issued in this cycle
        "phase": PHASE_BITS,
        "complete": 1,  # it is the step's last
        "clear": 1,  # the step's products start new sums
        "last": 1,  # its sums are results
        "part": 2,  # place of the step's channels in its word; with windows, as many as there are output lanes
        "offset": ADDRESS_BITS,
        "row": signed(8),
        "column": signed(8),
        "last_group": 1,  # of its block
        "weight_address": ADDRESS_BITS,
    }
)
"""What one cycle does, for all pixel lanes."""


class Sequencer(wiring.Component):
    """Issues a phase of a step in every cycle, but for two cycles between instructions and when the results have no room.

    Members:
        job: what the walk needs to know of an instruction; taken when the instruction before has ended.
        operation: its micro-operations.
        room: another group of results has a place; one lost cycle is the price of a register here.
        reserve: a group starts in this cycle whose results need a place.
        settings: the job in execution.
        step: what this cycle does.
        restart: the lanes go to where they started, because a block begins.
        move: the lanes go to the next group.
        part, channel, plane_offset: place of the block's results in a word, in the channel buffer, and of its plane.
        ends: the step is the last of the instruction.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(walk_job(config))),
                "operation": In(stream.Signature(MicroStep)),
                "room": In(1),
                "reserve": Out(1),
                "settings": Out(walk_job(config)),
                "step": Out(Step),
                "restart": Out(1),
                "move": Out(1),
                "part": Out(2),
                "channel": Out(9),
                "plane_offset": Out(ADDRESS_BITS),
                "ends": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        settings, step, operation = self.settings, self.step, self.operation
        engaged, begins, valid, waits = Signal(), Signal(), Signal(), Signal()
        current = Signal(MicroStep)
        group_ends, block_ends = Signal(), Signal()
        # Whether the phase is the last of its operation, group, block, instruction; and that it is an operation's, and not the
        # instruction's. All from registers: what follows from them in a cycle is much.
        closes, closes_group, closes_block, closes_all, renews = (Signal() for _ in range(5))
        last_of_all = current.last_group & current.last_block
        m.d.comb += [
            step.valid.eq(valid & (~waits | self.room)),
            group_ends.eq(step.valid & closes_group),
            block_ends.eq(step.valid & closes_block),
            self.ends.eq(step.valid & closes_all),
            self.reserve.eq(step.valid & waits & (~settings.keep | last_of_all)),
            self.move.eq(group_ends),
            self.restart.eq(begins | block_ends),
            self.job.ready.eq(~engaged),
            operation.ready.eq(engaged & (~valid | (step.valid & renews))),
        ]
        m.d.sync += begins.eq(self.job.ready & self.job.valid)
        with m.If(self.job.ready):
            m.d.sync += [settings.eq(self.job.payload), engaged.eq(self.job.valid)]
        with m.Elif(self.ends):
            m.d.sync += [engaged.eq(0), valid.eq(0)]
        with m.If(step.valid):
            m.d.sync += waits.eq(0)
        new, following, last = operation.payload, Signal(), Signal(3)
        m.d.comb += last.eq(Mux(operation.ready, _ends(new), _ends(current)))
        with m.If(operation.ready):
            m.d.sync += [valid.eq(operation.valid), current.eq(new), waits.eq(new.first)]
        m.d.comb += following.eq(self._walk_words(m, closes))
        m.d.sync += [
            closes.eq(following),
            closes_group.eq(following & last[0]),
            closes_block.eq(following & last[1]),
            closes_all.eq(following & last[2]),
            renews.eq(following & ~last[2]),
        ]
        m.d.comb += [
            step.last.eq(group_ends & (~settings.keep | last_of_all)),
            step.row.eq(current.row),
            step.column.eq(current.column),
            step.last_group.eq(current.last_group),
        ]
        self._walk_weights(m, begins, group_ends, block_ends)
        self._walk_blocks(m, begins, block_ends)
        return m

    def _walk_words(self, m: Module, closes: Signal) -> Value:
        """Words, steps of a word and phases of a step.

        Args:
            closes: a step ends the micro-operation.

        Returns:
            The same a cycle later.
        """
        settings, step, operation = self.settings, self.step, self.operation
        phase, phase_ends, first = Signal(PHASE_BITS), Signal(), Signal()
        parts = self._config.word_steps
        part, part_ends = Signal(range(parts)), Signal()
        words_left, word_ends = Signal(8), Signal()
        following = Signal()
        m.d.comb += following.eq(closes)
        before_last = Signal(PHASE_BITS)
        m.d.sync += before_last.eq(settings.last_phase - 1)
        one_phase, one_part = settings.last_phase == 0, (parts == 1) | settings.window
        next_part_ends = (part + 2 == parts) | settings.window
        offset = Signal(ADDRESS_BITS)
        m.d.comb += [
            step.phase.eq(phase),
            step.complete.eq(step.valid & phase_ends),
            step.clear.eq(first & ~settings.accumulate),
            step.part.eq(Mux(settings.window, self.part, part)),
            step.offset.eq(offset),
        ]
        with m.If(step.valid):
            next_phase_ends = phase == before_last
            m.d.sync += [phase.eq(phase + 1), phase_ends.eq(next_phase_ends)]
            m.d.comb += following.eq(next_phase_ends & part_ends & word_ends)
        with m.If(step.complete):
            m.d.sync += [phase.eq(0), phase_ends.eq(one_phase), first.eq(0)]
            m.d.sync += [part.eq(part + 1), part_ends.eq(next_part_ends)]
            m.d.comb += following.eq(one_phase & next_part_ends & word_ends)
            with m.If(part_ends):
                m.d.sync += [part.eq(0), part_ends.eq(one_part), offset.eq(offset + settings.plane_pitch)]
                m.d.comb += following.eq(one_phase & one_part & (words_left == 2))
                m.d.sync += [words_left.eq(words_left - 1), word_ends.eq(words_left == 2)]
        with m.If(operation.ready):
            m.d.sync += [
                phase.eq(0),
                phase_ends.eq(one_phase),
                first.eq(operation.payload.first),
                part.eq(0),
                part_ends.eq(one_part),
                offset.eq(operation.payload.offset),
                words_left.eq(operation.payload.words),
                word_ends.eq(operation.payload.single),
            ]
            m.d.comb += following.eq(one_phase & one_part & operation.payload.single)
        return following

    def _walk_weights(self, m: Module, begins: Signal, group_ends: Signal, block_ends: Signal) -> None:
        """The weights' address: every group of a block begins where the block does."""
        address, block = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        following = Signal(ADDRESS_BITS)
        m.d.comb += [self.step.weight_address.eq(address), following.eq(address + 1)]
        with m.If(begins):
            m.d.sync += [address.eq(self.settings.weight_address), block.eq(self.settings.weight_address)]
        with m.Elif(block_ends):
            m.d.sync += [address.eq(following), block.eq(following)]
        with m.Elif(self.step.complete):
            m.d.sync += address.eq(Mux(group_ends, block, following))

    def _walk_blocks(self, m: Module, begins: Signal, block_ends: Signal) -> None:
        """Where the results of a block belong."""
        settings, parts = self.settings, self._config.word_parts
        with m.If(begins):
            m.d.sync += [self.part.eq(settings.part), self.channel.eq(settings.channel), self.plane_offset.eq(0)]
        with m.Elif(block_ends):
            m.d.sync += [self.part.eq(self.part + 1), self.channel.eq(self.channel + 1)]
            with m.If(self.part == parts - 1):
                m.d.sync += [self.part.eq(0), self.plane_offset.eq(self.plane_offset + settings.out_plane_pitch)]


def _ends(operation: Any) -> Value:
    """Whether it is the last of its group, of its block, and of the instruction."""
    return Cat(
        operation.last,
        operation.last & operation.last_group,
        operation.last & operation.last_group & operation.last_block,
    )
