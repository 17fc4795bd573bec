"""What the dispatcher must do with commands and programs: written from docs/conv2d.md, without a look at the gateware."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from cosoc.gateware.conv2d.config import BASES, COMMAND, Conv2DConfig
from cosoc.gateware.conv2d.isa import INSTRUCTION_BYTES, INSTRUCTIONS, NO_WAIT, SETTINGS, UNIT_OF, Opcode, Unit
from cosoc.gateware.layout.page import Error
from tests.gateware.harness import little_endian

CONFIG = Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=2)


@dataclass
class Expected:
    """An instruction that a unit must get.

    Attributes:
        command, position: count of the command, and of the instruction among all that were fetched.
        targets: for each unit that it waits for, how many counted instructions must be finished.
    """

    unit: Unit
    word: int
    memory: int | None
    sequence: int
    command: int
    position: int
    counted: bool
    targets: dict[Unit, int]


@dataclass
class Stream:
    """Commands with their programs, and all that must follow from them.

    Attributes:
        memory: instructions, by address.
        commands: encoded commands.
        errors: code of each command.
        transfers: address and bytes of the instructions of each command; none when it is refused.
        units: instructions of every unit, in order.
        fetched_by: instructions that are fetched for a command and all before it.
        finished: for each command, how many instructions of every unit must be finished when it completes.
    """

    memory: dict[int, int] = field(default_factory=dict)
    commands: list[int] = field(default_factory=list)
    errors: list[Error] = field(default_factory=list)
    transfers: list[tuple[int, int]] = field(default_factory=list)
    units: dict[Unit, list[Expected]] = field(default_factory=lambda: {unit: [] for unit in Unit})
    finished: list[dict[Unit, int]] = field(default_factory=list)
    fetched_by: list[int] = field(default_factory=list)
    counted: dict[Unit, int] = field(default_factory=lambda: dict.fromkeys(Unit, 0))
    fetched: int = 0

    def add(self, program: list[int], *, address: int, bases: list[int], **more: int) -> None:
        """A command with a program of encoded instructions; `more` replaces fields of the command."""
        fields = {"instruction_address": address, "instruction_count": len(program)}
        fields |= {f"base{i}": bases[i] for i in range(BASES)} | more
        self.commands.append(int.from_bytes(little_endian(COMMAND.encode(fields), 4), "little"))
        error = refusal(fields)
        self.transfers.append((address, 0 if error else INSTRUCTION_BYTES * len(program)))
        if not error:
            for index, word in enumerate(program):
                self.memory[address + INSTRUCTION_BYTES * index] = word
                error = error or instruction_fault(word)
                if not error:
                    self._instruction(word, bases)
                self.fetched += 1
        self.errors.append(error)
        self.finished.append(dict(self.counted))
        self.fetched_by.append(self.fetched)

    def _instruction(self, word: int, bases: list[int]) -> None:
        opcode, fields = decoded(word)
        unit = UNIT_OF[opcode]
        targets = {}
        for other in Unit:
            distance = fields[f"wait_{other.name.lower()}"]
            if distance != NO_WAIT:
                targets[other] = self.counted[other] - distance
        memory = (bases[fields["base"]] + 16 * fields["offset"]) % 2**64 if "base" in fields else None
        counted = opcode not in SETTINGS
        command = len(self.commands) - 1
        self.units[unit].append(Expected(unit, word, memory, command % 16, command, self.fetched, counted, targets))
        self.counted[unit] += counted


def refusal(fields: Mapping[str, int]) -> Error:
    """Why a command is refused as a whole."""
    if fields.get("opcode", 0) != 0:
        return Error.BAD_OPCODE
    if any(fields[name] % 16 for name in ("instruction_address", *(f"base{i}" for i in range(BASES)))):
        return Error.MISALIGNED
    return Error.NONE if fields["instruction_count"] else Error.BAD_LENGTH


def decoded(word: int) -> tuple[Opcode, dict[str, int]]:
    """Opcode and fields of an instruction that has a known opcode."""
    opcode = Opcode(word & 15)
    return opcode, INSTRUCTIONS[opcode].decode([word >> 32 * i & 0xFFFFFFFF for i in range(8)])


def instruction_fault(word: int) -> Error:
    """What is wrong with an instruction."""
    if word & 15 > 7:
        return Error.BAD_OPCODE
    opcode, f = decoded(word)
    nonzero = {
        Opcode.LOAD: ("rows", "columns", "words"),
        Opcode.WEIGHTS: ("steps",),
        Opcode.CHANNELS: ("blocks",),
        Opcode.MICRO: ("count",),
        Opcode.GEOMETRY: ("stride_rows", "stride_columns", "out_columns"),
        Opcode.OUTPUT: (),
        Opcode.COMPUTE: ("pixels", "blocks", "micro_count"),
        Opcode.STORE: (
            *("rows", "columns", "words", "window_rows", "window_columns"),
            *("stride_rows", "stride_columns", "in_rows", "in_columns"),
        ),
    }[opcode]
    bad = any(f[name] == 0 for name in nonzero)
    if opcode is Opcode.LOAD and f["fold_channels"] > 0:
        bad |= f["fold_channels"] > 4 or f["fold_stride"] == 0 or f["words"] != 1
        bad |= max(f["fold_skip"], f["twin_skip"]) > (2 if f["fold_channels"] == 3 else 0)
        bad |= f["twin"] > 0 and f["twin"] >= f["fold_stride"]
    if opcode is Opcode.MICRO:
        bad |= f["count"] > 4
    if opcode is Opcode.GEOMETRY:
        bad |= 2 ** f["phases_log2"] > CONFIG.pixel_lanes
        bad |= f["window"] == 1 and (f["stride_rows"], f["stride_columns"], f["phases_log2"]) != (1, 1, 0)
    if opcode is Opcode.COMPUTE:
        bad |= f["out_part"] * CONFIG.output_lanes >= 16
    return Error.BAD_PARAMETER if bad else Error.NONE


def random_instruction(rng: random.Random, *, waits: str = "mixed", opcodes: tuple[Opcode, ...] = tuple(Opcode)) -> int:
    """A good instruction; `waits` tells how it waits: `none`, `all` (distance 0 everywhere) or `mixed`."""
    opcode = rng.choice(opcodes)
    while True:
        fields = {}
        for item in INSTRUCTIONS[opcode].fields:
            low, high = (-(1 << item.width - 1), (1 << item.width - 1) - 1) if item.signed else (0, (1 << item.width) - 1)
            fields[item.name] = rng.choice([rng.randint(low, high), rng.randint(max(low, 0), min(high, 3))])
        for unit in Unit:
            distance = {"none": NO_WAIT, "all": 0, "mixed": rng.choice([0, 1, 2, 5, 20, 254, NO_WAIT, NO_WAIT])}[waits]
            fields[f"wait_{unit.name.lower()}"] = distance
        del fields["opcode"]
        word = encoded(opcode, fields)
        if not instruction_fault(word):
            return word


def encoded(opcode: Opcode, fields: Mapping[str, int]) -> int:
    """An instruction as one number."""
    return sum(word << 32 * i for i, word in enumerate(INSTRUCTIONS[opcode].encode(fields)))
