"""Reads walks over memory, through one or two ports, as words of samples."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.chunks import CHUNK_BEATS, Chunk, Dealer
from cosoc.gateware.fft.walk import Walk, Walker
from cosoc.gateware.peripheral.core import BEAT_BITS, ReadPort, Transfer

QUEUED_TRANSFERS = 4
"""Between the walker and a port, so that no `ready` of a port reaches the walker."""

QUEUED_CHUNKS = 64
"""Chunks that two ports have on their way: more than their bursts."""

_QUEUED_WORDS = 4


class Reader(wiring.Component):
    """Words in the order of the walks.

    ::

        walks --> Walker --> [Dealer -->] port.request
        port.data --> words of a port --> [in turn -->] words

    Args:
        ports: 1 or 2.
        samples: of a word, 2 or 4: a beat or two. Rows hold whole words.

    Members:
        walks: what to read.
        port: the core's read ports.
        words: the data.
    """

    def __init__(self, *, ports: int, samples: int) -> None:
        self._ports = ports
        self._samples = samples
        self._word = data.ArrayLayout(Complex, samples)
        super().__init__(
            {
                "walks": In(stream.Signature(Walk)),
                "port": Out(ReadPort()).array(ports),
                "words": Out(stream.Signature(self._word)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.walker = walker = Walker()
        m.submodules.words = words = SyncFIFOBuffered(width=self._word.size, depth=_QUEUED_WORDS)
        wiring.connect(m, wiring.flipped(self.walks), walker.walks)
        requests = [SyncFIFOBuffered(width=Transfer.size, depth=QUEUED_TRANSFERS) for _ in self.port]
        for index, (queue, port) in enumerate(zip(requests, self.port, strict=True)):
            m.submodules[f"requests{index}"] = queue
            m.d.comb += [
                port.request.payload.eq(queue.r_data),
                port.request.valid.eq(queue.r_rdy),
                queue.r_en.eq(port.request.ready),
            ]
        joined = [self._join(m, port, index) for index, port in enumerate(self.port)]
        if self._ports == 1:
            m.d.comb += [
                requests[0].w_data.eq(walker.steps.payload.transfer),
                requests[0].w_en.eq(walker.steps.valid),
                walker.steps.ready.eq(requests[0].w_rdy),
            ]
            word, valid, ready = joined[0]
            m.d.comb += [words.w_data.eq(word), words.w_en.eq(valid), ready.eq(words.w_rdy)]
        else:
            self._merge(m, walker, requests, joined, words)
        m.d.comb += [self.words.payload.eq(words.r_data), self.words.valid.eq(words.r_rdy), words.r_en.eq(self.words.ready)]
        return m

    def _join(self, m: Module, port: Any, index: int) -> tuple[Any, Any, Signal]:
        """Beats of a port as words: payload, valid and ready."""
        ready = Signal(name=f"joined_ready{index}")
        if self._samples == 2:
            m.d.comb += port.data.ready.eq(ready)
            return port.data.payload, port.data.valid, ready
        lower, half = Signal(BEAT_BITS, name=f"lower{index}", reset_less=True), Signal(name=f"half{index}")
        m.d.comb += port.data.ready.eq(~half | ready)
        with m.If(port.data.valid & port.data.ready):
            m.d.sync += half.eq(~half)
        with m.If(~half):
            m.d.sync += lower.eq(port.data.payload)
        return Cat(lower, port.data.payload), half & port.data.valid, ready

    def _merge(self, m: Module, walker: Any, requests: list[Any], joined: list[Any], words: Any) -> None:
        """Deals the transfers to two ports, and takes their words in the same turns."""
        m.submodules.dealer = dealer = Dealer()
        m.submodules.sizes = sizes = SyncFIFOBuffered(width=Chunk.size, depth=QUEUED_CHUNKS)
        wiring.connect(m, walker.steps, dealer.steps)
        m.d.comb += [
            sizes.w_data.eq(dealer.sizes.payload),
            sizes.w_en.eq(dealer.sizes.valid),
            dealer.sizes.ready.eq(sizes.w_rdy),
            dealer.chunks.ready.eq(Array(queue.w_rdy for queue in requests)[dealer.port]),
        ]
        buffers = []
        for index, (queue, (word, valid, ready)) in enumerate(zip(requests, joined, strict=True)):
            # Half of a chunk waits while the other port has its turn, and as much again when turns begin at the wrong end.
            buffer = SyncFIFOBuffered(width=self._word.size, depth=2 * CHUNK_BEATS)
            m.submodules[f"buffer{index}"] = buffer
            m.d.comb += [
                queue.w_data.eq(dealer.chunks.payload.transfer),
                queue.w_en.eq(dealer.chunks.valid & (dealer.port == index)),
                buffer.w_data.eq(word),
                buffer.w_en.eq(valid),
                ready.eq(buffer.w_rdy),
            ]
            buffers.append(buffer)
        turn, taken = Signal(), Signal(range(CHUNK_BEATS))
        beats = data.View(Chunk, sizes.r_data).beats
        moves, ends = Signal(), Signal()
        m.d.comb += [
            moves.eq(sizes.r_rdy & Array(buffer.r_rdy for buffer in buffers)[turn] & words.w_rdy),
            ends.eq(taken + 1 == (beats + self._samples // 2 - 1) // (self._samples // 2)),
            words.w_data.eq(Array(buffer.r_data for buffer in buffers)[turn]),
            words.w_en.eq(moves),
            sizes.r_en.eq(moves & ends),
            *(buffer.r_en.eq(moves & (turn == index)) for index, buffer in enumerate(buffers)),
        ]
        with m.If(moves):
            m.d.sync += taken.eq(taken + 1)
            with m.If(ends):
                m.d.sync += [taken.eq(0), turn.eq(~turn)]
