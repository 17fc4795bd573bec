"""The number formats of the FFT in NumPy: what the pipeline's operators compute, bit for bit.

Numbers are tuples of arrays. A difference that is turned is `-i (u - v)`, computed as `(u.im - v.im, v.re - u.re)`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.arith import block_golden
from cosoc.gateware.arith.golden import Complexes, Floats, canonical, to_complex
from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.twiddles import fixed_point

Parts = tuple[Any, ...]
"""Arrays of equal shape that together are numbers of a format."""


class Arithmetic(Protocol):
    """Operations of a number format."""

    def load(self, x: Complexes) -> Parts: ...

    def store(self, x: Parts, shift: int) -> Complexes:
        """Divided by `2**shift`; the only rounding of the division is that of results too small for float32."""

    def add(self, u: Parts, v: Parts) -> Parts: ...

    def subtract(self, u: Parts, v: Parts) -> Parts: ...

    def subtract_turned(self, u: Parts, v: Parts) -> Parts: ...

    def multiply(self, x: Parts, factors: NDArray[np.complex128]) -> Parts: ...


def golden_arithmetic(config: FFTConfig) -> Arithmetic:
    """The operations of a configuration."""
    if config.number_format == NumberFormat.FLOAT32:
        return _Float32()
    return _Block(config.mantissa_bits)


class _Float32:
    """IEEE single operations, each rounded to nearest even, on pairs (re, im).

    A NaN stays one through all later operations, so that making results canonical once equals doing so after each operation.
    """

    def load(self, x: Complexes) -> Parts:
        return x.real, x.imag

    def store(self, x: Parts, shift: int) -> Complexes:
        scale = np.float32(2.0**-shift)
        return to_complex(canonical(x[0] * scale), canonical(x[1] * scale))

    def add(self, u: Parts, v: Parts) -> Parts:
        return u[0] + v[0], u[1] + v[1]

    def subtract(self, u: Parts, v: Parts) -> Parts:
        return u[0] - v[0], u[1] - v[1]

    def subtract_turned(self, u: Parts, v: Parts) -> Parts:
        return u[1] - v[1], v[0] - u[0]

    def multiply(self, x: Parts, factors: NDArray[np.complex128]) -> Parts:
        """The factors rounded to float32; four products and two sums."""
        w_re, w_im = factors.real.astype(np.float32), factors.imag.astype(np.float32)
        re: Floats = x[0] * w_re - x[1] * w_im
        im: Floats = x[0] * w_im + x[1] * w_re
        return re, im


class _Block:
    """Blocks of the two parts of a number (`block_golden`), and factors of 18 bits."""

    def __init__(self, mantissa_bits: int) -> None:
        self._bits = mantissa_bits

    def load(self, x: Complexes) -> Parts:
        return block_golden.from_complex(x, self._bits)

    def store(self, x: Parts, shift: int) -> Complexes:
        return block_golden.to_complex(block_golden.Block(*x), self._bits, shift)

    def add(self, u: Parts, v: Parts) -> Parts:
        return block_golden.add(block_golden.Block(*u), block_golden.Block(*v), self._bits)

    def subtract(self, u: Parts, v: Parts) -> Parts:
        return block_golden.add(block_golden.Block(*u), block_golden.negative(block_golden.Block(*v)), self._bits)

    def subtract_turned(self, u: Parts, v: Parts) -> Parts:
        a, b = block_golden.swapped(block_golden.Block(*u)), block_golden.swapped(block_golden.Block(*v))
        negate = block_golden.Block(b.re * -1, b.im, b.exponent, b.invalid)
        return block_golden.add(a._replace(im=-a.im), negate, self._bits)

    def multiply(self, x: Parts, factors: NDArray[np.complex128]) -> Parts:
        return block_golden.multiply(block_golden.Block(*x), fixed_point(factors), self._bits)
