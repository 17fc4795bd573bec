"""What the units of the FFT core tell each other about commands and frames."""

from __future__ import annotations

from enum import IntEnum

from amaranth.lib import data

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.frame import CONTEXT_BITS, Frame
from cosoc.gateware.fft.operands import LOG2_BITS
from cosoc.gateware.fft.walk import FRAME_COUNT_BITS, Walk


class Finish(IntEnum):
    """What happens to a transform behind the reorder buffer."""

    NONE = 0
    REAL = 1
    MULTIPLY = 2
    MULTIPLY_CONJUGATE = 3


Context = data.StructLayout({"finish": 2, "transpose": 1, "flush": 1})
"""What travels with a frame: its `Finish`, whether it is stored transposed, and whether its last word is stored when not full."""

assert Context.size <= CONTEXT_BITS

FeedJob = data.StructLayout({"frame": Frame, "frame_log2": LOG2_BITS, "frames": FRAME_COUNT_BITS, "packed": 1})
"""The `frames` frames of 2**frame_log2 samples of one command; only the last one of `packed` ones, which are stored without gaps,
flushes."""

WriteJob = data.StructLayout({"error": 8, "walk": Walk})
"""The output of one command, or the reason why it has none."""


def word_samples(samples: int) -> int:
    """Samples that units around the pipeline move per cycle: a beat of memory at least."""
    return max(2, samples)


def word(samples: int) -> data.StructLayout:
    """A word of results; the upper half of a `half` one is not stored."""
    return data.StructLayout({"samples": data.ArrayLayout(Complex, word_samples(samples)), "half": 1})


def group(samples: int) -> data.StructLayout:
    """Results that leave the reorder buffer together, of the frame `context`; of a real signal, result k and its mirror N - k."""
    return data.StructLayout(
        {
            "samples": data.ArrayLayout(Complex, word_samples(samples)),
            "context": Context,
            "log2_length": LOG2_BITS,
            "first": 1,
            "last": 1,
        }
    )
