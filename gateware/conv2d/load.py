"""Loading: transfers of a tile, the activation loader and the weight loader.

Each loader asks for data ahead of the buffer that it will fill: what it asked for waits in the DMA until a bank is free.
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.jobs import SIZE, LoadJob, TileJob, WeightJob
from cosoc.gateware.peripheral.core import BEAT_BITS, Transfer

_AHEAD = 4
"""Banks for which a loader may have asked."""


class TileTransfers(wiring.Component):
    """Asks for the transfers of a tile, row by row.

    Members:
        job: the tile; taken when the one before is finished.
        request: transfers.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "job": In(stream.Signature(TileJob)),
                "request": Out(stream.Signature(Transfer)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tile = Signal(TileJob)
        active = Signal()
        row_address = Signal(64)
        column, row = Signal(SIZE), Signal(SIZE)
        m.d.comb += [
            self.job.ready.eq(~active),
            self.request.valid.eq(active),
            self.request.payload.address.eq(tile.address),
            self.request.payload.length.eq(tile.words << 4),
            self.request.payload.sequence.eq(tile.sequence),
        ]
        with m.If(~active):
            m.d.sync += [
                active.eq(self.job.valid),
                tile.eq(self.job.payload),
                row_address.eq(self.job.payload.address),
                row.eq(1),
                column.eq(1),
            ]
        with m.Elif(self.request.ready):
            with m.If(column != tile.columns):
                m.d.sync += [column.eq(column + 1), tile.address.eq(tile.address + tile.pixel_pitch)]
            with m.Else():
                next_row = row_address + tile.row_pitch
                m.d.sync += [column.eq(1), row.eq(row + 1), row_address.eq(next_row), tile.address.eq(next_row)]
                m.d.sync += active.eq(row != tile.rows)
        return m


class ActivationLoader(wiring.Component):
    """Fills one bank of the activation buffer for each job.

    Members:
        job: tiles to load.
        request, data: the DMA.
        free: a bank is free; `claim` takes it, and `loaded` tells that it is full.
        write_enable, write_bank, write_address, write_data: the buffer.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "job": In(stream.Signature(LoadJob)),
                "request": Out(stream.Signature(Transfer)),
                "data": In(stream.Signature(BEAT_BITS)),
                "free": In(1),
                "claim": Out(1),
                "loaded": Out(1),
                "write_enable": Out(1),
                "write_bank": Out(1),
                "write_address": Out(SIZE),
                "write_data": Out(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transfers = transfers = TileTransfers()
        m.submodules.ahead = ahead = SyncFIFO(width=SIZE, depth=_AHEAD)
        wiring.connect(m, transfers.request, wiring.flipped(self.request))
        m.d.comb += [
            transfers.job.payload.eq(self.job.payload.tile),
            transfers.job.valid.eq(self.job.valid & ahead.w_rdy),
            self.job.ready.eq(transfers.job.ready & ahead.w_rdy),
            ahead.w_data.eq(self.job.payload.total_words),
            ahead.w_en.eq(self.job.valid & self.job.ready),
        ]
        active, bank = Signal(), Signal()
        address, remaining = Signal(SIZE), Signal(SIZE)
        m.d.comb += [
            self.data.ready.eq(active),
            self.write_enable.eq(active & self.data.valid),
            self.write_bank.eq(bank),
            self.write_address.eq(address),
            self.write_data.eq(self.data.payload),
            self.claim.eq(~active & ahead.r_rdy & self.free),
            ahead.r_en.eq(self.claim),
            self.loaded.eq(self.write_enable & (remaining == 1)),
        ]
        with m.If(self.claim):
            m.d.sync += [active.eq(1), address.eq(0), remaining.eq(ahead.r_data)]
        with m.If(self.write_enable):
            m.d.sync += [address.eq(address + 1), remaining.eq(remaining - 1)]
        with m.If(self.loaded):
            m.d.sync += [active.eq(0), bank.eq(~bank)]
        return m


class WeightLoader(wiring.Component):
    """Fills one bank of the weight buffer, and of the channel parameters, for each block of each job.

    A beat of weights is one output lane of one step; a beat of channel parameters holds those of two lanes.

    Members:
        job: blocks to load.
        request, data: the DMA.
        free: a bank is free; `claim` takes it, and `loaded` tells that it is full.
        write_bank, write_data: for both buffers.
        weight_enable, write_step: a bit for each output lane, and the step.
        channel_enable, channel_pair: the pair of output lanes.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._lanes = config.output_lanes
        super().__init__(
            {
                "job": In(stream.Signature(WeightJob)),
                "request": Out(stream.Signature(Transfer)),
                "data": In(stream.Signature(BEAT_BITS)),
                "free": In(1),
                "claim": Out(1),
                "loaded": Out(1),
                "write_bank": Out(1),
                "write_data": Out(BEAT_BITS),
                "weight_enable": Out(self._lanes),
                "write_step": Out(SIZE),
                "channel_enable": Out(1),
                "channel_pair": Out(range(self._lanes // 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = StructLayout({"steps": SIZE, "partial": 1})
        m.submodules.ahead = ahead = SyncFIFO(width=block.size, depth=_AHEAD)
        self._ask(m, ahead, block)
        self._receive(m, ahead, block)
        return m

    def _ask(self, m: Module, ahead: SyncFIFO, block: StructLayout) -> None:
        """Requests of a block: its weights, then its channel parameters."""
        job = Signal(WeightJob)
        request = self.request.payload
        step_bytes, block_channel_bytes = 16 * self._lanes, 8 * self._lanes
        weight_bytes = job.steps * step_bytes
        entry = Signal(block)
        m.d.comb += [
            request.sequence.eq(job.sequence),
            entry.steps.eq(job.steps),
            entry.partial.eq(job.partial),
            ahead.w_data.eq(entry),
        ]

        def next_block() -> None:
            m.d.sync += job.blocks.eq(job.blocks - 1)
            m.next = "WEIGHTS"
            with m.If(job.blocks == 1):
                m.next = "TAKE"

        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.job.ready.eq(1)
                m.d.sync += job.eq(self.job.payload)
                with m.If(self.job.valid):
                    m.next = "WEIGHTS"
            with m.State("WEIGHTS"):
                m.d.comb += [
                    request.address.eq(job.weight_address),
                    request.length.eq(weight_bytes),
                    self.request.valid.eq(ahead.w_rdy),
                    ahead.w_en.eq(self.request.valid & self.request.ready),
                ]
                with m.If(ahead.w_en):
                    m.d.sync += job.weight_address.eq(job.weight_address + weight_bytes)
                    m.next = "CHANNELS"
                    with m.If(job.partial):
                        next_block()
            with m.State("CHANNELS"):
                m.d.comb += [
                    request.address.eq(job.channel_address),
                    request.length.eq(block_channel_bytes),
                    self.request.valid.eq(1),
                ]
                with m.If(self.request.ready):
                    m.d.sync += job.channel_address.eq(job.channel_address + block_channel_bytes)
                    next_block()

    def _receive(self, m: Module, ahead: SyncFIFO, block: StructLayout) -> None:
        current = Signal(block)
        lane = Signal(range(self._lanes))
        step = Signal(SIZE)
        beat = self.data.valid & self.data.ready
        m.d.comb += [self.write_data.eq(self.data.payload), self.write_step.eq(step), self.channel_pair.eq(lane)]
        with m.If(self.loaded):
            m.d.sync += self.write_bank.eq(~self.write_bank)
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += [self.claim.eq(ahead.r_rdy & self.free), ahead.r_en.eq(self.claim)]
                m.d.sync += [current.eq(ahead.r_data), lane.eq(0), step.eq(0)]
                with m.If(self.claim):
                    m.next = "WEIGHTS"
            with m.State("WEIGHTS"):
                m.d.comb += [self.data.ready.eq(1), self.weight_enable.eq(beat << lane)]
                with m.If(beat):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == self._lanes - 1):
                        m.d.sync += step.eq(step + 1)
                        with m.If(step + 1 == current.steps):
                            m.d.comb += self.loaded.eq(current.partial)
                            m.next = "CHANNELS"
                            with m.If(current.partial):
                                m.next = "WAIT"
            with m.State("CHANNELS"):
                m.d.comb += [self.data.ready.eq(1), self.channel_enable.eq(beat)]
                with m.If(beat):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == self._lanes // 2 - 1):
                        m.d.comb += self.loaded.eq(1)
                        m.next = "WAIT"
