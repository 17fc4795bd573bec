"""One stage of the FFT pipeline: decimation-in-frequency butterflies of half length h."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.add import FloatAdd
from cosoc.gateware.arith.complex import Complex, ComplexMultiply
from cosoc.gateware.fft.delay import DelayLine, delayed
from cosoc.gateware.fft.twiddles import bits, twiddles

ROM_LATENCY = 2
"""Enabled cycles from an address to the factor: those of a block RAM with its output register."""


class Stage(wiring.Component):
    """Takes groups of 2h samples and gives, for each, the h sums and then the h products `(u - v) * w`.

    ::

        i --+--> history: h --u--> add -------> sums: max(0, M - h) --------+
            |                  \\/                                           +--> o
            +-------------v--> subtract --> * w --> products: max(0, h - M) +

    A single-path delay feedback stage would send the differences back through the memory that delays the first half, which
    cannot work when h is below the adder's latency. Here no loop contains an operator: in the second half of a group every
    pair (u, v) enters the butterfly, and the products are delayed until the sums are out. The cost is a second memory; the gain
    is that any operator latency works, and that groups may be any number of cycles apart, or follow each other without a gap.

    Latency: `h + A + max(0, M - h)` cycles with `en`, where A and M are the latencies of the adder and the complex multiplier.

    Args:
        half: h, a power of two.

    Members:
        en: the stage advances in cycles in which it is 1.
        i, i_valid: a sample; the 2h samples of a group come in consecutive enabled cycles.
        o, o_valid: a result, likewise.
    """

    def __init__(self, *, half: int) -> None:
        self.half = half
        super().__init__(
            {"en": In(1), "i": In(Complex), "i_valid": In(1), "o": Out(Complex), "o_valid": Out(1)},
        )

    @staticmethod
    def latency(half: int) -> int:
        """Enabled cycles from the first sample of a group to its first result."""
        return half + FloatAdd.latency + max(0, ComplexMultiply.latency - half)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        position = Signal(range(2 * self.half))
        with m.If(self.en & self.i_valid):
            m.d.sync += position.eq(position + 1)
        pair = Signal()  # i is the second number of a pair
        m.d.comb += pair.eq(self.i_valid & position[-1])

        sums, products = self._butterfly(m, pair)
        early = max(0, ComplexMultiply.latency - self.half)
        sums = self._delay(m, "sums", sums, early)
        products = self._delay(m, "products", products, max(0, self.half - ComplexMultiply.latency))

        # h sums, then h products, which arrive just when the sums are over.
        sum_valid = delayed(m, pair, FloatAdd.latency + early, self.en)
        count = Signal(range(2 * self.half))
        m.d.comb += [self.o_valid.eq(sum_valid | count[-1]), self.o.eq(Mux(count[-1], products, sums))]
        with m.If(self.en & self.o_valid):
            m.d.sync += count.eq(count + 1)
        return m

    def _butterfly(self, m: Module, pair: Signal) -> tuple[Any, Any]:
        """Sums A cycles after their pairs, and products another M cycles later."""
        first = Complex(self._delay(m, "history", self.i, self.half))
        sums, differences = Signal(Complex), Signal(Complex)
        for part in ("re", "im"):
            for name, out, subtract in (("sum", sums, 0), ("difference", differences, 1)):
                m.submodules[f"{name}_{part}"] = adder = FloatAdd()
                m.d.comb += [
                    adder.en.eq(self.en),
                    adder.a.eq(first[part]),
                    adder.b.eq(self.i[part]),
                    adder.subtract.eq(subtract),
                    out[part].eq(adder.o),
                ]
        m.submodules.rotate = rotate = ComplexMultiply()
        m.d.comb += [rotate.en.eq(self.en), rotate.a.eq(differences), rotate.b.eq(self._twiddle(m, pair))]
        return sums, rotate.o

    def _twiddle(self, m: Module, pair: Signal) -> Any:
        """The factor that belongs to the difference which leaves the subtracter."""
        words = bits(twiddles(self.half))
        if len(words) == 1:
            return Const(words[0], Complex.size)
        m.submodules.rom = rom = Memory(shape=Complex.size, depth=self.half, init=words)
        port = rom.read_port()
        factor = Signal(Complex.size, reset_less=True)
        used = delayed(m, pair, FloatAdd.latency - ROM_LATENCY, self.en)
        m.d.comb += port.en.eq(self.en)
        with m.If(self.en):
            m.d.sync += [factor.eq(port.data), port.addr.eq(port.addr + used)]
        return factor

    def _delay(self, m: Module, name: str, samples: Any, depth: int) -> Any:
        m.submodules[name] = line = DelayLine(width=Complex.size, depth=depth)
        m.d.comb += [line.en.eq(self.en), line.i.eq(samples)]
        return line.o
