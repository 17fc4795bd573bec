"""How long the FIR core takes when memory never makes it wait."""

from __future__ import annotations

from collections.abc import Mapping

from cosoc.gateware.fir.chain import chain_latency
from cosoc.gateware.fir.config import FIRConfig, FIROperation
from cosoc.gateware.fir.golden import check
from cosoc.gateware.layout.page import Error

REFUSE = 3
"""Taking and checking a command."""

AROUND = 10
"""The same, asking for transfers, the first sample's way to the chain, and until all that was in the chain is out."""


def command_cycles(fields: Mapping[str, int], config: FIRConfig) -> int:
    """Clock cycles from a command's arrival at an idle core to its completion, for one whose `outputs` are those of its frames.

    Commands execute one after the other: each takes this time.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.
    """
    if check(fields, config) != Error.NONE:
        return REFUSE
    accumulate = fields["opcode"] == FIROperation.ACCUMULATE
    # A result of the last sample is one cycle later in memory than the chain is empty.
    late = (fields["samples"] - 1) % fields["length"] % fields["decimation"] == 0
    return AROUND + accumulate + fields["taps"] + fields["samples"] + chain_latency(config.multipliers) + late
