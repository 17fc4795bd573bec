"""How long a command takes, from the structure of the core."""

from __future__ import annotations

from collections.abc import Mapping

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.finish import Finisher
from cosoc.gateware.fft.golden import check
from cosoc.gateware.fft.pipeline import FFTPipeline
from cosoc.gateware.layout.page import Error

COMMAND_CYCLES = 37
"""Checking a command, asking for its input, all registers and queues around the pipeline, and the completion."""

OPTION_CYCLES = 2
"""The queue behind the operators of the options."""

LONGEST_CYCLES = 10
"""When the reorder buffer has room for two frames only, every further one waits for the end of the first of them, so much longer
than it takes to write one when both are as fast."""

REFUSAL_CYCLES = 8
"""From taking a command that is not possible to its completion."""


def command_cycles(fields: Mapping[str, int], config: FFTConfig) -> int:
    """Clock cycles from the core's taking a command in one piece to its completion, under ideal memory.

    Ideal memory delivers and accepts a beat of each port in every cycle, from the cycle after it was asked on. All samples enter at
    the rate of the pipeline or of the ports; the last frame leaves the pipeline one latency later, and the reorder buffer at the
    rate of its banks or of the ports. A command that follows another one adds only its own samples. With two ports up to
    twice the beats of a chunk more pass before both are busy, and until both are done.
    """
    if check(fields, config) != Error.NONE:
        return REFUSAL_CYCLES
    frame_log2 = fields["log2_length"] + fields["interleave_log2"]
    rate = min(config.samples, 2 * config.memory_ports)
    entering = (fields["frames"] << frame_log2) // rate
    leaving = (1 << frame_log2) // min(max(2, config.samples), 2 * config.memory_ports)
    options = Finisher(config).latency + OPTION_CYCLES if config.real_input or config.multiply else 0
    full = config.samples > 1 and frame_log2 == config.max_log2
    waiting = LONGEST_CYCLES * max(0, fields["frames"] - 2) if full else 0
    return COMMAND_CYCLES + waiting + entering + FFTPipeline.latency(config, frame_log2) + leaving + options
