"""What the rest of the system needs to know of a kind of accelerator: `gateware/<module>/accelerator.py` says it."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, cast

from cosoc.gateware.layout.command import COMPLETION, CommandField, CommandLayout
from cosoc.gateware.layout.instruction import InstructionSet
from cosoc.gateware.layout.page import PAGE
from cosoc.gateware.parameters import Config
from cosoc.gateware.resources import Resources


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One kind of accelerator. What is not in here is found by the names of files and classes, as the methods say.

    Attributes:
        name: short name in build options and device names (`c2d=2`, `c2d0`).
        module: folder under gateware/ and software/drivers/, C++ namespace and Verilog module `cosoc_<module>`.
        title: name for people, and in names of classes: `<title>Core`, and in C++ `<title>Driver` and `<title>Model`.
        kind: bits 7..0 of the ID register.
        config: class of the parameters; the capability registers hold its fields in order.
        command: layout of its commands.
        enums: enumerations that drivers need, by C++ name.
        instructions: of the programs that its commands name, when it executes programs.
    """

    name: str
    module: str
    title: str
    kind: int
    config: type[Config]
    command: CommandLayout
    enums: tuple[type[IntEnum] | type[IntFlag], ...]
    instructions: InstructionSet | None = None

    def core(self, config: Config) -> Any:
        """The core with these parameters: class `<title>Core` of `gateware/<module>/core.py`."""
        return getattr(self._part("core"), f"{self.title}Core")(config)

    def managers(self, config: Config) -> int:
        """AXI4 managers of an instance, each of which needs a memory port of the board."""
        return getattr(config, "memory_ports", 1)

    def port_bits(self, config: Config) -> int:
        """Bits of data of each AXI4 manager: 128, the width of what the core sees, or less."""
        return getattr(config, "memory_port_bits", 128)

    def resources(self, config: Config) -> Resources:
        """Estimated FPGA resources of the whole peripheral: `estimate` of `gateware/<module>/resources.py`."""
        return cast(Resources, self._part("resources").estimate(config))

    def _part(self, name: str) -> Any:
        # Imported when needed: software that only asks for layouts need not load the hardware description.
        return importlib.import_module(f"cosoc.gateware.{self.module}.{name}")

    def layout_hash(self) -> int:
        """32 bits that identify what software is compiled against: registers, commands, instructions, but no documentation."""
        instructions = self.instructions or InstructionSet(layouts=(), constants=())
        content = [
            [(r.name, r.offset, r.access, r.reset, [(f.name, f.lsb, f.width) for f in r.fields]) for r in PAGE],
            [_places(fields) for fields in (self.command, COMPLETION)],
            [[enum.__name__, [(m.name, int(m)) for m in enum]] for enum in self.enums],
            [
                (i.opcode.name, int(i.opcode), i.unit.name, int(i.unit), i.words, dict(i.defaults), _places(i.fields))
                for i in instructions.layouts
            ],
            [(constant.name, constant.value) for constant in instructions.constants],
            list(self.config.__dataclass_fields__),
        ]
        return int.from_bytes(hashlib.sha256(json.dumps(content).encode()).digest()[:4], "big")


def _places(fields: Iterable[CommandField]) -> list[tuple[str, int, int, int, bool]]:
    return [(item.name, item.word, item.lsb, item.width, item.signed) for item in fields]
