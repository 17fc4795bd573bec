"""Where the pixel lanes are: addresses of their operands, which of these lie inside the input, addresses of their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.prepare import LanePosition, walk_job
from cosoc.gateware.conv2d.sequencer import Step
from cosoc.gateware.conv2d.types import ADDRESS_BITS, PixelRead

READ_STAGES = 3
"""Cycles from a step's issue to its read: way to the lanes, sums of positions, comparison with the bounds."""


def group_place(config: Conv2DConfig) -> data.StructLayout:
    """A group's results without the sums."""
    lanes = config.pixel_lanes
    return data.StructLayout(
        {
            "address": data.ArrayLayout(ADDRESS_BITS, lanes),
            "valid": lanes,
            "part": 2,
            "channel": 9,
            "last": 1,
        }
    )


class Lanes(wiring.Component):
    """Moves the lanes from group to group, each by one addition, and reads their operands.

    Members:
        settings: the job in execution.
        step: what this cycle does.
        restart, move: the lanes go to where they started, or to the next group.
        part, channel, plane_offset: where the results of the block belong.
        ends: the step is the last of the instruction.
        pixels: reads of operands, `READ_STAGES` cycles after the step's issue, one less after `step`.
        used: the phase reads the lane's operand, at the time of the read.
        inside: the lane's operand is read; else it is the zero point.
        row_start: the lane's pixel is the first of its row; for windows, with `inside`.
        place: of the results of the group that ends, a cycle after its last step; `place_valid` for one cycle.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        lanes = config.pixel_lanes
        super().__init__(
            {
                "settings": In(walk_job(config)),
                "step": In(Step),
                "restart": In(1),
                "move": In(1),
                "part": In(2),
                "channel": In(9),
                "plane_offset": In(ADDRESS_BITS),
                "ends": In(1),
                "pixels": Out(PixelRead(config)),
                "used": Out(lanes),
                "inside": Out(lanes),
                "row_start": Out(lanes),
                "place": Out(group_place(config)),
                "place_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        settings, step, lanes = self.settings, self.step, self._config.pixel_lanes
        rows, columns = Signal(settings.rows.shape()), Signal(settings.columns.shape())
        m.d.sync += [rows.eq(settings.rows), columns.eq(settings.columns)]
        with_pixel = Signal(lanes)
        m.d.comb += with_pixel.eq(Mux(step.last_group, settings.last_reads, Const(-1, lanes)))
        positions = [self._walk(m, lane) for lane in range(lanes)]
        for lane, position in enumerate(positions):
            address = Signal(ADDRESS_BITS, name=f"address_{lane}")
            row, column = Signal(signed(len(position.row) + 1), name=f"row_{lane}"), Signal(signed(15), name=f"column_{lane}")
            reads, has_pixel = Signal(name=f"reads_{lane}"), Signal(name=f"has_pixel_{lane}")
            inside = Signal(name=f"inside_{lane}")
            m.d.sync += [
                address.eq(position.address + step.offset),
                row.eq(position.row + step.row),
                column.eq(position.column + step.column),
                reads.eq(step.valid & (step.phase == (lane & settings.last_phase))),
                has_pixel.eq(with_pixel[lane]),
            ]
            # A negative number, taken as one without sign, is above every bound.
            m.d.comb += inside.eq(has_pixel & (row.as_unsigned() < rows) & (column.as_unsigned() < columns))
            m.d.sync += [
                self.pixels.address[lane].eq(address),
                self.pixels.enable[lane].eq(reads & inside),
                self.used[lane].eq(reads),
                self.inside[lane].eq(inside),
                self.row_start[lane].eq(column == 0),
            ]
        self._place_results(m, positions)
        return m

    def _place_results(self, m: Module, positions: Sequence[Any]) -> None:
        """The place of the results. With windows these are one lane further than their pixels were, the first in the next group."""
        settings, step, lanes = self.settings, self.step, self._config.pixel_lanes
        before, first_group = Signal(ADDRESS_BITS), Signal()
        with m.If(self.restart):
            m.d.sync += first_group.eq(1)
        with m.Elif(self.move):
            m.d.sync += first_group.eq(0)
        with m.If(self.move):
            m.d.sync += before.eq(positions[-1].out_address)
        for lane, position in enumerate(positions):
            shifted = positions[lane - 1].out_address if lane else before
            address = Mux(settings.window, shifted, position.out_address)
            m.d.sync += self.place.address[lane].eq(address + self.plane_offset)
        valid = Mux(step.last_group, settings.last_lanes, Const(-1, lanes)) & ~Cat(
            settings.window & first_group, Const(0, lanes - 1)
        )
        m.d.sync += [
            self.place.valid.eq(Mux(settings.keep, 0, valid)),
            self.place.part.eq(self.part),
            self.place.channel.eq(self.channel),
            self.place.last.eq(self.ends),
            self.place_valid.eq(step.last),
        ]

    def _walk(self, m: Module, lane: int) -> Any:
        """The position of the lane's pixel."""
        settings = self.settings
        position = Signal(LanePosition, name=f"position_{lane}")
        turns = position.turn >= 0
        with m.If(self.restart):
            m.d.sync += position.eq(settings.start[lane])
        with m.Elif(self.move):
            for name in LanePosition.members:
                m.d.sync += position[name].eq(position[name] + Mux(turns, settings.move_turn[name], settings.move[name]))
        return position
