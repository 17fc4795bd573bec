"""Two memory ports as one: transfers are dealt to them in chunks, in turn."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.fft.walk import Step
from cosoc.gateware.peripheral.core import BEAT_BYTES

CHUNK_BEATS = 16
"""Long enough for efficient bursts, short enough for buffers in LUT RAM."""

_CHUNK_BYTES = CHUNK_BEATS * BEAT_BYTES

Chunk = data.StructLayout({"beats": range(CHUNK_BEATS + 1)})
"""Beats that go through one port before the other one has its turn."""


class Dealer(wiring.Component):
    """Cuts transfers into chunks of `CHUNK_BEATS` and deals them to the ports in turn, beginning with port 0: one per cycle.

    Members:
        steps: the transfers.
        chunks: the same, cut; `last` is set in the last chunk of a last transfer.
        port: the one that the offered chunk is for.
        sizes: the beats of each chunk, for whoever joins or deals the data.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "steps": In(stream.Signature(Step)),
                "chunks": Out(stream.Signature(Step)),
                "port": Out(1),
                "sizes": Out(stream.Signature(Chunk)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        left = Signal(Step, reset_less=True)
        active, ends, moves = Signal(), Signal(), Signal()
        transfer = left.transfer
        length = Mux(ends, transfer.length, _CHUNK_BYTES)
        m.d.comb += [
            ends.eq(transfer.length <= _CHUNK_BYTES),
            # Neither stream may move without the other: each one is offered when the other one can go.
            self.chunks.valid.eq(active & self.sizes.ready),
            self.sizes.valid.eq(active & self.chunks.ready),
            self.chunks.payload.transfer.eq(transfer),
            self.chunks.payload.transfer.length.eq(length),
            self.chunks.payload.last.eq(left.last & ends),
            self.sizes.payload.beats.eq((length[: CHUNK_BEATS.bit_length() + 4] + BEAT_BYTES - 1) >> (BEAT_BYTES.bit_length() - 1)),
            moves.eq(self.chunks.valid & self.chunks.ready),
            self.steps.ready.eq(~active | (moves & ends)),
        ]
        with m.If(moves):
            m.d.sync += [
                self.port.eq(~self.port),
                transfer.address.eq(transfer.address + _CHUNK_BYTES),
                transfer.length.eq(transfer.length - _CHUNK_BYTES),
            ]
        with m.If(self.steps.ready):
            m.d.sync += [active.eq(self.steps.valid), left.eq(self.steps.payload)]
        return m
