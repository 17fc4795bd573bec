"""How frames lie in the banks of the reorder buffer.

A frame takes rows of R banks, R = max(2, P): its result number p, in the order of the pipeline, lies in row p // R of the frame.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Value
from amaranth.lib import data
from amaranth.utils import ceil_log2

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.frame import Frame
from cosoc.gateware.fft.jobs import word_samples
from cosoc.gateware.fft.operands import LOG2_BITS


def bank_of(position: Any, frame_log2: int, banks: int) -> Value:
    """The bank of result number `position` of a frame: its low bits, each exclusive-or one of the highest.

    So the results of a beat lie in different banks, and so do those of a group: neighbours in the pipeline's order differ in the
    low bits, neighbours in natural order in the high ones. Result k and its mirror N - k lie in different banks too.
    """
    bits = ceil_log2(banks)
    return Cat(position[i] ^ position[frame_log2 - bits + i] for i in range(bits))


def row_bits(config: FFTConfig) -> int:
    """Bits of a row's number: the banks have room for two of the longest frames."""
    return config.max_log2 + 1 - int(ceil_log2(word_samples(config.samples)))


def stored_frame(config: FFTConfig) -> data.StructLayout:
    """A frame in the banks, from row `base` on."""
    return data.StructLayout({"base": row_bits(config), "frame": Frame, "frame_log2": LOG2_BITS})
