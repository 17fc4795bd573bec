"""The FIR core: commands and samples as streams, no bus."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered

from cosoc.gateware.fir.chain import TapChain
from cosoc.gateware.fir.commands import COUNT_BITS, MAX_COMMANDS, CommandUnit, job_layout
from cosoc.gateware.fir.config import FIRConfig
from cosoc.gateware.fir.feeder import SampleFeeder
from cosoc.gateware.fir.samples import ResultWriter, SampleReader
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import CoreSignature

QUEUED_JOBS = 4

_NO_SUM = 0x80000000_80000000
"""-0 in both parts: a sum that does not begin with anything."""

_Outcome = data.StructLayout({"error": 8, "stores": 1})


class FIRCore(wiring.Component):
    """FIR filters over frames of complex64 samples, with decimation; one sample per cycle.

    ::

        command --> CommandUnit --> jobs
                                     v
        read[0] --> SampleReader --+-- taps ------v
                                   +--> feeder --> TapChain --> ResultWriter --> write[0]
        read[1] --> SampleReader -- sums begin with --^

    A command applies as many taps as there are multipliers. A longer filter is a sequence of commands on the same samples and
    results, each with the next taps and a larger delay, all but the first of which accumulate; the sums are the same bits as if
    there were enough multipliers.

    Commands overlap: the data of the next one is fetched while one is computed, and its samples follow those of the one before,
    whose sums are still in the chain, as soon as its taps are loaded beside those in use. A command that reads what an unfinished
    one writes, such as the sums of a longer filter, waits for it.

    Number format and order of operations: docs/architecture.md; bit-exact model: `golden.py`; durations: `cycles.py`;
    resources: `resources.py`.

    Errors, the lowest code if there are several: `BAD_OPCODE`; `BAD_LENGTH` for no samples or results, more than 2^29 - 1, more
    results than samples, frames of no samples, no taps or more than multipliers; `MISALIGNED` for an address that is not
    a multiple of 16; `BAD_PARAMETER` for a decimation of 0 or a delay of `max_taps` or more. These without any transfer. A
    number of results that is not that of the frames also gives `BAD_LENGTH`, after all transfers: results above the number are
    dropped, missing ones are zero.

    Members: `CoreSignature` with a read port for taps and samples, one for sums, and one write port.
    """

    def __init__(self, config: FIRConfig) -> None:
        self.config = config
        super().__init__(CoreSignature(readers=2, writers=1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layout = self.config, job_layout(self.config)
        m.submodules.commands = commands = CommandUnit(config)
        m.submodules.jobs = jobs = SyncFIFOBuffered(width=layout.size, depth=QUEUED_JOBS)
        m.submodules.outcomes = outcomes = SyncFIFOBuffered(width=_Outcome.size, depth=MAX_COMMANDS)
        m.submodules.samples = samples = SampleReader()
        m.submodules.partials = partials = SampleReader()
        m.submodules.feeder = feeder = SampleFeeder(config)
        m.submodules.chain = chain = TapChain(config.multipliers)
        m.submodules.results = results = ResultWriter(count_bits=COUNT_BITS, queued=MAX_COMMANDS)
        wiring.connect(m, wiring.flipped(self.command), commands.command)
        wiring.connect(m, wiring.flipped(self.read[0].data), samples.beat)
        wiring.connect(m, wiring.flipped(self.read[1].data), partials.beat)
        wiring.connect(m, results.beat, wiring.flipped(self.write[0].data))
        wiring.connect(m, commands.sums, wiring.flipped(self.read[1].request))
        wiring.connect(m, commands.results, wiring.flipped(self.write[0].request))
        m.d.comb += [
            self.read[0].request.valid.eq(commands.taps.valid | commands.samples.valid),
            self.read[0].request.payload.eq(Mux(commands.taps.valid, commands.taps.payload, commands.samples.payload)),
            commands.taps.ready.eq(self.read[0].request.ready),
            commands.samples.ready.eq(self.read[0].request.ready),
            jobs.w_data.eq(commands.job.payload),
            jobs.w_en.eq(commands.job.valid),
            commands.job.ready.eq(jobs.w_rdy),
            commands.done.eq(self._complete(m, outcomes)),
        ]
        self._execute(m, data.View(layout, jobs.r_data), jobs, outcomes, samples, partials, feeder, chain, results)
        return m

    def _execute(
        self, m: Module, job: Any, jobs: Any, outcomes: Any, samples: Any, partials: Any, feeder: Any, chain: Any, results: Any
    ) -> None:
        """One job after the other: its taps, its samples, and what is missing of its results."""
        error = Signal(8)
        left = Signal(COUNT_BITS)  # taps or samples
        wanted = Signal(COUNT_BITS)  # results
        inside = Signal()  # a sample of the job is in the chain, so that the next one must follow it
        start, take_tap, accept, pad, ends, flush = (
            Signal(name=name) for name in ("start", "take_tap", "accept", "pad", "ends", "flush")
        )
        begins = job.accumulate & feeder.kept & (wanted != 0)
        taps_free, empty = self._track(m, start, accept, feeder.en, chain.latency)
        outcome = data.View(_Outcome, outcomes.w_data)
        entered = Signal()  # the bank of taps of the sample that enters the chain
        bank = Signal()
        m.d.comb += [
            samples.sample.ready.eq(take_tap | accept),
            samples.last.eq(left == 1),
            partials.sample.ready.eq((accept & begins) | (pad & job.accumulate)),
            partials.last.eq(wanted == 1),
            chain.tap.eq(samples.sample.payload),
            chain.load.eq(take_tap),
            chain.place.eq(job.taps - left),
            chain.load_bank.eq(bank),
            chain.bank.eq(entered),
            feeder.sample.eq(samples.sample.payload),
            feeder.partial.eq(Mux(job.accumulate, partials.sample.payload, _NO_SUM)),
            feeder.accept.eq(accept),
            feeder.want.eq(wanted != 0),
            feeder.start.eq(start),
            *(getattr(feeder, name).eq(job[name]) for name in ("taps", "length", "delay", "decimation")),
            flush.eq(~inside & ~empty & results.room),
            feeder.flush.eq(flush),
            *(getattr(chain, name).eq(getattr(feeder, name)) for name in ("en", "x", "terms", "valid")),
            chain.partial.eq(feeder.sum),
            results.count.eq(job.outputs),
            results.start.eq(start),
            results.result.eq(Mux(pad, 0, chain.o.as_value())),
            results.write.eq(pad | (chain.en & chain.o_valid)),
            outcome.error.eq(Mux(job.error != Error.NONE, job.error, error)),
            outcome.stores.eq(job.error == Error.NONE),
            outcomes.w_en.eq(ends),
            jobs.r_en.eq(ends),
        ]
        with m.If(accept):
            m.d.sync += entered.eq(bank)
        with m.If((accept & feeder.kept & (wanted != 0)) | pad):
            m.d.sync += wanted.eq(wanted - 1)
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += [
                    start.eq(jobs.r_rdy & (job.error == Error.NONE) & taps_free),
                    ends.eq(jobs.r_rdy & (job.error != Error.NONE)),
                ]
                with m.If(start):
                    m.d.sync += [left.eq(job.taps), wanted.eq(job.outputs), error.eq(Error.NONE), bank.eq(~bank)]
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += take_tap.eq(samples.sample.valid)
                with m.If(take_tap):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.d.sync += left.eq(job.samples)
                        m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += accept.eq(samples.sample.valid & results.room & (~begins | partials.sample.valid))
                with m.If(accept):
                    m.d.sync += [left.eq(left - 1), inside.eq(left != 1)]
                    with m.If(feeder.kept & (wanted == 0)):
                        m.d.sync += error.eq(Error.BAD_LENGTH)
                    with m.If(left == 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += ends.eq(wanted == 0)
                m.next = "BEGIN"
                with m.If(wanted != 0):
                    m.next = "DRAIN"
            with m.State("DRAIN"), m.If(empty):  # what is missing comes behind what is in the chain
                m.next = "PAD"
            with m.State("PAD"):
                m.d.comb += pad.eq((wanted != 0) & results.room & (~job.accumulate | partials.sample.valid))
                with m.If(pad):
                    m.d.sync += error.eq(Error.BAD_LENGTH)
                with m.If(wanted == 0):
                    m.next = "END"

    def _track(self, m: Module, start: Signal, accept: Signal, en: Signal, latency: int) -> tuple[Any, Any]:
        """Whether the bank of taps that is not in use is that of no sample in the chain, and whether there is no sample in it.

        `newer` counts the steps of the chain since the latest sample, `older` since the last one of the job before.
        """
        full = latency + 1
        newer, older = (Signal(range(full + 1), init=full, name=name) for name in ("newer", "older"))
        first = Signal(init=1)  # no sample of the job has come
        stepped = Mux(newer == full, full, newer + en)
        m.d.sync += [newer.eq(Mux(accept, 0, stepped)), older.eq(Mux(older == full, full, older + en))]
        with m.If(accept & first):
            m.d.sync += older.eq(stepped)
        with m.If(start):
            m.d.sync += first.eq(1)
        with m.Elif(accept):
            m.d.sync += first.eq(0)
        return older == full, newer == full

    def _complete(self, m: Module, outcomes: Any) -> Signal:
        """Completions in order, those of commands that write when all is in memory; whether such a one is done."""
        outcome = data.View(_Outcome, outcomes.r_data)
        stored = Signal(range(MAX_COMMANDS + 1))  # commands whose results are in memory, and that are not completed
        done = Signal()
        m.d.comb += [
            self.completion.valid.eq(outcomes.r_rdy & (~outcome.stores | (stored != 0))),
            self.completion.payload.error.eq(outcome.error),
            outcomes.r_en.eq(self.completion.valid & self.completion.ready),
            done.eq(outcomes.r_en & outcome.stores),
        ]
        m.d.sync += stored.eq(stored + self.write[0].done.valid - done)
        return done
