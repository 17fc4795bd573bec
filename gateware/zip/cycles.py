"""How long the ZIP core takes when memory never makes it wait."""

from __future__ import annotations

from collections.abc import Mapping

from cosoc.gateware.layout.page import Error
from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.golden import check
from cosoc.gateware.zip.lane import ZIPLane

_REFUSE = 4
"""Taking and checking a command, and its way through the FIFO of outcomes."""

_AROUND = 6
"""The same, asking for transfers, the first beat's way to the lanes, and the last one's from them to memory."""


def command_cycles(fields: Mapping[str, int], config: ZIPConfig) -> int:
    """Clock cycles from a command's arrival at an idle core to its completion.

    A read's first beat comes one cycle after its request, one more in every cycle, and a write is done one cycle after its last
    beat. A command that follows others without a gap adds its beats only, `2 / lanes` cycles each.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.
    """
    if check(fields, config) != Error.NONE:
        return _REFUSE
    beats = -(-fields["length"] // 2)
    return _AROUND + ZIPLane.latency + beats * 2 // config.lanes
