"""Makes one program of several layers that overlap: each has one half of the buffers, and waits for nothing but what it needs.

While a layer computes, the next one loads, and the one before it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import MICRO_OPERATIONS, NO_WAIT, SETTINGS, UNIT_OF, Opcode, Unit
from tests.gateware.conv2d.programs import Instruction

_FETCHES = (Opcode.LOAD, Opcode.WEIGHTS, Opcode.CHANNELS)


def overlapped(config: Conv2DConfig, layers: Sequence[tuple[Sequence[Instruction], Sequence[int]]]) -> list[Instruction]:
    """One program of the instructions and base addresses of several layers, each of which fits half of the buffers.

    Its own base addresses are zero. Distances are derived from what each instruction needs of which layer.
    """
    moved = [[_moved(config, item, bases, half=index % 2) for item in items] for index, (items, bases) in enumerate(layers)]
    fetches = [[(index, item) for item in items if item[0] in _FETCHES] for index, items in enumerate(moved)]
    others = [[(index, item) for item in items if item[0] not in _FETCHES] for index, items in enumerate(moved)]
    stream = list(fetches[0])
    for index, own in enumerate(others):
        stream += [*(fetches[index + 1] if index + 1 < len(fetches) else []), *own]
    return _with_waits(stream)


def _moved(config: Conv2DConfig, item: Instruction, bases: Sequence[int], *, half: int) -> Instruction:
    """The instruction with its addresses in one half of the buffers, and that in memory without a base."""
    opcode, fields = item
    features, steps = half * config.feature_words // 2, half * config.weight_steps // 2
    blocks, entries = half * config.channel_blocks // 2, half * MICRO_OPERATIONS // 2
    shifts = {
        Opcode.LOAD: {"address": features},
        Opcode.WEIGHTS: {"address": steps},
        Opcode.CHANNELS: {"address": blocks},
        Opcode.MICRO: {"address": entries},
        Opcode.COMPUTE: {"in_address": features, "out_address": features, "residual_address": features}
        | {"weight_address": steps, "channel_address": blocks, "micro_address": entries},
        Opcode.STORE: {"address": features},
    }.get(opcode, {})
    moved = fields | {name: (fields.get(name, 0) + shift) % 65536 for name, shift in shifts.items()}
    if "base" in fields:
        moved |= {"base": 0, "offset": fields.get("offset", 0) + bases[fields["base"]] // 16}
    return opcode, moved


def _needs(opcode: Opcode, layer: int) -> list[tuple[Unit, int]]:
    """Units and layers that must be through: the data of its own layer, and the layer that had the same half before it."""
    before = layer - 2
    return {
        Opcode.LOAD: [(Unit.COMPUTE, before), (Unit.STORE, before)],
        Opcode.WEIGHTS: [(Unit.COMPUTE, before)],
        Opcode.CHANNELS: [(Unit.COMPUTE, before)],
        Opcode.MICRO: [(Unit.COMPUTE, before)],
        Opcode.COMPUTE: [(Unit.LOAD, layer), (Unit.WEIGHTS, layer)],
        Opcode.STORE: [(Unit.COMPUTE, layer)],
    }.get(opcode, [])


def _with_waits(stream: Sequence[tuple[int, Instruction]]) -> list[Instruction]:
    """Replaces the wait fields; instructions stand with the number of their layer."""
    layers_of: dict[Unit, list[int]] = {unit: [] for unit in Unit}
    program = []
    for layer, (opcode, fields) in stream:
        waits = {f"wait_{unit.name.lower()}": NO_WAIT for unit in Unit}
        for unit, needed in _needs(opcode, layer):
            # Every counted instruction behind the last one of the needed layer may still run.
            through = max((i + 1 for i, other in enumerate(layers_of[unit]) if other == needed), default=0)
            if through:
                waits[f"wait_{unit.name.lower()}"] = len(layers_of[unit]) - through
        if opcode not in SETTINGS:
            layers_of[UNIT_OF[opcode]].append(layer)
        program.append((opcode, fields | waits))
    return program
