"""Cycles of a command: an analytic model of the core in front of an ideal memory.

The memory delivers and takes one beat per port and cycle, the first one in the cycle after its request. Left out, and to be
added by who knows the bus: latency of memory (once for the first load and once for the store of a command on its own; loads of
queued commands are asked for ahead), the gaps between bursts and between transfers of single pixels, ports that share one
bandwidth, and the fetch and the completion of the command in its ring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cosoc.gateware.conv2d.array import ARRAY_LATENCY
from cosoc.gateware.conv2d.config import Conv2DConfig, Conv2DFlag
from cosoc.gateware.conv2d.golden import kernel_steps
from cosoc.gateware.conv2d.output import OUTPUT_LATENCY
from cosoc.gateware.conv2d.prepare import PREPARE_CYCLES
from cosoc.gateware.conv2d.steps import GROUPS

START_CYCLES = 3
"""From a command's jobs being offered to the claim of the first bank: queue and request."""

COMMAND_GAP = 2
"""Cycles without a step between two queued commands."""

CLAIM_CYCLES = 1
"""Cycles in which a loader takes its next bank."""

STORE_CYCLES = 3
"""Around the beats of a store: claim, the buffer's latency, completion."""


@dataclass(frozen=True)
class Phases:
    """Cycles for which a command keeps each unit busy.

    Attributes:
        load: activations.
        weights: weights and channel parameters of one block.
        compute: steps of one block.
        store: outputs.
        blocks: blocks of output channels.
    """

    load: int
    weights: int
    compute: int
    store: int
    blocks: int


def phases(fields: Mapping[str, int], config: Conv2DConfig) -> Phases:
    """The phases of a valid command."""
    partial = bool(fields["flags"] & Conv2DFlag.PARTIAL)
    steps = kernel_steps(fields)
    pixels = fields["out_rows"] * fields["out_columns"]
    channel_beats = 0 if partial else config.output_lanes // 2
    return Phases(
        load=fields["in_rows"] * fields["in_columns"] * fields["in_words"] + CLAIM_CYCLES,
        weights=steps * config.output_lanes + channel_beats + CLAIM_CYCLES,
        compute=pixels * max(steps, GROUPS),
        store=0 if partial else pixels * fields["out_words"],
        blocks=fields["out_blocks"],
    )


def command_cycles(fields: Mapping[str, int], config: Conv2DConfig) -> int:
    """Cycles of a valid command on its own, from the cycle in which the core takes it to its completion."""
    p = phases(fields, config)
    # Weights wait for the block before the last one to leave its bank.
    release = p.compute + ARRAY_LATENCY + OUTPUT_LATENCY
    last_block = max(
        max(p.load, p.weights) + (p.blocks - 1) * p.compute,  # the array never waits
        p.blocks * p.weights,  # the loader of weights never waits
        max(p.load, p.weights) + (release + p.weights) * ((p.blocks - 1) // 2),  # it waits for every bank
        p.load + release + (p.blocks - 2) * p.weights if p.blocks > 2 else 0,  # it waits once, as the activations are late
    )
    latency = PREPARE_CYCLES + START_CYCLES + ARRAY_LATENCY + OUTPUT_LATENCY + STORE_CYCLES
    return latency + last_block + p.compute + p.store


def queued_cycles(fields: Mapping[str, int], config: Conv2DConfig) -> int:
    """Cycles that a command adds to a queue of commands like it: those of its busiest unit, or of a bank of weights in turn."""
    p = phases(fields, config)
    alternate = p.blocks * (p.weights + p.compute + ARRAY_LATENCY + OUTPUT_LATENCY) // 2
    return max(
        p.load, p.blocks * p.weights, p.blocks * p.compute + COMMAND_GAP, alternate, p.store + STORE_CYCLES, PREPARE_CYCLES + 1
    )
