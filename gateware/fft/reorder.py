"""The reorder buffer: frames come as the pipeline gives them and leave as they lie in memory."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.banks import bank_of, row_bits, stored_frame
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig
from cosoc.gateware.fft.drain import Drain
from cosoc.gateware.fft.frame import Frame
from cosoc.gateware.fft.jobs import group, word_samples
from cosoc.gateware.fft.operands import LOG2_BITS

MAX_FRAMES = 16
"""Most frames in the buffer."""


def result(samples: int) -> data.StructLayout:
    """A beat of the pipeline; the other fields count at the first beat of a frame."""
    return data.StructLayout({"samples": data.ArrayLayout(Complex, samples), "first": 1, "frame": Frame, "frame_log2": LOG2_BITS})


class ReorderBuffer(wiring.Component):
    """Takes frames in the order of `output_order`, P results per cycle, and delivers groups of R = max(2, P) in natural order.

    ::

        results --> fill --> bank 0 .. R - 1 --> drain --> groups
                       \\--- frames -----------/

    The buffer is a ring with room for two of the longest frames, or many shorter ones. A frame is written as it comes, and read
    in the order that its context tells: result k of column c as number k * W + c, or c * N + k when it is transposed; for a real
    signal, result k and its mirror N - k, k = 0 .. N.

    Args:
        config: of the accelerator.

    Members:
        results: the pipeline's.
        groups: the transforms.
    """

    def __init__(self, config: FFTConfig) -> None:
        self._config = config
        self._banks = word_samples(config.samples)
        self._row_bits = row_bits(config)
        super().__init__(
            {"results": In(stream.Signature(result(config.samples))), "groups": Out(stream.Signature(group(config.samples)))}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.drain = drain = Drain(self._config)
        writes = []
        for index in range(self._banks):
            bank = Memory(shape=Complex.size, depth=1 << self._row_bits, init=[])
            m.submodules[f"bank{index}"] = bank
            read, word = bank.read_port(), Signal(Complex.size, name=f"word{index}", reset_less=True)
            m.d.sync += word.eq(read.data)
            m.d.comb += [read.addr.eq(drain.row[index]), drain.word[index].eq(word)]
            writes.append(bank.write_port())
        wiring.connect(m, drain.groups, wiring.flipped(self.groups))
        m.submodules.frames = frames = SyncFIFOBuffered(width=stored_frame(self._config).size, depth=MAX_FRAMES)
        m.d.comb += [
            drain.frames.payload.eq(frames.r_data),
            drain.frames.valid.eq(frames.r_rdy),
            frames.r_en.eq(drain.frames.ready),
        ]
        begins, base = self._admit(m, drain)
        self._fill(m, begins, base, frames, writes)
        return m

    def _admit(self, m: Module, drain: Any) -> tuple[Signal, Signal]:
        """Takes a frame when there are rows for it; returns whether one begins, and its first row."""
        head = self.results.payload
        free = Signal(self._row_bits + 1, init=1 << self._row_bits)
        count = Signal(range(MAX_FRAMES + 1))
        taken, freed = (self._rows(m, log2, name) for log2, name in ((head.frame_log2, "taken"), (drain.freed_log2, "freed")))
        base, begins = Signal(self._row_bits), Signal()
        m.d.comb += [
            self.results.ready.eq(~head.first | ((taken <= free) & (count != MAX_FRAMES))),
            begins.eq(self.results.valid & self.results.ready & head.first),
        ]
        m.d.sync += [
            free.eq(free - Mux(begins, taken, 0) + Mux(drain.freed, freed, 0)),
            count.eq(count + begins - drain.freed),
            base.eq(base + Mux(begins, taken, 0)),
        ]
        return begins, base

    def _rows(self, m: Module, frame_log2: Any, name: str) -> Signal:
        """Rows of the banks that a frame takes."""
        rows = Signal(self._row_bits, name=f"{name}_rows")
        with m.Switch(frame_log2):
            for log2 in range(MIN_LOG2, self._config.max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += rows.eq((1 << log2) // self._banks)
        return rows

    def _fill(self, m: Module, begins: Signal, next_base: Signal, frames: Any, writes: list[Any]) -> None:
        """Three stages: number of the beat, banks of its results, write.

        A frame is announced while its last beat is in the second stage: the drain takes longer to its first read than this beat
        to its write.
        """
        head, samples_log2, bank_bits = self.results.payload, ceil_log2(self._config.samples), ceil_log2(self._banks)
        base, beat, valid = Signal(self._row_bits), Signal(self._config.max_log2), Signal()
        frame, frame_log2 = Signal(Frame, reset_less=True), Signal(LOG2_BITS, reset_less=True)
        samples = Signal(len(head.samples.as_value()), reset_less=True)
        takes = self.results.valid & self.results.ready
        m.d.sync += [valid.eq(takes), samples.eq(head.samples)]
        with m.If(begins):
            m.d.sync += [beat.eq(0), base.eq(next_base), frame.eq(head.frame), frame_log2.eq(head.frame_log2)]
        with m.Elif(takes):
            m.d.sync += beat.eq(beat + 1)

        last, lanes = Signal(), [Signal(bank_bits, name=f"lane{lane}") for lane in range(self._config.samples)]
        with m.Switch(frame_log2):
            for log2 in range(MIN_LOG2, self._config.max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += last.eq(beat == (1 << log2) // self._config.samples - 1)
                    m.d.comb += [
                        bank.eq(bank_of(Cat(Const(lane, samples_log2), beat), log2, self._banks)) for lane, bank in enumerate(lanes)
                    ]
        stored = data.View(stored_frame(self._config), frames.w_data)
        m.d.comb += [
            frames.w_en.eq(valid & last),
            stored.base.eq(base),
            stored.frame.eq(frame),
            stored.frame_log2.eq(frame_log2),
        ]
        row, placed, writing = Signal(self._row_bits), Signal.like(samples, name="placed"), Signal()
        banks = [Signal(bank_bits, name=f"bank_of{lane}", reset_less=True) for lane in range(self._config.samples)]
        m.d.sync += [row.eq(base + (beat >> bank_bits - samples_log2)), placed.eq(samples), writing.eq(valid)]
        m.d.sync += [bank.eq(lane) for bank, lane in zip(banks, lanes, strict=True)]
        for index, port in enumerate(writes):
            m.d.sync += [port.en.eq(0), port.addr.eq(row)]
            for lane, bank in enumerate(banks):
                with m.If(bank == index):
                    m.d.sync += [port.en.eq(writing), port.data.eq(placed.word_select(lane, Complex.size))]
