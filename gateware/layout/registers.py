"""Declaration of a block's registers: 32 bits each, at byte offsets inside the block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Access(StrEnum):
    """Who changes a register."""

    READ_ONLY = "ro"  # the hardware
    READ_WRITE = "rw"  # software
    WRITE_ONE_TO_CLEAR = "w1c"  # the hardware sets bits, software clears them by writing ones


@dataclass(frozen=True)
class RegisterField:
    """`width` bits of a register from bit `lsb` up."""

    name: str
    lsb: int
    width: int
    doc: str


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Attributes:
        reset: value after reset, of registers that software writes.
    """

    name: str
    offset: int
    access: Access
    doc: str
    fields: tuple[RegisterField, ...] = ()
    reset: int = 0

    def __post_init__(self) -> None:
        if self.offset % 4:
            raise ValueError(f"register {self.name}: offset {self.offset:#x} is not a multiple of 4")
        for item in self.fields:
            if item.lsb + item.width > 32:
                raise ValueError(f"register {self.name}: field {item.name} ends above bit 31")


@dataclass(frozen=True)
class RegisterMap:
    """All registers of a block, in order of offset."""

    registers: tuple[Register, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.registers, self.registers[1:], strict=False):
            if after.offset <= before.offset:
                raise ValueError(f"register {after.name} at {after.offset:#x} is not above {before.name}")

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def __getitem__(self, name: str) -> Register:
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(f"no register {name}; there are {', '.join(r.name for r in self.registers)}")
