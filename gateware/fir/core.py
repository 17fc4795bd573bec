"""The FIR core: commands and samples as streams, no bus."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.utils import ceil_log2

from cosoc.gateware.fir.chain import TapChain
from cosoc.gateware.fir.config import COMMAND, MAX_SAMPLES, SAMPLE_BYTES, FIRConfig, FIROperation
from cosoc.gateware.fir.feeder import SampleFeeder
from cosoc.gateware.fir.samples import ResultWriter, SampleReader
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS, CoreSignature

_COUNT_BITS = ceil_log2(MAX_SAMPLES + 1)
_NO_SUM = 0x80000000_80000000
"""-0 in both parts: a sum that does not begin with anything."""


class FIRCore(wiring.Component):
    """FIR filters over frames of complex64 samples, with decimation; one sample per cycle.

    ::

        read[0] --> SampleReader --+-- taps ------v
                                   +--> feeder --> TapChain --> ResultWriter --> write[0]
        read[1] --> SampleReader -- sums begin with --^

    A command applies as many taps as there are multipliers. A longer filter is a sequence of commands on the same samples and
    results, each with the next taps and a larger delay, all but the first of which accumulate; the sums are the same bits as if
    there were enough multipliers. Commands execute one after the other.

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
        m.submodules.samples = samples = SampleReader()
        m.submodules.partials = partials = SampleReader()
        m.submodules.feeder = feeder = SampleFeeder(self.config)
        m.submodules.chain = chain = TapChain(self.config.multipliers)
        m.submodules.results = results = ResultWriter(count_bits=_COUNT_BITS)
        wiring.connect(m, wiring.flipped(self.read[0].data), samples.beat)
        wiring.connect(m, wiring.flipped(self.read[1].data), partials.beat)
        wiring.connect(m, results.beat, wiring.flipped(self.write[0].data))

        words = Signal(COMMAND.struct(), reset_less=True)
        sequence = Signal(SEQUENCE_BITS, reset_less=True)
        error = Signal(8)
        left = Signal(_COUNT_BITS)  # taps, samples, or cycles until the chain is empty
        wanted = Signal(_COUNT_BITS)  # results
        accumulate = words.opcode == FIROperation.ACCUMULATE
        pad = Signal()
        stored = Signal()  # memory has all results

        take_tap, accept = Signal(), Signal()
        begins = accumulate & feeder.kept & (wanted != 0)
        m.d.comb += [
            samples.sample.ready.eq(take_tap | accept),
            samples.last.eq(left == 1),
            partials.sample.ready.eq((accept & begins) | (pad & accumulate)),
            partials.last.eq(wanted == 1),
            chain.tap.eq(samples.sample.payload),
            chain.load.eq(take_tap),
            feeder.sample.eq(samples.sample.payload),
            feeder.partial.eq(Mux(accumulate, partials.sample.payload, _NO_SUM)),
            feeder.accept.eq(accept),
            feeder.want.eq(wanted != 0),
            feeder.length.eq(words.length),
            feeder.delay.eq(words.delay),
            feeder.decimation.eq(words.decimation),
            *(getattr(chain, name).eq(getattr(feeder, name)) for name in ("en", "x", "terms", "valid")),
            chain.partial.eq(feeder.sum),
            results.count.eq(words.outputs),
            results.result.eq(Mux(pad, 0, chain.o.as_value())),
            results.write.eq(pad | (chain.en & chain.o_valid)),
            self.completion.payload.error.eq(error),
        ]
        self._requests(m, words, sequence)
        with m.If(self.write[0].done.valid):
            m.d.sync += stored.eq(1)
        with m.If((accept & feeder.kept & (wanted != 0)) | pad):
            m.d.sync += wanted.eq(wanted - 1)

        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += [words.eq(self.command.payload.words), sequence.eq(self.command.payload.sequence)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += error.eq(self._error(words))
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [chain.clear.eq(1), feeder.start.eq(1), results.start.eq(1)]
                m.d.sync += [left.eq(words.taps), wanted.eq(words.outputs), stored.eq(0)]
                m.next = "ASK_TAPS"
                with m.If(error != Error.NONE):
                    m.next = "COMPLETE"
            with m.State("ASK_TAPS"):
                m.d.comb += self.read[0].request.valid.eq(1)
                with m.If(self.read[0].request.ready):
                    m.next = "ASK_SAMPLES"
            with m.State("ASK_SAMPLES"):
                m.d.comb += self.read[0].request.valid.eq(1)
                m.d.comb += self.read[0].request.payload.address.eq(words.in_address)
                m.d.comb += self.read[0].request.payload.length.eq(words.samples * SAMPLE_BYTES)
                with m.If(self.read[0].request.ready):
                    m.next = "ASK_RESULTS"
                    with m.If(accumulate):
                        m.next = "ASK_SUMS"
            with m.State("ASK_SUMS"):
                m.d.comb += self.read[1].request.valid.eq(1)
                with m.If(self.read[1].request.ready):
                    m.next = "ASK_RESULTS"
            with m.State("ASK_RESULTS"):
                m.d.comb += self.write[0].request.valid.eq(1)
                with m.If(self.write[0].request.ready):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += take_tap.eq(samples.sample.valid)
                with m.If(take_tap):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.d.sync += left.eq(words.samples)
                        m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += accept.eq(samples.sample.valid & results.room & (~begins | partials.sample.valid))
                with m.If(accept):
                    m.d.sync += left.eq(left - 1)
                    with m.If(feeder.kept & (wanted == 0)):
                        m.d.sync += error.eq(Error.BAD_LENGTH)
                    with m.If(left == 1):
                        m.d.sync += left.eq(chain.latency)
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += feeder.flush.eq(results.room)
                with m.If(feeder.flush):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "LAST"
            with m.State("LAST"):  # the chain advances for the last time
                m.next = "PAD"
            with m.State("PAD"):
                m.d.comb += pad.eq((wanted != 0) & results.room & (~accumulate | partials.sample.valid))
                with m.If(pad):
                    m.d.sync += error.eq(Error.BAD_LENGTH)
                with m.If(wanted == 0):
                    m.next = "STORE"
            with m.State("STORE"), m.If(stored):
                m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += self.completion.valid.eq(1)
                with m.If(self.completion.ready):
                    m.next = "TAKE"
        return m

    def _requests(self, m: Module, words: Any, sequence: Signal) -> None:
        """Addresses and lengths of the transfers; on the first port the taps' unless the samples' are asked for."""
        transfers = (
            (self.read[0], words.taps_address, words.taps),
            (self.read[1], words.out_address, words.outputs),
            (self.write[0], words.out_address, words.outputs),
        )
        for port, address, count in transfers:
            transfer = port.request.payload
            m.d.comb += [transfer.address.eq(address), transfer.length.eq(count * SAMPLE_BYTES), transfer.sequence.eq(sequence)]

    def _error(self, words: Any) -> Any:
        """The lowest code of the errors that a command has, of those that it shows."""
        addresses = words.in_address | words.out_address | words.taps_address
        lengths = [
            (words.outputs == 0) | (words.outputs > words.samples) | (words.samples > MAX_SAMPLES),
            (words.length == 0) | (words.taps == 0) | (words.taps > self.config.multipliers),
        ]
        parameters = (words.decimation == 0) | (words.delay >= self.config.max_taps)
        result: Any = Mux(parameters, Error.BAD_PARAMETER, Error.NONE)
        result = Mux(addresses[: ceil_log2(BEAT_BYTES)].any(), Error.MISALIGNED, result)
        result = Mux(lengths[0] | lengths[1], Error.BAD_LENGTH, result)
        return Mux(words.opcode > max(FIROperation), Error.BAD_OPCODE, result)
