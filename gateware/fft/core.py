"""The FFT core: commands and samples as streams, no bus."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered

from cosoc.gateware.fft.commands import CommandUnit
from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.feeder import Feeder
from cosoc.gateware.fft.finish import Finisher
from cosoc.gateware.fft.jobs import FeedJob, WriteJob, word_samples
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.fft.reader import Reader
from cosoc.gateware.fft.reorder import ReorderBuffer, result
from cosoc.gateware.fft.walk import Walk
from cosoc.gateware.fft.writer import Writer
from cosoc.gateware.peripheral.core import CoreSignature

QUEUED_READS = 2
QUEUED_WRITES = 4

RESULTS = 16
"""Beats between the pipeline and the reorder buffer: more than the pipeline gives after it was told to stop."""


class FFTCore(wiring.Component):
    """Streaming FFT: P samples per cycle, any power of two from 8 to the longest, single, in batches, or of matrix columns.

    ::

        command --> CommandUnit --> jobs
                                     v
        read[0..] --> Reader --> Feeder --> FFTPipeline --> ReorderBuffer --> Finisher --> Writer --> write[0..], completion
        read[-1] ---> Reader (second operand) -----------------------------------^

    Frames of a command, and of commands of any lengths and directions, follow each other without a gap. One enable stops feeder
    and pipeline together, when a frame lacks a sample or results have no place.

    Number format and order of operations: docs/fft.md; bit-exact model: `golden.py`; durations: `cycles.py`.

    In place: a frame is written after it was read, and after all frames before it, so input and output may be the same in
    address and strides, unless they are transposed. A command that reads what earlier ones write waits for them. When a command's
    output overlaps its own input in another way, later frames may be overwritten before they are read, and their results are
    unspecified.

    Errors, each without any transfer, the lowest code if there are several: `BAD_OPCODE`; `BAD_LENGTH` for a length outside
    8 .. 2**max_log2, a frame of more than 2**max_log2 samples, no frames, or 4 GiB and more; `MISALIGNED` for an address or stride
    that is used and not a multiple of 16; `BAD_PARAMETER` for frames of two columns, an option that is not built, or one of real
    input with columns, scaling, inverse or multiplication.

    Args:
        config: the parameters. A second port carries every second chunk of input and output, and the second operand.
    """

    def __init__(self, config: FFTConfig) -> None:
        self.config = config
        ports = list(range(config.memory_ports))
        operand = [ports[-1]] * config.multiply
        super().__init__(
            CoreSignature(readers=len(ports + operand), writers=len(ports), reader_managers=ports + operand, writer_managers=ports)
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        ports, samples = config.memory_ports, word_samples(config.samples)
        m.submodules.commands = commands = CommandUnit(config)
        m.submodules.reader = reader = Reader(ports=ports, samples=samples)
        m.submodules.feeder = feeder = Feeder(
            samples=config.samples, max_log2=config.max_log2, max_inside=FFTPipeline.latency(config, config.max_log2) + 1
        )
        m.submodules.pipeline = pipeline = FFTPipeline(config)
        m.submodules.reorder = reorder = ReorderBuffer(config)
        m.submodules.finisher = finisher = Finisher(config)
        m.submodules.writer = writer = Writer(ports=ports, samples=samples)

        wiring.connect(m, wiring.flipped(self.command), commands.command)
        self._queue(m, "read_jobs", Walk, QUEUED_READS, commands.read, reader.walks)
        self._queue(m, "feed_jobs", FeedJob, QUEUED_READS, commands.feed, feeder.jobs)
        self._queue(m, "write_jobs", WriteJob, QUEUED_WRITES, commands.write, writer.jobs)
        for mine, inner in zip(self.read, reader.port, strict=False):
            wiring.connect(m, wiring.flipped(mine), inner)
        for mine, inner in zip(self.write, writer.port, strict=True):
            wiring.connect(m, wiring.flipped(mine), inner)
        wiring.connect(m, reader.words, feeder.words)
        wiring.connect(m, reorder.groups, finisher.groups)
        wiring.connect(m, finisher.words, writer.words)
        wiring.connect(m, writer.completion, wiring.flipped(self.completion))
        m.d.comb += commands.completed.eq(self.completion.valid & self.completion.ready)
        if config.multiply:
            m.submodules.operand = operand = Reader(ports=1, samples=samples)
            self._queue(m, "operand_jobs", Walk, QUEUED_READS, commands.read_b, operand.walks)
            wiring.connect(m, wiring.flipped(self.read[-1]), operand.port[0])
            wiring.connect(m, operand.words, finisher.b)
        self._run(m, feeder, pipeline, reorder)
        return m

    def _queue(self, m: Module, name: str, layout: Any, depth: int, source: Any, sink: Any) -> None:
        """Jobs that wait for their unit."""
        m.submodules[name] = queue = SyncFIFOBuffered(width=layout.size, depth=depth)
        m.d.comb += [
            queue.w_data.eq(source.payload),
            queue.w_en.eq(source.valid),
            source.ready.eq(queue.w_rdy),
            sink.payload.eq(queue.r_data),
            sink.valid.eq(queue.r_rdy),
            queue.r_en.eq(sink.ready),
        ]

    def _run(self, m: Module, feeder: Any, pipeline: Any, reorder: Any) -> None:
        """The pipeline between feeder and reorder buffer, which takes results as long as it can, and then has it stopped."""
        layout = result(self.config.samples)
        m.submodules.results = results = SyncFIFOBuffered(width=layout.size, depth=RESULTS)
        written = data.View(layout, results.w_data)
        hold = Signal()
        m.d.sync += hold.eq(results.level >= RESULTS // 2)
        m.d.comb += [
            *(getattr(pipeline, name).eq(getattr(feeder, name)) for name in ("en", "i", "i_valid", "i_first", "i_frame")),
            feeder.hold.eq(hold),
            feeder.result.eq(pipeline.o_valid),
            results.w_en.eq(pipeline.en & pipeline.o_valid),
            written.samples.eq(pipeline.o),
            written.first.eq(pipeline.o_first),
            written.frame.eq(pipeline.o_frame),
            written.frame_log2.eq(pipeline.o_frame.log2_length + pipeline.o_frame.interleave_log2),
            reorder.results.payload.eq(results.r_data),
            reorder.results.valid.eq(results.r_rdy),
            results.r_en.eq(reorder.results.ready),
        ]
