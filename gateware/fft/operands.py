"""Where the operands of a command lie: from the command's fields to walks over memory."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.fft.walk import FRAME_COUNT_BITS, ROW_COUNT_BITS, Walk

SAMPLE_LOG2 = 3
"""log2 of the bytes of a sample."""

LOG2_BITS = 5

Operand = data.StructLayout(
    {
        "address": 64,
        "row_stride": 32,
        "frame_stride": 32,
        "row_log2": LOG2_BITS,
        "rows_log2": LOG2_BITS,
        "frame_log2": LOG2_BITS,
        "extra": 1,
        "frames": FRAME_COUNT_BITS,
    }
)
"""`frames` frames of 2**frame_log2 samples: 2**rows_log2 rows of 2**row_log2, each of one sample more if `extra`."""

Place = data.StructLayout({"walk": Walk, "last": 64})
"""The walk over an operand, but for its sequence, and the address of its last byte."""


class OperandUnit(wiring.Component):
    """Finds rows that follow each other without a gap, which become one, and the end of each operand.

    One operand at a time: 5 cycles when it lies in one piece, 2 more when its frames have rows apart, and one for each bit
    of the number of frames when frames lie apart.

    Members:
        operand, place: operands, and their places in order.
    """

    def __init__(self) -> None:
        super().__init__({"operand": In(stream.Signature(Operand)), "place": Out(stream.Signature(Place))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        given = Signal(Operand, reset_less=True)
        row_bytes, frame_bytes, total, rows_span = (
            Signal(width, name=name, reset_less=True)
            for name, width in (("row_bytes", 32), ("frame_bytes", 32), ("total", 32), ("rows_span", 32 + ROW_COUNT_BITS))
        )
        rows_joined, frames_joined = Signal(reset_less=True), Signal(reset_less=True)
        frames_left, span = Signal(FRAME_COUNT_BITS, reset_less=True), Signal(64, reset_less=True)
        place = Signal(Place, reset_less=True)
        m.d.comb += self.place.payload.eq(place)
        walk, last = place.walk, place.last
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.operand.ready.eq(1)
                m.d.sync += given.eq(self.operand.payload)
                with m.If(self.operand.valid):
                    m.next = "BYTES"
            with m.State("BYTES"):
                extra = given.extra << SAMPLE_LOG2
                m.d.sync += [
                    row_bytes.eq((Const(1 << SAMPLE_LOG2) << given.row_log2) + extra),
                    frame_bytes.eq((Const(1 << SAMPLE_LOG2) << given.frame_log2) + extra),
                    rows_span.eq(given.row_stride << given.rows_log2[:LOG2_BITS]),
                    total.eq(given.frames << given.frame_log2 << SAMPLE_LOG2),
                ]
                m.next = "JOIN"
            with m.State("JOIN"):
                in_a_row = (given.rows_log2 == 0) | (given.row_stride == row_bytes)
                m.d.sync += [
                    rows_joined.eq(in_a_row),
                    frames_joined.eq((given.frames == 1) | (in_a_row & (given.frame_stride == frame_bytes))),
                    total.eq(total + Mux(given.extra, given.frames << SAMPLE_LOG2, 0)),
                ]
                m.next = "WALK"
            with m.State("WALK"):
                whole = rows_joined & frames_joined
                m.d.sync += [
                    walk.address.eq(given.address),
                    walk.length.eq(Mux(whole, total, Mux(rows_joined, frame_bytes, row_bytes))),
                    walk.rows.eq(Mux(rows_joined, 1, Const(1) << given.rows_log2)),
                    walk.row_stride.eq(given.row_stride),
                    walk.frames.eq(Mux(frames_joined, 1, given.frames)),
                    walk.frame_stride.eq(given.frame_stride),
                    last.eq(given.address - 1),
                    frames_left.eq(given.frames - 1),
                    span.eq(given.frame_stride),
                ]
                m.next = "FIRST"
            with m.State("FIRST"):
                m.d.sync += last.eq(last + walk.length)
                m.next = "OFFER"
                with m.If(~frames_joined):
                    m.next = "FRAMES"
                with m.If(~rows_joined):
                    m.next = "ROWS"
            with m.State("ROWS"):
                m.d.sync += last.eq(last + rows_span)
                m.next = "LAST ROW"
            with m.State("LAST ROW"):
                m.d.sync += last.eq(last - given.row_stride)
                m.next = "OFFER"
                with m.If(~frames_joined):
                    m.next = "FRAMES"
            with m.State("FRAMES"):  # adds frames_left * frame_stride
                with m.If(frames_left[0]):
                    m.d.sync += last.eq(last + span)
                m.d.sync += [frames_left.eq(frames_left >> 1), span.eq(span << 1)]
                with m.If(frames_left == 0):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.place.valid.eq(1)
                with m.If(self.place.ready):
                    m.next = "TAKE"
        return m
