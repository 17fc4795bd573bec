"""Writes words of results along walks over memory, through one or two ports, and completes the commands."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.fft.chunks import CHUNK_BEATS, Chunk, Dealer
from cosoc.gateware.fft.jobs import WriteJob, word
from cosoc.gateware.fft.reader import QUEUED_CHUNKS, QUEUED_TRANSFERS
from cosoc.gateware.fft.walk import Walker
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BITS, Completion, Transfer, WritePort

UNFINISHED = 4
"""Commands whose data is on its way to memory while the next one is written."""

_COUNT_BITS = 8
"""Of transfers that one port has on its way, which are fewer than half of what can be counted."""


class Writer(wiring.Component):
    """Sends the transfers and the data of each command, and its completion when memory has accepted them.

    A command with an error has no transfer; its completion waits for those of the commands before it.

    Args:
        ports: 1 or 2.
        samples: of a word, 2 or 4: a beat or two.

    Members:
        jobs: all commands, in order.
        words: their results; those of a row end with its last word, which may be a half.
        port: the core's write ports.
        completion: one for each job, in order.
    """

    def __init__(self, *, ports: int, samples: int) -> None:
        self._ports = ports
        self._samples = samples
        self._word = word(samples)
        super().__init__(
            {
                "jobs": In(stream.Signature(WriteJob)),
                "words": In(stream.Signature(self._word)),
                "port": Out(WritePort()).array(ports),
                "completion": Out(stream.Signature(Completion)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.walker = walker = Walker()
        steps, index, allowed = walker.steps, 0, Signal()
        if self._ports > 1:
            m.submodules.dealer = dealer = Dealer()
            m.submodules.sizes = sizes = SyncFIFOBuffered(width=Chunk.size, depth=QUEUED_CHUNKS)
            wiring.connect(m, walker.steps, dealer.steps)
            m.d.comb += [
                sizes.w_data.eq(dealer.sizes.payload),
                sizes.w_en.eq(dealer.sizes.valid),
                dealer.sizes.ready.eq(sizes.w_rdy),
            ]
            steps, index = dealer.chunks, dealer.port
            self._deal(m, sizes)
        else:
            self._send(m, 0, self.words.payload, self.words.valid, self.words.ready)
        self._request(m, steps, index, allowed)
        self._complete(m, walker, steps, index, allowed)
        return m

    def _request(self, m: Module, steps: Any, index: Any, allowed: Signal) -> None:
        """Transfers to the ports, through queues, so that no `ready` of a port reaches the walker."""
        queues = [SyncFIFOBuffered(width=Transfer.size, depth=QUEUED_TRANSFERS) for _ in self.port]
        for number, (queue, port) in enumerate(zip(queues, self.port, strict=True)):
            m.submodules[f"requests{number}"] = queue
            m.d.comb += [
                queue.w_data.eq(steps.payload.transfer),
                queue.w_en.eq(steps.valid & allowed & (index == number)),
                port.request.payload.eq(queue.r_data),
                port.request.valid.eq(queue.r_rdy),
                queue.r_en.eq(port.request.ready),
            ]
        m.d.comb += steps.ready.eq(allowed & Array(queue.w_rdy for queue in queues)[index])

    def _deal(self, m: Module, sizes: Any) -> None:
        """Words to two ports, in the turns of their chunks."""
        turn, taken = Signal(), Signal(range(CHUNK_BEATS))
        moves, ends = Signal(), Signal()
        beats = data.View(Chunk, sizes.r_data).beats
        buffers = []
        for number in range(self._ports):
            buffer = SyncFIFOBuffered(width=self._word.size, depth=2 * CHUNK_BEATS)
            m.submodules[f"buffer{number}"] = buffer
            m.d.comb += [buffer.w_data.eq(self.words.payload), buffer.w_en.eq(moves & (turn == number))]
            self._send(m, number, data.View(self._word, buffer.r_data), buffer.r_rdy, buffer.r_en)
            buffers.append(buffer)
        m.d.comb += [
            self.words.ready.eq(sizes.r_rdy & Array(buffer.w_rdy for buffer in buffers)[turn]),
            moves.eq(self.words.valid & self.words.ready),
            ends.eq(taken + 1 == (beats + self._samples // 2 - 1) // (self._samples // 2)),
            sizes.r_en.eq(moves & ends),
        ]
        with m.If(moves):
            m.d.sync += taken.eq(taken + 1)
            with m.If(ends):
                m.d.sync += [taken.eq(0), turn.eq(~turn)]

    def _send(self, m: Module, number: int, payload: Any, valid: Any, ready: Any) -> None:
        """Words to one port, beat by beat."""
        samples, port = payload.samples.as_value(), self.port[number].data
        if self._samples == 2:
            m.d.comb += [port.payload.eq(samples), port.valid.eq(valid), ready.eq(port.ready)]
            return
        upper = Signal(name=f"upper{number}")
        m.d.comb += [
            port.payload.eq(Mux(upper, samples[BEAT_BITS:], samples[:BEAT_BITS])),
            port.valid.eq(valid),
            ready.eq(port.ready & (upper | payload.half)),
        ]
        with m.If(valid & port.ready):
            m.d.sync += upper.eq(~upper & ~payload.half)

    def _complete(self, m: Module, walker: Any, steps: Any, index: Any, allowed: Signal) -> None:
        """Counts the transfers of each port; a command is done when as many are as there were after its last one."""
        entry = data.StructLayout({"error": 8, "targets": data.ArrayLayout(_COUNT_BITS, self._ports)})
        m.submodules.unfinished = unfinished = SyncFIFOBuffered(width=entry.size, depth=UNFINISHED)
        last = Signal()
        refused = Signal()
        walking = Signal(2)  # walks that have begun and whose last transfer is still to come
        job = self.jobs.payload
        begins = walker.walks.valid & walker.walks.ready
        m.d.comb += [
            # The last transfer of a command waits for its place among the unfinished ones.
            allowed.eq(~steps.payload.last | unfinished.w_rdy),
            last.eq(steps.valid & steps.ready & steps.payload.last),
            refused.eq(self.jobs.valid & (job.error != Error.NONE) & (walking == 0) & unfinished.w_rdy),
            walker.walks.payload.eq(job.walk),
            walker.walks.valid.eq(self.jobs.valid & (job.error == Error.NONE)),
            self.jobs.ready.eq(begins | refused),
            unfinished.w_en.eq(last | refused),
        ]
        m.d.sync += walking.eq(walking + begins - last)
        written, oldest = data.View(entry, unfinished.w_data), data.View(entry, unfinished.r_data)
        m.d.comb += written.error.eq(Mux(refused, job.error, Error.NONE))
        complete = []
        for number, port in enumerate(self.port):
            asked, done = (Signal(_COUNT_BITS, name=f"{name}{number}") for name in ("asked", "done"))
            asks = steps.valid & steps.ready & (index == number)
            m.d.comb += written.targets[number].eq(asked + asks)
            m.d.sync += [asked.eq(asked + asks), done.eq(done + port.done.valid)]
            ahead = Signal(_COUNT_BITS, name=f"ahead{number}")
            m.d.comb += ahead.eq(done - oldest.targets[number])
            complete.append(~ahead[-1])
        m.d.comb += [
            self.completion.payload.error.eq(oldest.error),
            self.completion.valid.eq(unfinished.r_rdy & Cat(complete).all()),
            unfinished.r_en.eq(self.completion.valid & self.completion.ready),
        ]
