"""How long a command takes, from the structure of the core."""

from __future__ import annotations

from collections.abc import Mapping

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.golden import check
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.layout.page import Error

COMMAND_CYCLES = 11
"""Checking a command and asking for its input, the registers in front of the pipeline and behind it, and the completion."""

REFUSAL_CYCLES = 7
"""From taking a command that is not possible to its completion."""


def command_cycles(fields: Mapping[str, int], config: FFTConfig) -> int:
    """Clock cycles from the core's taking a command to its completion, under ideal memory.

    Ideal memory delivers and accepts a beat in every cycle, from the cycle after it was asked on. All samples enter one per
    cycle; the last frame leaves the pipeline one latency later, and the reorder buffer in half as many cycles as it has samples.
    A command that follows one of the same length and direction adds only its own samples.
    """
    if check(fields, config) != Error.NONE:
        return REFUSAL_CYCLES
    log2_length = fields["log2_length"]
    samples = fields["frames"] << log2_length
    return COMMAND_CYCLES + samples + FFTPipeline.latency(config, log2_length) + (1 << log2_length - 1)
