"""From groups of results to words of memory: what is done to a transform before it is stored."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex, ComplexAdd, ComplexMultiply
from cosoc.gateware.arith.float32 import Pipeline
from cosoc.gateware.arith.scale import FloatScale
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig
from cosoc.gateware.fft.golden import real_factors
from cosoc.gateware.fft.jobs import Context, Finish, group, word, word_samples

QUEUED_WORDS = 64
"""Words between the entry and whoever takes them: more than the stages of the way."""

_ROM_LATENCY = 2


class Finisher(wiring.Component):
    """Passes results on, or multiplies them by those of a second operand, or splits the transform of a real signal.

    ::

        groups --+-----------------------------------> * b or w --+--> + e --> / 2 --> pack --> words
                 \\--> d = z - conj(mirror), e likewise --/        \\----------------------/

    A group per cycle; of a real signal a bin per cycle, R of which make a word. Without an option groups are words.

    Args:
        config: of the accelerator.

    Members:
        groups: results in the order of memory; of a real signal, bin k and its mirror.
        b: the second operand, in the same order.
        words: what is stored.
    """

    def __init__(self, config: FFTConfig) -> None:
        self._config = config
        self._samples = word_samples(config.samples)
        self._word = word(config.samples)
        super().__init__(
            {
                "groups": In(stream.Signature(group(config.samples))),
                "b": In(stream.Signature(data.ArrayLayout(Complex, self._samples))),
                "words": Out(stream.Signature(self._word)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if not (self._config.real_input or self._config.multiply):
            m.d.comb += [
                self.words.payload.samples.eq(self.groups.payload.samples),
                self.words.valid.eq(self.groups.valid),
                self.groups.ready.eq(self.words.ready),
            ]
            return m
        m.submodules.queue = queue = SyncFIFOBuffered(width=self._word.size, depth=QUEUED_WORDS)
        unused = Signal()  # a group that makes no word of its own leaves
        takes = self._take(m, queue, unused)
        pipeline = Pipeline(m, Const(1))
        samples = [sample.as_value() for sample in self.groups.payload.samples]
        factors = [sample.as_value() for sample in self.b.payload]
        kind = self.groups.payload.context.finish
        sums: Any = None
        if self._config.real_input:
            samples, factors, sums = self._split(m, pipeline, takes, samples, factors)
            kind = pipeline.delay(kind, ComplexAdd.latency, "kind")
        results = self._multiply(m, pipeline, samples, factors, kind)
        if self._config.real_input:
            results = self._join(m, pipeline, results, sums, kind)
        self._pack(m, pipeline, takes, results, queue, unused)
        return m

    @property
    def latency(self) -> int:
        """Cycles from a group to its word."""
        real = ComplexAdd.latency * 2 + FloatScale.latency + 1 if self._config.real_input else 0
        return ComplexMultiply.latency + 1 + real

    def _take(self, m: Module, queue: Any, unused: Signal) -> Signal:
        """Whether a group enters: there is room for its word, and its second operand is there."""
        room = Signal(range(QUEUED_WORDS + 1), init=QUEUED_WORDS)
        takes = Signal()
        finish = self.groups.payload.context.finish
        multiplies = (finish == Finish.MULTIPLY) | (finish == Finish.MULTIPLY_CONJUGATE)
        m.d.comb += [
            takes.eq(self.groups.valid & (room != 0) & (~multiplies | self.b.valid)),
            self.groups.ready.eq(takes),
            self.b.ready.eq(takes & multiplies),
            self.words.payload.eq(queue.r_data),
            self.words.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.words.ready),
        ]
        m.d.sync += room.eq(room - takes + (queue.r_rdy & queue.r_en) + unused)
        return takes

    def _split(
        self, m: Module, pipeline: Pipeline, takes: Signal, samples: list[Any], factors: list[Any]
    ) -> tuple[list[Any], list[Any], Any]:
        """Operands of the multipliers, and the sums e; the mirror's conjugate is its imaginary part with the other sign."""
        sums = []
        for name, subtract in (("even", 0), ("odd", 1)):
            m.submodules[name] = add = ComplexAdd()
            m.d.comb += [
                add.en.eq(1),
                add.a.eq(samples[0]),
                add.b.eq(samples[1] ^ 1 << Complex.size - 1),
                add.subtract.eq(subtract),
            ]
            sums.append(add.o.as_value())
        real = pipeline.delay(self.groups.payload.context.finish == Finish.REAL, ComplexAdd.latency, "real")
        w = pipeline.delay(self._factor(m, takes), ComplexAdd.latency - _ROM_LATENCY - 1, "w")
        samples = [pipeline.delay(sample, ComplexAdd.latency, f"sample{lane}") for lane, sample in enumerate(samples)]
        factors = [pipeline.delay(factor, ComplexAdd.latency, f"factor{lane}") for lane, factor in enumerate(factors)]
        samples[0], factors[0] = Mux(real, sums[1], samples[0]), Mux(real, w, factors[0])
        return samples, factors, sums[0]

    def _factor(self, m: Module, takes: Signal) -> Value:
        """The factor of the bin, `_ROM_LATENCY + 1` cycles after it entered. Shorter transforms skip entries of the table."""
        max_log2 = self._config.max_log2
        table = real_factors(1 << max_log2)[:-1]
        m.submodules.factors = memory = Memory(shape=Complex.size, depth=1 << max_log2, init=[int(x) for x in table.view("<u8")])
        port = memory.read_port()
        step, address, next_address = Signal(max_log2 + 1), Signal(max_log2 + 1), Signal(max_log2 + 1)
        with m.Switch(self.groups.payload.log2_length):
            for log2 in range(MIN_LOG2, max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += step.eq(1 << max_log2 - log2)
        with m.If(takes):
            m.d.sync += [
                address.eq(Mux(self.groups.payload.first, 0, next_address)),
                next_address.eq(Mux(self.groups.payload.first, 0, next_address) + step),
            ]
        # Bin N has the factor of bin 0 with the other sign: i for -i.
        last, word_ = Signal(2), Signal(Complex.size, reset_less=True)
        m.d.comb += port.addr.eq(address[:-1])
        m.d.sync += [last.eq(Cat(address[-1], last)), word_.eq(port.data ^ last[0] << Complex.size - 1)]
        return word_

    def _multiply(self, m: Module, pipeline: Pipeline, samples: list[Any], factors: list[Any], kind: Any) -> list[Any]:
        """Products, or the samples, a cycle after the multipliers."""
        late = pipeline.delay(kind, ComplexMultiply.latency, "kind_of_product")
        results = []
        for lane, (sample, factor) in enumerate(zip(samples, factors, strict=True)):
            passed = pipeline.delay(sample, ComplexMultiply.latency, f"passed{lane}")
            if lane > 0 and not self._config.multiply:
                results.append(pipeline.delay(passed, 1, f"result{lane}"))
                continue
            m.submodules[f"multiply{lane}"] = multiply = ComplexMultiply()
            m.d.comb += [
                multiply.en.eq(1),
                multiply.a.eq(sample),
                multiply.b.eq(factor),
                multiply.conjugate.eq(kind == Finish.MULTIPLY_CONJUGATE),
            ]
            results.append(pipeline.delay(Mux(late == Finish.NONE, passed, multiply.o.as_value()), 1, f"result{lane}"))
        return results

    def _join(self, m: Module, pipeline: Pipeline, results: list[Any], even: Any, kind: Any) -> list[Any]:
        """Bins of a real signal in the first lane: half of e and the product together."""
        before, after = ComplexMultiply.latency + 1, ComplexAdd.latency + FloatScale.latency
        m.submodules.join = add = ComplexAdd()
        m.d.comb += [add.en.eq(1), add.a.eq(pipeline.delay(even, before, "even_late")), add.b.eq(results[0])]
        halves = Signal(Complex)
        for part in ("re", "im"):
            m.submodules[f"half_{part}"] = scale = FloatScale()
            m.d.comb += [scale.en.eq(1), scale.a.eq(add.o[part]), scale.shift.eq(1), halves[part].eq(scale.o)]
        late = [pipeline.delay(result, after, f"late{lane}") for lane, result in enumerate(results)]
        real = pipeline.delay(kind == Finish.REAL, before + after, "real_late")
        late[0] = Mux(real, halves.as_value(), late[0])
        return [pipeline.delay(result, 1, f"joined{lane}") for lane, result in enumerate(late)]

    def _pack(self, m: Module, pipeline: Pipeline, takes: Signal, results: list[Any], queue: Any, unused: Signal) -> None:
        """Groups are words; of a real signal bins gather until a word is full or must go."""
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(takes, valid))
        written = data.View(self._word, queue.w_data)
        m.d.comb += queue.w_en.eq(valid[-1])
        if not self._config.real_input:
            m.d.comb += written.samples.eq(Cat(results))
            return
        group_ = self.groups.payload
        context = data.View(Context, pipeline.delay(group_.context, self.latency, "context"))
        flushes = pipeline.delay(group_.last & group_.context.flush, self.latency, "flushes")
        slot = Signal(range(self._samples))
        gathered = Signal(data.ArrayLayout(Complex.size, self._samples), reset_less=True)
        real = context.finish == Finish.REAL
        ends = (slot == self._samples - 1) | flushes
        for place, result in enumerate(results):
            m.d.comb += written.samples[place].eq(Mux(real, Mux(slot == place, results[0], gathered[place]), result))
        m.d.comb += [written.half.eq(real & (slot < self._samples // 2)), unused.eq(valid[-1] & real & ~ends)]
        with m.If(valid[-1] & real):
            m.d.comb += queue.w_en.eq(ends)
            m.d.sync += [gathered[slot].eq(results[0]), slot.eq(Mux(ends, 0, slot + 1))]
