"""From the array's sums to the output buffer: sums leave in four groups of lanes, are requantized and written."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import WORD_CHANNELS, Conv2DConfig
from cosoc.gateware.conv2d.jobs import SIZE, Result
from cosoc.gateware.conv2d.requantize import REQUANTIZE_LATENCY, ChannelParameters, Requantizer
from cosoc.gateware.conv2d.steps import GROUPS

OUTPUT_LATENCY = GROUPS + 1 + REQUANTIZE_LATENCY
"""From sums in the accumulators to the write of their last group, in cycles."""

Group = data.StructLayout({"valid": 1, "last": 1, "position": range(8), "keep": 1, "word": SIZE, "result": Result})
"""A group on its way: `position` in its word, counted in groups, and whether the word is kept."""


class Output(wiring.Component):
    """Requantizes `output_lanes / 4` channels per cycle.

    Members:
        valid, result, sums: all sums of a pixel and block; at least four cycles apart.
        channel_address, channels: buffer of channel parameters, by bank and group; the data is there a cycle after the address.
        write_enable, write_bank, write_address, write_data: the output buffer; a bit enables the bytes of one group.
        block_done: the weights and channel parameters of a block are no longer needed.
        command_done: all results of a command are written.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._lanes = config.output_lanes
        self._group = config.output_lanes // GROUPS
        super().__init__(
            {
                "valid": In(1),
                "result": In(Result),
                "sums": In(data.ArrayLayout(signed(32), self._lanes)),
                "channel_address": Out(range(2 * GROUPS)),
                "channels": In(data.ArrayLayout(ChannelParameters, self._group)),
                "write_enable": Out(WORD_CHANNELS // self._group),
                "write_bank": Out(1),
                "write_address": Out(SIZE),
                "write_data": Out(8 * WORD_CHANNELS),
                "block_done": Out(1),
                "command_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.requantizer = requantizer = Requantizer(self._group)
        first, group_sums = self._split(m)
        groups = [first]
        for stage in range(1, REQUANTIZE_LATENCY + 2):
            groups.append(Signal(Group, name=f"group_{stage}"))
            m.d.sync += groups[stage].eq(groups[stage - 1])
        m.d.sync += requantizer.sums.eq(group_sums)
        m.d.comb += [
            self.channel_address.eq(Cat(self._index, first.result.weight_bank)),
            requantizer.channels.eq(self.channels),
            requantizer.rule.eq(groups[1].result.rule),
        ]
        done = groups[-1]
        m.d.comb += [
            self.write_enable.eq((done.valid & done.keep) << done.position),
            self.write_bank.eq(done.result.output_bank),
            self.write_address.eq(done.word),
            self.write_data.eq(requantizer.out.as_value().replicate(WORD_CHANNELS // self._group)),
            self.block_done.eq(done.last & done.result.block_end),
            self.command_done.eq(done.last & done.result.command_end),
        ]
        return m

    def _split(self, m: Module) -> tuple[data.View[data.StructLayout], Signal]:
        """The group that leaves in this cycle, and its sums: the lowest lanes of a register that shifts."""
        held = Signal(32 * self._lanes)
        result = Signal(Result)
        active = Signal()
        self._index = index = Signal(range(GROUPS))
        with m.If(self.valid):
            m.d.sync += [held.eq(self.sums), result.eq(self.result), active.eq(1), index.eq(0)]
        with m.Elif(active):
            m.d.sync += [held.eq(held >> 32 * self._group), index.eq(index + 1), active.eq(index != GROUPS - 1)]
        group = Signal(Group)
        m.d.comb += [
            group.valid.eq(active),
            group.last.eq(active & (index == GROUPS - 1)),
            group.result.eq(result),
            group.keep.eq(result.keep[0]),
            group.word.eq(result.output_word),
            group.position.eq(index),
        ]
        if self._lanes < WORD_CHANNELS:
            m.d.comb += group.position.eq(Cat(index, result.upper_half))
        elif self._lanes > WORD_CHANNELS:
            upper = index[1]
            m.d.comb += group.position.eq(index[0])
            m.d.comb += [group.keep.eq(Mux(upper, result.keep[1], result.keep[0])), group.word.eq(result.output_word + upper)]
        return group, held[: 32 * self._group]
