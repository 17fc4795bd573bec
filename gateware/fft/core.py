"""The FFT core: commands and samples as streams, no bus."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered

from cosoc.gateware.fft.commands import CommandUnit, WriteJob
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig
from cosoc.gateware.fft.feeder import Feeder, FeedJob
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.fft.reorder import ReorderBuffer
from cosoc.gateware.fft.writer import Writer
from cosoc.gateware.peripheral.core import CoreSignature

QUEUED_READS = 2
QUEUED_WRITES = 4


class FFTCore(wiring.Component):
    """Streaming FFT: complex64 in natural order in and out, one sample per cycle, any power of two from 8 to the longest.

    ::

        command --> CommandUnit --> read[0].request
                       |    \\ feed jobs
                       |     v
         read[0].data -|-> Feeder --> FFTPipeline --> ReorderBuffer --+
                       | write jobs                                   v
                       +------------------------------------------> Writer --> write[0], completion

    The frames of a command, and of commands with the same length and direction, follow each other without a gap; the
    pipeline drains before the length or direction changes, while the next command's data is already being fetched.
    One enable stops feeder and pipeline together, when a frame lacks a sample or the reorder buffer is full.

    Number format and order of operations: docs/architecture.md; bit-exact model: `golden.py`; durations: `cycles.py`.

    In place: a frame is written after it was read, and after all frames before it, so `out_address` may equal `in_address`.
    A command that reads what earlier ones write waits for them. When a command's output begins inside its own input, its
    later frames may be overwritten before they are read, and their results are unspecified.

    Errors, each without any transfer, the lowest code if there are several: `BAD_OPCODE`; `BAD_LENGTH` for a length outside
    8 .. 2**max_log2, no frames, or 4 GiB and more; `MISALIGNED` for an address that is not a multiple of 16.
    """

    def __init__(self, config: FFTConfig) -> None:
        self.config = config
        super().__init__(CoreSignature(readers=1, writers=1))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        max_log2 = self.config.max_log2
        max_inside = max(FFTPipeline.latency(self.config, n) >> n for n in range(MIN_LOG2, max_log2 + 1)) + 2
        m.submodules.commands = commands = CommandUnit(max_log2=max_log2)
        m.submodules.feeder = feeder = Feeder(max_log2=max_log2, max_frames_inside=max_inside)
        m.submodules.pipeline = pipeline = FFTPipeline(self.config)
        m.submodules.reorder = reorder = ReorderBuffer(max_log2=max_log2)
        m.submodules.writer = writer = Writer()
        m.submodules.reads = reads = SyncFIFOBuffered(width=FeedJob.size, depth=QUEUED_READS)
        m.submodules.writes = writes = SyncFIFOBuffered(width=WriteJob.size, depth=QUEUED_WRITES)

        wiring.connect(m, wiring.flipped(self.command), commands.command)
        wiring.connect(m, commands.request, wiring.flipped(self.read[0].request))
        wiring.connect(m, wiring.flipped(self.read[0].data), feeder.beats)
        wiring.connect(m, reorder.beats, writer.beats)
        wiring.connect(m, writer.write, wiring.flipped(self.write[0]))
        wiring.connect(m, writer.completion, wiring.flipped(self.completion))
        for source, queue, sink in ((commands.feed, reads, feeder.jobs), (commands.write, writes, writer.jobs)):
            m.d.comb += [
                queue.w_data.eq(source.payload),
                queue.w_en.eq(source.valid),
                source.ready.eq(queue.w_rdy),
                sink.payload.eq(queue.r_data),
                sink.valid.eq(queue.r_rdy),
                queue.r_en.eq(sink.ready),
            ]
        place = Signal(max_log2)  # of the sample in its frame
        with m.If(feeder.en & feeder.sample_valid):
            m.d.sync += place.eq(Mux(place + 1 == 1 << feeder.log2_length, 0, place + 1))
        m.d.comb += [
            commands.completed.eq(self.completion.valid & self.completion.ready),
            pipeline.en.eq(feeder.en),
            pipeline.i_first.eq(place == 0),
            pipeline.i_frame.log2_length.eq(feeder.log2_length),
            pipeline.i_frame.inverse.eq(feeder.inverse),
            pipeline.i_frame.scaled.eq(feeder.inverse),
            pipeline.i[0].eq(feeder.sample),
            pipeline.i_valid.eq(feeder.sample_valid),
            reorder.en.eq(feeder.en),
            reorder.valid.eq(pipeline.o_valid),
            reorder.sample.eq(pipeline.o[0]),
            reorder.log2_length.eq(feeder.log2_length),
            feeder.blocked.eq(reorder.blocked),
            feeder.frame_done.eq(reorder.valid & reorder.last),
        ]
        return m
