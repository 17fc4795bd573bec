"""Storing: the output buffer's banks to memory, and the completion of commands."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.jobs import SIZE, RetireJob, StoreJob
from cosoc.gateware.conv2d.load import TileTransfers
from cosoc.gateware.peripheral.core import BEAT_BITS, Completion, Transfer


class Store(wiring.Component):
    """Sends one bank of the output buffer for each job; the buffer holds the words in the order of the transfers.

    Members:
        job: tiles to store; those of PARTIAL commands only pass.
        request, data: the DMA.
        computed: the results of the job's command are there; `claim` acknowledges it.
        sent: the bank is free again, and the DMA has all its data.
        read_enable, read_bank, read_address, read_data: the output buffer; the data is there a cycle later and stays.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "job": In(stream.Signature(StoreJob)),
                "request": Out(stream.Signature(Transfer)),
                "data": Out(stream.Signature(BEAT_BITS)),
                "computed": In(1),
                "claim": Out(1),
                "sent": Out(1),
                "read_enable": Out(1),
                "read_bank": Out(1),
                "read_address": Out(SIZE),
                "read_data": In(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transfers = transfers = TileTransfers()
        wiring.connect(m, transfers.request, wiring.flipped(self.request))
        job = Signal(StoreJob)
        address, pixel_word = Signal(SIZE), Signal(SIZE)
        pixel_ends = pixel_word + 1 == job.pixel_words
        half = Signal()
        m.d.comb += [
            self.data.payload.eq(Mux(half, self.read_data[: BEAT_BITS // 2], self.read_data)),
            self.read_address.eq(address),
            transfers.job.payload.eq(job.tile),
        ]
        with m.If(self.data.ready):
            m.d.sync += self.data.valid.eq(0)
        with m.If(self.read_enable):
            m.d.sync += [
                self.data.valid.eq(1),
                half.eq(job.half_word & pixel_ends),
                address.eq(address + 1),
                pixel_word.eq(Mux(pixel_ends, 0, pixel_word + 1)),
            ]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.job.ready.eq(1)
                m.d.sync += [job.eq(self.job.payload), address.eq(0), pixel_word.eq(0)]
                with m.If(self.job.valid):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.claim.eq(self.computed & (job.partial | transfers.job.ready))
                m.d.comb += transfers.job.valid.eq(self.claim & ~job.partial)
                with m.If(self.claim):
                    m.next = "SEND"
                    with m.If(job.partial):
                        m.next = "SENT"
            with m.State("SEND"):
                more = address != job.total_words
                m.d.comb += self.read_enable.eq(more & (~self.data.valid | self.data.ready))
                with m.If(~more & ~self.data.valid & transfers.job.ready):
                    m.next = "SENT"
            with m.State("SENT"):
                m.d.comb += self.sent.eq(1)
                m.d.sync += self.read_bank.eq(~self.read_bank)
                m.next = "TAKE"
        return m


class Retire(wiring.Component):
    """Completes commands in their order, when their writes are in memory.

    Members:
        job: commands.
        sent: the oldest command that is not yet sent was sent.
        written: a write transfer is in memory.
        completion: of the core.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "job": In(stream.Signature(RetireJob)),
                "sent": In(1),
                "written": In(1),
                "completion": Out(stream.Signature(Completion)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job = self.job.payload
        sent, written = Signal(SIZE), Signal(SIZE)
        failed = job.error != 0
        stored = (sent != 0) & (written >= job.transfers)
        m.d.comb += [
            self.completion.payload.error.eq(job.error),
            self.completion.valid.eq(self.job.valid & (failed | stored)),
            self.job.ready.eq(self.completion.ready & (failed | stored)),
        ]
        retires = Signal()
        m.d.comb += retires.eq(self.job.valid & self.job.ready & ~failed)
        m.d.sync += [
            sent.eq(sent + self.sent - retires),
            written.eq(written + self.written - Mux(retires, job.transfers, 0)),
        ]
        return m
