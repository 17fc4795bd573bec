"""How long the FIR core takes when memory never makes it wait."""

from __future__ import annotations

from collections.abc import Mapping

from cosoc.gateware.fir.chain import chain_latency
from cosoc.gateware.fir.config import FIRConfig, FIROperation
from cosoc.gateware.fir.golden import check
from cosoc.gateware.layout.page import Error

REFUSE = 8
"""Taking and checking a command, and the queues to its completion."""

AROUND = 13
"""The same, asking for transfers, the first sample's way to the chain, and until all that was in the chain is out."""

BETWEEN = 2
"""From the last sample of a command to the first tap of the next one."""


def command_cycles(fields: Mapping[str, int], config: FIRConfig) -> int:
    """Clock cycles from a command's arrival at an idle core to its completion, for one whose `outputs` are those of its frames.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.
    """
    if check(fields, config) != Error.NONE:
        return REFUSE
    accumulate = fields["opcode"] == FIROperation.ACCUMULATE
    # A result of the last sample is one cycle later in memory than the chain is empty.
    late = (fields["samples"] - 1) % fields["length"] % fields["decimation"] == 0
    return AROUND + accumulate + fields["taps"] + fields["samples"] + chain_latency(config.multipliers) + late


def queued_cycles(fields: Mapping[str, int], config: FIRConfig) -> int:
    """Clock cycles that a good command adds to a queue of commands like it, each with data of its own.

    The taps take the place of those of the command before the last one, which must have left the chain.
    """
    passing = fields["taps"] + fields["samples"]
    # Two commands pass in the time in which the taps of one stay in the chain, as long as it is longer than they are.
    return max(BETWEEN + passing, -(-(passing + chain_latency(config.multipliers) + BETWEEN) // 2))
