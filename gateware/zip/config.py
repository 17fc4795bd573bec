"""Parameters and command of the ZIP accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, parameter

ELEMENT_BYTES = 8
"""A complex64 number: the real part in the lower four bytes, the imaginary part above."""

MAX_LENGTH = (1 << 29) - 1
"""Elements of the longest command: its bytes are counted in 32 bits."""


@dataclass(frozen=True, kw_only=True)
class ZIPConfig(Config):
    """Parameters of the ZIP accelerator.

    Attributes:
        lanes: complex elements computed per cycle; a beat of 128 bits carries two.
    """

    lanes: int = parameter(2, allowed=[1, 2], help="complex elements per cycle")


class ZIPOperation(IntEnum):
    """Opcodes: element-wise on complex numbers, `out = a op b`."""

    ADD = 0
    SUB = 1
    MUL = 2
    DIV = 3
    CONJUGATE_MUL = 4  # a * conjugate(b)


COMMAND = CommandLayout(
    (
        CommandField("length", 1, 0, 32, "complex float32 elements, 1..2^29 - 1"),
        CommandField("a_address", 2, 0, 64, "first operand, a multiple of 16"),
        CommandField("b_address", 4, 0, 64, "second operand, a multiple of 16"),
        CommandField("out_address", 6, 0, 64, "result, a multiple of 16"),
    )
)
