"""Declaration of an accelerator's instruction set: what hardware and the generated C++ header are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from amaranth.lib import data

from cosoc.gateware.layout.command import CommandField, decode_fields, encode_fields, struct_of


@dataclass(frozen=True)
class InstructionLayout:
    """The fields of one opcode.

    Attributes:
        opcode: its number is in the field `opcode`.
        unit: which unit executes it.
        words: 32-bit words of an instruction.
        fields: all fields, each with its place.
        nonzero: names of those that must not be zero.
        defaults: values of fields that are not zero when they are not named.
    """

    opcode: IntEnum
    unit: IntEnum
    words: int
    fields: tuple[CommandField, ...]
    nonzero: tuple[str, ...] = ()
    defaults: Mapping[str, int] = field(default_factory=dict)

    def struct(self) -> data.FlexibleLayout:
        """The fields as an Amaranth layout of the whole instruction."""
        return struct_of(self.fields, 32 * self.words)

    def encode(self, values: Mapping[str, int]) -> list[int]:
        """The words of an instruction; fields that are not named have their defaults.

        Raises:
            ValueError: an unknown field, or a value that its field cannot hold.
        """
        given = dict(self.defaults) | dict(values) | {"opcode": int(self.opcode)}
        return encode_fields(self.fields, given, words=self.words, what=self.opcode.name)

    def decode(self, words: Iterable[int]) -> dict[str, int]:
        """The fields of an encoded instruction."""
        return decode_fields(self.fields, words)


@dataclass(frozen=True)
class Constant:
    """A number of the instruction set that software needs."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class InstructionSet:
    """All instructions of an accelerator, in order of their opcodes, and its constants."""

    layouts: tuple[InstructionLayout, ...]
    constants: tuple[Constant, ...]

    @property
    def opcodes(self) -> type[IntEnum]:
        """The enumeration of the opcodes."""
        return type(self.layouts[0].opcode)

    @property
    def units(self) -> type[IntEnum]:
        """The enumeration of the units."""
        return type(self.layouts[0].unit)
