"""How long the ZIP core takes when memory never makes it wait."""

from __future__ import annotations

from collections.abc import Mapping

from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES
from cosoc.gateware.zip.config import NumberFormat, ZIPConfig, ZIPOperation
from cosoc.gateware.zip.golden import check
from cosoc.gateware.zip.integer_lane import IntegerLane
from cosoc.gateware.zip.lane import FloatLane

_REFUSE = 6
"""Taking and checking a command, and its way through the FIFO of outcomes."""

_AROUND = 10
"""The same, asking for transfers, the first beat's way to the lanes, and the last one's from them to memory."""


def command_cycles(fields: Mapping[str, int], config: ZIPConfig) -> int:
    """Clock cycles from a command's arrival at an idle core to its completion.

    A read's first beat comes one cycle after its request, one more in every cycle, and a write is done one cycle after its last
    beat. A command that follows others without a gap adds `beat_cycles` only; where it must not overtake quotients or roots, up to
    the difference of the lanes' latencies more.

    Args:
        fields: the command's fields by name, as `COMMAND.decode` gives them.
    """
    if check(fields, config) != Error.NONE:
        return _REFUSE
    lane = IntegerLane if config.format is NumberFormat.INT16 else FloatLane
    latency = lane.divided_latency if ZIPOperation(fields["opcode"]).divides else lane.latency
    return _AROUND + latency + beat_cycles(fields, config)


def beat_cycles(fields: Mapping[str, int], config: ZIPConfig) -> int:
    """Cycles in which the operands' beats enter the lanes of the engine that executes the command."""
    size = fields["length"] * ZIPOperation(fields["opcode"]).element_bytes(config.format)
    return -(-size // BEAT_BYTES) * (2 if config.lanes == config.memory_ports else 1)
