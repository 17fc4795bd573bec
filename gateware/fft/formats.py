"""The number formats of the FFT pipeline: which operators it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.block import BlockAdd, Factor, block_layout
from cosoc.gateware.arith.block_convert import BlockFromFloat, FloatFromBlock
from cosoc.gateware.arith.block_multiply import BlockEighth, BlockMultiply
from cosoc.gateware.arith.complex import Complex, ComplexAdd, ComplexEighth, ComplexMultiply
from cosoc.gateware.arith.scale import SHIFT_BITS, FloatScale
from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.delay import DelayLine
from cosoc.gateware.fft.twiddles import fixed_point, twiddles


class Format(ABC):
    """Layouts and operators of a number format; all operators have a member `en`, and `o` for the result.

    Attributes:
        sample: layout of a number.
        factor: layout of a twiddle factor.
        load_latency, add_latency, multiply_latency, store_latency: enabled cycles of the operators.
    """

    sample: Any
    factor: Any
    load_latency: int
    add_latency: int
    multiply_latency: int
    store_latency: int

    @abstractmethod
    def loader(self) -> Any:
        """From complex float32 `i`."""

    @abstractmethod
    def adder(self) -> Any:
        """`a + b`, or with `subtract`, `turn` and `keep` what `ComplexAdd` says."""

    @abstractmethod
    def multiplier(self) -> Any:
        """`a` times the factor `b`."""

    @abstractmethod
    def eighth(self) -> Any:
        """`a` times the factor exp(-2 pi i / 8) to the `power` 0 .. 3, of the multiplier's latency."""

    @abstractmethod
    def storer(self) -> Any:
        """`i / 2**shift` in complex float32."""

    @abstractmethod
    def factor_words(self, half: int) -> list[list[int]]:
        """The quarters of `twiddles(half)` as words of layout `factor`."""


def number_format(config: FFTConfig) -> Format:
    """The format of a configuration."""
    if config.number_format == NumberFormat.FLOAT32:
        return _Float32()
    return _Block(config.mantissa_bits)


class _Float32(Format):
    sample = Complex
    factor = Complex
    load_latency = 2
    add_latency = ComplexAdd.latency
    multiply_latency = ComplexMultiply.latency
    store_latency = FloatScale.latency

    def loader(self) -> Any:
        return DelayLine(width=Complex.size, depth=self.load_latency)

    def adder(self) -> Any:
        return ComplexAdd()

    def multiplier(self) -> Any:
        return ComplexMultiply()

    def eighth(self) -> Any:
        return ComplexEighth()

    def storer(self) -> Any:
        return _ComplexScale()

    def factor_words(self, half: int) -> list[list[int]]:
        words: list[list[int]] = twiddles(half).astype(np.complex64).view("<u8").tolist()
        return words


class _Block(Format):
    factor = Factor
    load_latency = BlockFromFloat.latency
    add_latency = BlockAdd.latency
    multiply_latency = BlockMultiply.latency
    store_latency = FloatFromBlock.latency

    def __init__(self, mantissa_bits: int) -> None:
        self._bits = mantissa_bits
        self.sample = block_layout(mantissa_bits)

    def loader(self) -> Any:
        return BlockFromFloat(self._bits)

    def adder(self) -> Any:
        return BlockAdd(self._bits)

    def multiplier(self) -> Any:
        return BlockMultiply(self._bits)

    def eighth(self) -> Any:
        return BlockEighth(self._bits)

    def storer(self) -> Any:
        return FloatFromBlock(self._bits)

    def factor_words(self, half: int) -> list[list[int]]:
        mask = (1 << Factor.size // 2) - 1
        re, im = (part.tolist() for part in fixed_point(twiddles(half)))
        return [
            [x & mask | (y & mask) << Factor.size // 2 for x, y in zip(*parts, strict=True)] for parts in zip(re, im, strict=True)
        ]


class _ComplexScale(wiring.Component):
    """Both parts of a complex float32 number divided by a power of two."""

    def __init__(self) -> None:
        super().__init__({"en": In(1), "i": In(Complex), "shift": In(SHIFT_BITS), "o": Out(Complex)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for part in ("re", "im"):
            m.submodules[part] = scale = FloatScale()
            m.d.comb += [
                scale.en.eq(self.en),
                scale.a.eq(self.i[part]),
                scale.shift.eq(self.shift),
                self.o[part].eq(scale.o),
            ]
        return m
