"""All stages of the FFT in a row."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig
from cosoc.gateware.fft.delay import ControlLine
from cosoc.gateware.fft.formats import number_format
from cosoc.gateware.fft.frame import Control, Frame
from cosoc.gateware.fft.rotator import Rotator
from cosoc.gateware.fft.stage import Stage


class FFTPipeline(wiring.Component):
    """Transforms frames, P samples per enabled cycle, into the order that `output_order` tells.

    ::

        i --> swap --> load --+-----------+-------------------- ... --+
                              v           v                           v
                         stage h=N/2 -> stage h=N/4 -> rotator -> ... stage h=1 --> store --> swap --> o

    Radix 2^2: a rotator stands behind every even stage but the last one (stage s has h = 2^s). The inverse swaps real and
    imaginary parts at both ends. `load` and `store` convert from and to float32; `store` also divides by N.

    Frames of any lengths, directions and scaling follow each other without a gap. A frame enters at its own first stage when
    everything before it is already beyond, and otherwise where the frame before it entered: there it passes the stages that it does
    not need, so that frames never overtake.

    Latency from the first samples of a frame to its first results: `latency` enabled cycles, or more for a frame that enters early.

    Args:
        config: the longest frame, P and the number format.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        i, i_valid: P consecutive samples of a frame; those of a frame come in consecutive enabled cycles.
        i_first, i_frame: the samples are the first of this frame.
        o, o_valid, o_first, o_frame: results, likewise.
    """

    def __init__(self, config: FFTConfig) -> None:
        self.config = config
        self.format = number_format(config)
        beat = data.ArrayLayout(Complex, config.samples)
        super().__init__(
            {
                "en": In(1),
                "i": In(beat),
                "i_valid": In(1),
                "i_first": In(1),
                "i_frame": In(Frame),
                "o": Out(beat),
                "o_valid": Out(1),
                "o_first": Out(1),
                "o_frame": Out(Frame),
            }
        )

    @staticmethod
    def latency(config: FFTConfig, top: int) -> int:
        """Enabled cycles from the first samples of a frame of 2**top samples to its first results."""
        number = number_format(config)
        return 2 + number.load_latency + _stages_latency(config, top) + number.store_latency

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sample, control, level = self._load(m)

        beat: Any = sample
        before: Any = None
        for stage in reversed(range(self.config.max_log2)):
            beat, before = self._stage(m, stage, level, sample, control, beat, before)
        self._store(m, beat, before)
        return m

    def _load(self, m: Module) -> tuple[Any, Any, Signal]:
        """Samples in the pipeline's format, their control, and the stage that they enter."""
        samples = self.config.samples
        swapped = Signal(data.ArrayLayout(Complex, samples), reset_less=True)
        inverse, frame = Signal(), self.i_frame
        accepted = Signal(Control)
        m.d.comb += inverse.eq(Mux(self.i_first, frame.inverse, accepted.inverse))
        with m.If(self.en):
            m.d.sync += [
                *(swapped[lane].eq(_swapped(self.i[lane], inverse)) for lane in range(samples)),
                accepted.valid.eq(self.i_valid),
                accepted.first.eq(self.i_valid & self.i_first),
            ]
            with m.If(self.i_valid & self.i_first):
                m.d.sync += [
                    accepted.top.eq(frame.log2_length + frame.interleave_log2),
                    *(accepted[name].eq(frame[name]) for name in ("interleave_log2", "inverse", "scaled", "context")),
                ]

        loaded = Signal(data.ArrayLayout(self.format.sample, samples))
        for lane in range(samples):
            m.submodules[f"load{lane}"] = loader = self.format.loader()
            m.d.comb += [loader.en.eq(self.en), loader.i.eq(swapped[lane]), loaded[lane].eq(loader.o)]
        # The stage is chosen one cycle before the control leaves, which leaves one cycle before the samples.
        m.submodules.wait = wait = ControlLine(depth=self.format.load_latency - 2)
        m.submodules.choose = choose = ControlLine(depth=1)
        m.d.comb += [wait.en.eq(self.en), wait.i.eq(accepted), choose.en.eq(self.en), choose.i.eq(wait.o)]
        return loaded, choose.o, self._choose_stage(m, wait.o, choose.o.valid)

    def _choose_stage(self, m: Module, control: Any, entered: Value) -> Signal:
        """The stage that samples enter. `remaining` cycles pass until the last one that entered leaves the last stage."""
        totals = [_stages_latency(self.config, max(stage + 1, MIN_LOG2)) for stage in range(self.config.max_log2)]
        to_end = Array(totals)
        level = Signal(range(self.config.max_log2), init=MIN_LOG2 - 1)
        remaining = Signal(range(max(totals) + 1))
        wanted = Signal.like(level)
        m.d.comb += wanted.eq(control.top - 1)
        with m.If(self.en):
            with m.If(control.first & (remaining <= to_end[wanted])):
                m.d.sync += level.eq(wanted)
            with m.If(entered):
                m.d.sync += remaining.eq(to_end[level] - 1)
            with m.Elif(remaining != 0):
                m.d.sync += remaining.eq(remaining - 1)
        return level

    def _stage(self, m: Module, number: int, level: Signal, sample: Any, control: Any, beat: Any, before: Any) -> tuple[Any, Any]:
        """A stage and its rotator behind `beat` and its control `before`; returns what comes out."""
        samples = self.config.samples
        m.submodules[f"stage{number}"] = stage = Stage(log2_half=number, samples=samples, number_format=self.format)
        enters, enters_later = Signal(name=f"enters{number}"), Signal(name=f"enters_later{number}", reset_less=True)
        m.d.comb += enters.eq(level == number)
        with m.If(self.en):
            m.d.sync += enters_later.eq(enters)
        if before is None:
            m.d.comb += [stage.i.eq(sample), stage.control_i.eq(Mux(enters, control, 0))]
        elif number < MIN_LOG2 - 1:
            m.d.comb += [stage.i.eq(beat), stage.control_i.eq(before)]
        else:
            m.d.comb += [stage.i.eq(Mux(enters_later, sample, beat)), stage.control_i.eq(Mux(enters, control, before))]
        m.d.comb += stage.en.eq(self.en)
        if not _has_rotator(number):
            return stage.o, stage.control_o

        first = number == self.config.max_log2 - 1
        m.submodules[f"rotator{number}"] = rotator = Rotator(
            log2_half=number, samples=samples, number_format=self.format, first=first
        )
        m.d.comb += [
            rotator.en.eq(self.en),
            rotator.i.eq(stage.o),
            rotator.control_i.eq(stage.control_o),
            rotator.control_early.eq(stage.control_early),
        ]
        return rotator.o, rotator.control_o

    def _store(self, m: Module, beat: Any, control: Any) -> None:
        latency = self.format.store_latency
        m.submodules.store_control = before = ControlLine(depth=latency + 1)
        m.submodules.output_control = output = ControlLine(depth=1)
        m.d.comb += [before.en.eq(self.en), before.i.eq(control), output.en.eq(self.en), output.i.eq(before.o)]
        shift = Signal(5, reset_less=True)
        with m.If(self.en):
            m.d.sync += shift.eq(Mux(control.scaled, control.top - control.interleave_log2, 0))
        for lane in range(self.config.samples):
            m.submodules[f"store{lane}"] = store = self.format.storer()
            m.d.comb += [store.en.eq(self.en), store.i.eq(beat[lane]), store.shift.eq(shift)]
            result = Signal(Complex, name=f"result{lane}", reset_less=True)
            with m.If(self.en):
                m.d.sync += result.eq(_swapped(store.o, before.o.inverse))
            m.d.comb += self.o[lane].eq(result)
        m.d.comb += [
            self.o_valid.eq(output.o.valid),
            self.o_first.eq(output.o.first),
            self.o_frame.log2_length.eq(output.o.top - output.o.interleave_log2),
            *(self.o_frame[name].eq(output.o[name]) for name in ("interleave_log2", "inverse", "scaled", "context")),
        ]


def _has_rotator(stage: int) -> bool:
    return stage >= 2 and stage % 2 == 0


def _stages_latency(config: FFTConfig, top: int) -> int:
    """Enabled cycles from the entry of a frame of 2**top samples into its first stage to the end of the last one."""
    number = number_format(config)
    stages = sum(Stage.latency(stage, config.samples, number) for stage in range(top))
    return stages + sum(number.multiply_latency for stage in range(top) if _has_rotator(stage))


def _swapped(sample: Any, swap: Any) -> Any:
    """Real and imaginary part exchanged if `swap`."""
    return Complex(Mux(swap, Value.cast(sample).rotate_left(Complex.size // 2), Value.cast(sample)))
