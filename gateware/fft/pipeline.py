"""All stages of the FFT in a row, and the scaling of the inverse transform."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.float32 import BIAS, FRACTION_BITS
from cosoc.gateware.arith.multiply import FloatMultiply
from cosoc.gateware.fft.delay import delayed
from cosoc.gateware.fft.stage import Stage


class FFTPipeline(wiring.Component):
    """Transforms frames of `2**log2_length` samples, one sample per enabled cycle, into bit-reversed order.

    ::

        i --> swap --+----------+----------+-- ... --+
                     v          v          v         v
                  stage h=N/2 -> h=N/4 -> ...     -> h=1 --> * 1/N --> swap --> o

    A transform shorter than the longest enters at a later stage. The inverse swaps real and imaginary parts at both ends
    and multiplies by 1/N; the forward transform multiplies by 1, which changes nothing.

    Latency from the first sample of a frame to its first result: `latency(log2_length)` enabled cycles.

    Args:
        max_log2: log2 of the longest transform.

    Members:
        en: the pipeline advances in cycles in which it is 1.
        log2_length, inverse: the transform; they change only when no frame is in the pipeline.
        i, i_valid: a sample; those of a frame come in consecutive enabled cycles.
        o, o_valid: a result, likewise.
    """

    def __init__(self, *, max_log2: int) -> None:
        self.max_log2 = max_log2
        super().__init__(
            {
                "en": In(1),
                "log2_length": In(range(max_log2 + 1)),
                "inverse": In(1),
                "i": In(Complex),
                "i_valid": In(1),
                "o": Out(Complex),
                "o_valid": Out(1),
            }
        )

    @staticmethod
    def latency(log2_length: int) -> int:
        """Enabled cycles from the first sample of a frame to its first result."""
        return 1 + sum(Stage.latency(1 << k) for k in range(log2_length)) + FloatMultiply.latency

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        entry, entry_valid = Signal(Complex, reset_less=True), Signal()
        with m.If(self.en):
            m.d.sync += [entry.eq(self._swapped(self.i)), entry_valid.eq(self.i_valid)]

        sample: Any = entry
        valid: Any = 0
        for log2 in range(self.max_log2, 0, -1):
            m.submodules[f"stage{log2}"] = stage = Stage(half=1 << log2 - 1)
            enters = Signal(name=f"enters{log2}")
            m.d.comb += [
                enters.eq(self.log2_length == log2),
                stage.en.eq(self.en),
                stage.i.eq(Mux(enters, entry, sample)),
                stage.i_valid.eq(Mux(enters, entry_valid, valid)),
            ]
            sample, valid = stage.o, stage.o_valid

        m.d.comb += [
            self.o.eq(self._swapped(self._scaled(m, sample))),
            self.o_valid.eq(delayed(m, valid, FloatMultiply.latency, self.en)),
        ]
        return m

    def _swapped(self, sample: Any) -> Any:
        """Real and imaginary part exchanged for the inverse."""
        return Complex(Mux(self.inverse, sample.as_value().rotate_left(Complex.size // 2), sample))

    def _scaled(self, m: Module, sample: Any) -> Any:
        factor = Signal(32)
        exponent = (BIAS - Mux(self.inverse, self.log2_length, 0))[:8]
        m.d.comb += factor.eq(Cat(Const(0, FRACTION_BITS), exponent))
        scaled = Signal(Complex)
        for part in ("re", "im"):
            m.submodules[f"scale_{part}"] = scale = FloatMultiply()
            m.d.comb += [scale.en.eq(self.en), scale.a.eq(sample[part]), scale.b.eq(factor), scaled[part].eq(scale.o)]
        return scaled
