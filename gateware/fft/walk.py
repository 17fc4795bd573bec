"""Addresses of strided data: the transfers of frames, row by row."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.peripheral.core import SEQUENCE_BITS, Transfer

ROW_COUNT_BITS = 17
FRAME_COUNT_BITS = 27

Walk = data.StructLayout(
    {
        "address": 64,
        "length": 32,
        "rows": ROW_COUNT_BITS,
        "row_stride": 32,
        "frames": FRAME_COUNT_BITS,
        "frame_stride": 32,
        "sequence": SEQUENCE_BITS,
    }
)
"""`frames` times `rows` rows of `length` bytes, of the command `sequence`."""

Step = data.StructLayout({"transfer": Transfer, "last": 1})
"""A row, and whether it is the last one of its walk."""


class Walker(wiring.Component):
    """Turns each walk into its transfers, one per cycle; the next walk follows without a gap.

    Members:
        walks: what to transfer.
        steps: the rows in order.
    """

    def __init__(self) -> None:
        super().__init__({"walks": In(stream.Signature(Walk)), "steps": Out(stream.Signature(Step))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        given = self.walks.payload
        walk = Signal(Walk, reset_less=True)  # address: of the row; rows, frames: behind this one, in the frame and in the walk
        following = Signal(64, reset_less=True)  # address of the next frame
        active, last_row, last = Signal(), Signal(), Signal()
        step = self.steps.payload
        m.d.comb += [
            last_row.eq(walk.rows == 0),
            last.eq(last_row & (walk.frames == 0)),
            self.steps.valid.eq(active),
            step.transfer.address.eq(walk.address),
            step.transfer.length.eq(walk.length),
            step.transfer.sequence.eq(walk.sequence),
            step.last.eq(last),
            self.walks.ready.eq(~active | (self.steps.ready & last)),
        ]
        rows = Signal(ROW_COUNT_BITS, reset_less=True)  # of every frame, but one
        with m.If(self.walks.ready):
            m.d.sync += [
                active.eq(self.walks.valid),
                walk.eq(given),
                walk.rows.eq(given.rows - 1),
                walk.frames.eq(given.frames - 1),
                rows.eq(given.rows - 1),
                following.eq(given.address + given.frame_stride),
            ]
        with m.Elif(self.steps.ready):
            m.d.sync += [
                walk.address.eq(Mux(last_row, following, walk.address + walk.row_stride)),
                walk.rows.eq(Mux(last_row, rows, walk.rows - 1)),
            ]
            with m.If(last_row):
                m.d.sync += [walk.frames.eq(walk.frames - 1), following.eq(following + walk.frame_stride)]
        return m
