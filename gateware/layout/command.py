"""Declaration of an accelerator's command: bit fields in the 28 words of a ring slot.

Word 0 begins with the same header in every command; the rest belongs to the accelerator. The completion that the hardware
writes has the same form everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth import signed, unsigned
from amaranth.lib import data

from cosoc.gateware.layout.page import COMMAND_WORDS


@dataclass(frozen=True)
class CommandField:
    """`width` bits from bit `lsb` of word `word` up; a field of 64 bits spans two words."""

    name: str
    word: int
    lsb: int
    width: int
    doc: str
    signed: bool = False

    @property
    def bit(self) -> int:
        """Position of the lowest bit in the whole command."""
        return 32 * self.word + self.lsb


HEADER = (
    CommandField("opcode", 0, 0, 8, "what to do"),
    CommandField("tag", 0, 8, 16, "echoed in the completion"),
    CommandField("interrupt", 0, 24, 1, "raise the interrupt when this command completes"),
)

COMPLETION = (
    CommandField("error", 0, 0, 8, "code of the error, 0 for success"),
    CommandField("tag", 0, 8, 16, "tag of the command"),
    CommandField("done", 0, 31, 1, "1: the command is finished; software clears it before it submits"),
    CommandField("cycles", 2, 0, 64, "clock cycles from the command's fetch to its completion"),
)
"""Words 28..31 of a slot, written by the hardware in one beat after all data of the command is in memory."""


@dataclass(frozen=True)
class CommandLayout:
    """Fields of one accelerator's command after the header, in order of position."""

    own_fields: tuple[CommandField, ...]

    def __post_init__(self) -> None:
        end = 0
        for item in self:
            if item.bit < end:
                raise ValueError(f"command field {item.name} at bit {item.bit} overlaps the one before it")
            end = item.bit + item.width
        if end > 32 * COMMAND_WORDS:
            raise ValueError(f"command ends at bit {end}; a slot has room for {32 * COMMAND_WORDS}")

    def __iter__(self) -> Iterator[CommandField]:
        return iter(HEADER + self.own_fields)

    def struct(self) -> data.FlexibleLayout:
        """The same fields as an Amaranth layout of the whole command."""
        return struct_of(self, 32 * COMMAND_WORDS)

    def encode(self, values: Mapping[str, int]) -> list[int]:
        """The words of a command; fields that are not named are zero.

        Raises:
            ValueError: an unknown field, or a value that its field cannot hold.
        """
        return encode_fields(self, values, words=COMMAND_WORDS, what="command")

    def decode(self, words: Iterable[int]) -> dict[str, int]:
        """The fields of an encoded command."""
        return decode_fields(self, words)


def encode_fields(items: Iterable[CommandField], values: Mapping[str, int], *, words: int, what: str) -> list[int]:
    """The words of a record with these fields; fields that are not named are zero.

    Args:
        what: whose fields they are, for messages.

    Raises:
        ValueError: an unknown field, or a value that its field cannot hold.
    """
    known = {item.name: item for item in items}
    packed = 0
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"no {what} field {name}; there are {', '.join(known)}")
        item = known[name]
        low, high = (-(1 << item.width - 1), 1 << item.width - 1) if item.signed else (0, 1 << item.width)
        if not low <= value < high:
            raise ValueError(f"{what} field {name} = {value} is not in {low}..{high - 1}")
        packed |= (value & ((1 << item.width) - 1)) << item.bit
    return [packed >> 32 * i & 0xFFFFFFFF for i in range(words)]


def decode_fields(items: Iterable[CommandField], words: Iterable[int]) -> dict[str, int]:
    """The values of an encoded record's fields."""
    packed = sum(word << 32 * i for i, word in enumerate(words))
    values = {}
    for item in items:
        value = packed >> item.bit & ((1 << item.width) - 1)
        values[item.name] = value - (1 << item.width) if item.signed and value >> item.width - 1 else value
    return values


def struct_of(items: Iterable[CommandField], bits: int) -> data.FlexibleLayout:
    """An Amaranth layout of `bits` bits with these fields."""
    fields: dict[str, Any] = {
        item.name: data.Field(signed(item.width) if item.signed else unsigned(item.width), item.bit) for item in items
    }
    return data.FlexibleLayout(bits, fields)
