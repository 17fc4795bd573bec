"""Parameters, operations and command of the ZIP accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, ParameterError, parameter

SLOT_BYTES = 8
"""What a lane takes at a time: half a beat. One complex or two real numbers of float32, or twice as many of int16."""

MAX_LENGTH = (1 << 29) - 1
"""Elements of the longest command: its bytes are counted in 32 bits."""

MAX_REPEATED_BYTES = 8192
"""Bytes of a short vector `b` that repeats: the size of the buffer for it."""

MAX_LANES_PER_PORT = 2
"""Two slots are a beat, and a port moves one beat in a cycle."""


class NumberFormat(IntEnum):
    """What vectors consist of: complex numbers are (re, im), real ones a part of that."""

    FLOAT32 = 0
    INT16 = 1

    @property
    def real_bytes(self) -> int:
        """Bytes of a real number."""
        return 2 if self is NumberFormat.INT16 else 4


@dataclass(frozen=True, kw_only=True)
class ZIPConfig(Config):
    """Parameters of the ZIP accelerator.

    Attributes:
        lanes: slots of 8 bytes computed per cycle, over all memory ports; one or two for each.
        memory_ports: AXI4 managers; each has an engine of its own, which takes every second command.
        number_format: a `NumberFormat`.
    """

    lanes: int = parameter(2, allowed=[1, 2, 4], help="8-byte elements per cycle, one or two for each memory port")
    memory_ports: int = parameter(1, allowed=[1, 2], help="AXI4 managers")
    number_format: int = parameter(0, allowed=[0, 1], help="0: float32, 1: int16")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.memory_ports <= self.lanes <= MAX_LANES_PER_PORT * self.memory_ports:
            allowed = ", ".join(str(ports * lanes) for ports in [self.memory_ports] for lanes in (1, MAX_LANES_PER_PORT))
            raise ParameterError(
                f"ZIPConfig.lanes = {self.lanes} is not possible with memory_ports = {self.memory_ports}; allowed: {allowed}"
            )

    @property
    def format(self) -> NumberFormat:
        return NumberFormat(self.number_format)


class ZIPOperation(IntEnum):
    """Opcodes. All are element-wise on complex numbers, those that begin with `REAL` on real ones."""

    ADD = 0
    SUB = 1
    MUL = 2
    DIV = 3
    CONJUGATE_MUL = 4  # a * conjugate(b)
    MULTIPLY_ADD = 5  # c + a * b
    CONJUGATE_MULTIPLY_ADD = 6  # c + a * conjugate(b)
    MAGNITUDE_SQUARED = 7  # |a|^2, real
    MAGNITUDE = 8  # |a|, real
    REAL_ADD = 9
    REAL_SUB = 10
    REAL_MUL = 11
    REAL_DIV = 12
    REAL_MULTIPLY_ADD = 13

    @property
    def real(self) -> bool:
        """Whether operands and result are real."""
        return self >= ZIPOperation.REAL_ADD

    @property
    def narrow(self) -> bool:
        """Whether a complex operand gives a real result."""
        return self in (ZIPOperation.MAGNITUDE_SQUARED, ZIPOperation.MAGNITUDE)

    @property
    def operands(self) -> int:
        """1: a, 2: a and b, 3: a, b and c."""
        if self.narrow:
            return 1
        with_c = (ZIPOperation.MULTIPLY_ADD, ZIPOperation.CONJUGATE_MULTIPLY_ADD, ZIPOperation.REAL_MULTIPLY_ADD)
        return 3 if self in with_c else 2

    @property
    def divides(self) -> bool:
        """Whether the result comes out of a divider, which takes longer than the rest of a lane."""
        return self in (ZIPOperation.DIV, ZIPOperation.REAL_DIV, ZIPOperation.MAGNITUDE)

    def element_bytes(self, number_format: NumberFormat) -> int:
        """Bytes of an element of the operands."""
        return number_format.real_bytes * (1 if self.real else 2)

    def result_bytes(self, number_format: NumberFormat) -> int:
        """Bytes of an element of the result."""
        return number_format.real_bytes * (1 if self.real or self.narrow else 2)


COMMAND = CommandLayout(
    (
        CommandField("length", 1, 0, 32, "elements of a, c and the result, 1..2^29 - 1"),
        CommandField("a_address", 2, 0, 64, "first operand, a multiple of 16"),
        CommandField("b_address", 4, 0, 64, "second operand, a multiple of 16"),
        CommandField("out_address", 6, 0, 64, "result, a multiple of 16"),
        CommandField("c_address", 8, 0, 64, "third operand, a multiple of 16"),
        CommandField("b_length", 10, 0, 16, "0: b is as long as a; else b has this many elements and repeats: 1, or whole 8 bytes"),
        CommandField("b_constant", 10, 16, 1, "1: every 8 bytes of b are those of `constant`, and b_address does not count"),
        CommandField(
            "shift", 10, 24, 5, "int16: bits by which results go to the right, quotients to the left, before they are rounded"
        ),
        CommandField("constant", 11, 0, 64, "8 bytes of b"),
    )
)
