"""Writes the results of one command after the other, and completes them."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.fft.commands import MAX_COMMANDS, WriteJob
from cosoc.gateware.fft.feeder import BEATS_BITS
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES, Completion, WritePort

UNFINISHED = 4
"""Commands whose data is on its way to memory while the next one is written."""


class Writer(wiring.Component):
    """Sends a write transfer and its beats for each command, and its completion when memory has accepted them.

    A command with an error has no transfer; its completion waits for those of the commands before it.

    Members:
        jobs: all commands, in order.
        beats: their results.
        write: the core's write port.
        completion: one for each job, in order.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "jobs": In(stream.Signature(WriteJob)),
                "beats": In(stream.Signature(BEAT_BITS)),
                "write": Out(WritePort()),
                "completion": Out(stream.Signature(Completion)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unfinished = unfinished = SyncFIFOBuffered(width=8, depth=UNFINISHED)
        self._send(m, unfinished)
        self._complete(m, unfinished)
        return m

    def _send(self, m: Module, unfinished: Any) -> None:
        """Transfers and data; each command then waits in `unfinished`."""
        job, request, beats = self.jobs.payload, self.write.request, self.beats
        left = Signal(BEATS_BITS)
        m.d.comb += [
            request.payload.address.eq(job.address),
            request.payload.length.eq(job.beats * BEAT_BYTES),
            request.payload.sequence.eq(job.sequence),
            self.write.data.payload.eq(beats.payload),
            unfinished.w_data.eq(job.error),
        ]
        with m.FSM():
            with m.State("REQUEST"):
                refused = job.error != Error.NONE
                m.d.comb += [
                    request.valid.eq(self.jobs.valid & ~refused & unfinished.w_rdy),
                    self.jobs.ready.eq(unfinished.w_rdy & (refused | request.ready)),
                    unfinished.w_en.eq(self.jobs.valid & self.jobs.ready),
                ]
                m.d.sync += left.eq(job.beats)
                with m.If(request.valid & request.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [self.write.data.valid.eq(beats.valid), beats.ready.eq(self.write.data.ready)]
                with m.If(beats.valid & beats.ready):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "REQUEST"

    def _complete(self, m: Module, unfinished: Any) -> None:
        """In order: an error at once, success with the next token of `done`."""
        done = Signal(range(MAX_COMMANDS + 1))  # tokens that no completion has used
        success = unfinished.r_data == Error.NONE
        m.d.comb += [
            self.completion.payload.error.eq(unfinished.r_data),
            self.completion.valid.eq(unfinished.r_rdy & (~success | (done != 0))),
            unfinished.r_en.eq(self.completion.valid & self.completion.ready),
        ]
        m.d.sync += done.eq(done + self.write.done.valid - (unfinished.r_en & success))
