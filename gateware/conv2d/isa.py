"""The instruction set of the Conv2D accelerator: the one definition that hardware, assembler, models and driver share.

An instruction has 256 bits. Task instructions move data (LOAD, WEIGHTS, CHANNELS, STORE) or compute (COMPUTE); MICRO,
GEOMETRY and OUTPUT set the state that later COMPUTE instructions use. docs/conv2d.md tells what each does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField
from cosoc.gateware.layout.instruction import Constant, InstructionLayout, InstructionSet

INSTRUCTION_BYTES = 32
INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES
INSTRUCTION_WORDS = 8

MICRO_ENTRIES = 4
"""Micro-operations that one MICRO instruction holds."""

MICRO_OPERATIONS = 1024
"""Capacity of the micro-program memory."""

NO_WAIT = 255
"""Value of a wait field: the instruction does not wait for that unit."""

WINDOW_TAPS = 3
"""Operands that a pixel has in each step of a window."""

WINDOW_OPERATIONS = 16
"""Most micro-operations of a COMPUTE with windows."""

RESIDUAL_FRACTION = {8: 16, 16: 24}
"""Fraction bits of `residual_multiplier`, by `activation_bits`."""


class Opcode(IntEnum):
    """Opcodes of instructions."""

    LOAD = 0
    WEIGHTS = 1
    CHANNELS = 2
    MICRO = 3
    GEOMETRY = 4
    OUTPUT = 5
    COMPUTE = 6
    STORE = 7


class Unit(IntEnum):
    """Units that execute instructions, each in the order of the stream; also the order of the wait fields."""

    LOAD = 0
    WEIGHTS = 1
    COMPUTE = 2
    STORE = 3


UNIT_OF = {
    Opcode.LOAD: Unit.LOAD,
    Opcode.WEIGHTS: Unit.WEIGHTS,
    Opcode.CHANNELS: Unit.WEIGHTS,
    Opcode.MICRO: Unit.COMPUTE,
    Opcode.GEOMETRY: Unit.COMPUTE,
    Opcode.OUTPUT: Unit.COMPUTE,
    Opcode.COMPUTE: Unit.COMPUTE,
    Opcode.STORE: Unit.STORE,
}

SETTINGS = frozenset({Opcode.MICRO, Opcode.GEOMETRY, Opcode.OUTPUT})
"""Instructions that only set state: waits do not count them."""


@dataclass(frozen=True)
class Field:
    """A field before it has a place."""

    name: str
    width: int
    doc: str
    signed: bool = False
    nonzero: bool = False


_HEADER = (
    Field("opcode", 4, "what to do"),
    *(Field(f"wait_{unit.name.lower()}", 8, f"distance to the instruction of {unit.name} to wait for") for unit in Unit),
)

_MEMORY = (
    Field("base", 3, "which base address of the command"),
    Field("offset", 32, "from the base address, in units of 16 bytes"),
)

_TILE = (
    Field("rows", 12, "rows of the tile", nonzero=True),
    Field("columns", 12, "pixels of a row", nonzero=True),
    Field("words", 8, "words of a pixel", nonzero=True),
    Field("row_pitch", 20, "in memory, from one row to the next, in units of 16 bytes"),
    Field("pixel_pitch", 10, "in memory, from one pixel to the next, in units of 16 bytes"),
    Field("address", 16, "in the feature buffer, of the first pixel and word"),
    Field("address_row_pitch", 12, "in the feature buffer, from one row to the next"),
    Field("address_plane_pitch", 16, "in the feature buffer, from one word of a pixel to the next"),
)

_FIELDS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.LOAD: (
        *_MEMORY,
        *_TILE,
        Field("fold_channels", 3, "0: as it is; 1..4: channels of a pixel that are folded with those of its neighbours"),
        Field("fold_left", 4, "pixels of zero_point put before each row when folding"),
        Field("fold_right", 4, "pixels of zero_point put after each row when folding"),
        Field("fold_stride", 3, "pixels from one folded word to the next, at least 1 when folding"),
        Field("fold_skip", 2, "channels of a word's first pixel that it leaves out: 0..2 when folding 3 channels, else 0"),
        Field("fold_keep_low", 4, "lowest channels of each word that stay as they were when folding"),
        Field("fold_keep_high", 4, "highest channels of each word that stay as they were when folding"),
        Field("fold_blank", 1, "1: all pixels count as pixels of zero_point when folding"),
        Field("twin", 3, "0: none; else pixels from each folded word to its twin, less than fold_stride"),
        Field("twin_offset", 16, "in the feature buffer, from each folded word to its twin", signed=True),
        Field("twin_skip", 2, "fold_skip of twins"),
        Field("twin_keep_low", 4, "fold_keep_low of twins"),
        Field("twin_keep_high", 4, "fold_keep_high of twins"),
        Field("zero_point", 16, "of the pixels put around a row when folding", signed=True),
    ),
    Opcode.WEIGHTS: (
        *_MEMORY,
        Field("steps", 16, "steps to load", nonzero=True),
        Field("address", 16, "first step in the weight buffer"),
    ),
    Opcode.CHANNELS: (
        *_MEMORY,
        Field("blocks", 16, "blocks of channel parameters to load", nonzero=True),
        Field("address", 16, "first block in the channel buffer"),
    ),
    Opcode.MICRO: (
        Field("address", 10, "place of the first entry in the micro-program memory"),
        Field("count", 3, f"entries, 1..{MICRO_ENTRIES}", nonzero=True),
        *(Field(f"offset{i}", 16, f"entry {i}: from the pixel's address to that of the first word", signed=True) for i in range(4)),
        *(Field(f"row{i}", 8, f"entry {i}: from the pixel's row to that of the operand", signed=True) for i in range(4)),
        *(Field(f"column{i}", 8, f"entry {i}: from the pixel's column to that of the operand", signed=True) for i in range(4)),
        *(Field(f"words{i}", 8, f"entry {i}: words to multiply, at least 1") for i in range(4)),
    ),
    Opcode.GEOMETRY: (
        Field("rows", 12, "rows of the input; operands outside 0..rows-1 are the zero point"),
        Field("columns", 12, "columns of the input, likewise"),
        Field("plane_pitch", 16, "from one word of a pixel to the next"),
        Field("zero_point", 16, "of operands outside the input", signed=True),
        Field("stride_rows", 4, "input rows from one output row to the next", nonzero=True),
        Field("stride_columns", 3, "input columns from one output column to the next", nonzero=True),
        Field("out_columns", 12, "output columns", nonzero=True),
        Field("group_rows", 5, "pixel_lanes // out_columns"),
        Field("group_columns", 5, "pixel_lanes % out_columns"),
        Field("group_step", 16, "input address from one pixel to the one pixel_lanes further, in the same row", signed=True),
        Field("row_step", 16, "what is added to an input address when its pixel goes from one row to the next", signed=True),
        Field("phases_log2", 3, "log2 of the cycles in which the pixel lanes are read: 0 when no two share a bank"),
        Field("window", 1, "1: three taps of a row in each step, for depthwise convolutions"),
    ),
    Opcode.OUTPUT: (
        Field("plane_pitch", 16, "from one word of an output pixel to the next"),
        Field("group_step", 16, "output address from one pixel to the one pixel_lanes further, in the same row", signed=True),
        Field("row_step", 16, "what is added to an output address when its pixel goes from one row to the next", signed=True),
        Field("zero_point", 16, "of the output", signed=True),
        Field("clamp_min", 16, "least output", signed=True),
        Field("clamp_max", 16, "greatest output", signed=True),
        Field("residual", 1, "1: add a residual"),
        Field("residual_zero_point", 16, "of the residual", signed=True),
        Field("residual_multiplier", 28, "scale of the residual by that of the output, fixed point"),
    ),
    Opcode.COMPUTE: (
        Field("in_address", 16, "input address of the first pixel, before the offset of a micro-operation"),
        Field("in_row", 13, "input row of the first pixel", signed=True),
        Field("in_column", 13, "input column of the first pixel", signed=True),
        Field("out_address", 16, "output address of the first pixel"),
        Field("out_part", 2, "blocks of its word below the first block"),
        Field("residual_address", 16, "address of the residual of the first pixel"),
        Field("weight_address", 16, "first step in the weight buffer"),
        Field("channel_address", 9, "first block in the channel buffer"),
        Field("pixels", 20, "output pixels", nonzero=True),
        Field("blocks", 8, "blocks of output channels", nonzero=True),
        Field("block_step", 16, "what is added to input addresses from one block to the next"),
        Field("micro_address", 10, "first entry of the micro-program"),
        Field("micro_count", 10, "entries of the micro-program", nonzero=True),
        Field("accumulate", 1, "1: sums start from those that are in the accumulators"),
        Field("keep", 1, "1: sums stay in the accumulators, nothing is written"),
    ),
    Opcode.STORE: (
        *_MEMORY,
        *_TILE,
        Field("window_rows", 4, "rows of the window whose maximum is stored", nonzero=True),
        Field("window_columns", 4, "columns of the window", nonzero=True),
        Field("stride_rows", 3, "rows from one window to the next", nonzero=True),
        Field("stride_columns", 3, "columns from one window to the next", nonzero=True),
        Field("in_rows", 12, "rows in the feature buffer; those outside do not count", nonzero=True),
        Field("in_columns", 12, "columns in the feature buffer", nonzero=True),
        Field("origin_row", 5, "row of the first window's upper end", signed=True),
        Field("origin_column", 5, "column of the first window's left end", signed=True),
    ),
}


def _place(opcode: Opcode, fields: tuple[Field, ...]) -> InstructionLayout:
    """First fit, widest first; no field crosses a boundary of 32 bits. The header has fixed places."""
    used = [0] * INSTRUCTION_WORDS
    placed: dict[str, CommandField] = {}
    used[0], used[1] = 4, 32
    for item, (word, lsb) in zip(_HEADER, [(0, 0), (1, 0), (1, 8), (1, 16), (1, 24)], strict=True):
        placed[item.name] = CommandField(item.name, word, lsb, item.width, item.doc, item.signed)
    for item in sorted(fields, key=lambda item: -item.width):
        word = next((word for word in range(INSTRUCTION_WORDS) if used[word] + item.width <= 32), INSTRUCTION_WORDS)
        if word == INSTRUCTION_WORDS:
            raise ValueError(f"the fields of {opcode.name} do not fit {INSTRUCTION_BITS} bits: no room for {item.name}")
        placed[item.name] = CommandField(item.name, word, used[word], item.width, item.doc, item.signed)
        used[word] += item.width
    order = [item.name for item in (*_HEADER, *fields)]
    return InstructionLayout(
        opcode=opcode,
        unit=UNIT_OF[opcode],
        words=INSTRUCTION_WORDS,
        fields=tuple(placed[name] for name in order),
        nonzero=tuple(item.name for item in fields if item.nonzero),
        defaults={f"wait_{unit.name.lower()}": NO_WAIT for unit in Unit},
    )


INSTRUCTIONS: dict[Opcode, InstructionLayout] = {opcode: _place(opcode, fields) for opcode, fields in _FIELDS.items()}
"""The layouts by opcode."""

INSTRUCTION_SET = InstructionSet(
    layouts=tuple(INSTRUCTIONS.values()),
    constants=(
        Constant("instruction_bytes", INSTRUCTION_BYTES, "bytes of an instruction"),
        Constant("instruction_words", INSTRUCTION_WORDS, "32-bit words of an instruction"),
        Constant("no_wait", NO_WAIT, "value of a wait field: does not wait for that unit"),
        Constant("micro_entries", MICRO_ENTRIES, "micro-operations that one MICRO holds"),
        Constant("micro_operations", MICRO_OPERATIONS, "capacity of the micro-program memory"),
        *(
            Constant(f"residual_fraction_int{bits}", fraction, f"fraction bits of residual_multiplier, activations of {bits} bits")
            for bits, fraction in RESIDUAL_FRACTION.items()
        ),
    ),
)
"""What the generated C++ header has."""


def assemble(program: Iterable[tuple[Opcode, Mapping[str, int]]]) -> bytes:
    """The bytes of a program: opcode and fields of each instruction."""
    words = [word for opcode, values in program for word in INSTRUCTIONS[opcode].encode(values)]
    return b"".join(word.to_bytes(4, "little") for word in words)


def disassemble(program: bytes) -> list[tuple[Opcode, dict[str, int]]]:
    """Opcode and fields of each instruction.

    Raises:
        ValueError: not a whole number of instructions, or an unknown opcode.
    """
    if len(program) % INSTRUCTION_BYTES:
        raise ValueError(f"a program of {len(program)} bytes is not a multiple of {INSTRUCTION_BYTES}")
    decoded = []
    for start in range(0, len(program), INSTRUCTION_BYTES):
        words = [int.from_bytes(program[start + 4 * i : start + 4 * i + 4], "little") for i in range(INSTRUCTION_WORDS)]
        number = words[0] & 0xF
        if number not in set(Opcode):
            raise ValueError(f"instruction {start // INSTRUCTION_BYTES} has the unknown opcode {number}")
        fields = INSTRUCTIONS[Opcode(number)].decode(words)
        decoded.append((Opcode(fields.pop("opcode")), fields))
    return decoded


def table() -> str:
    """All instructions and their fields, as Markdown."""
    lines = [
        "# Encoding of the Conv2D engine's instructions",
        "",
        f"{INSTRUCTION_BITS} bits, little endian; words of 32 bits count from 0. Bits that no field has are 0.",
        "",
    ]
    for opcode, layout in INSTRUCTIONS.items():
        lines += [
            f"## {opcode.name} ({int(opcode)}, unit {UNIT_OF[opcode].name})",
            "",
            "| field | word | bits | meaning |",
            "|---|---|---|---|",
        ]
        for item in layout.fields:
            bits = f"{item.lsb + item.width - 1}..{item.lsb}" if item.width > 1 else str(item.lsb)
            marks = ", signed" * item.signed + ", not zero" * (item.name in layout.nonzero)
            lines.append(f"| {item.name} | {item.word} | {bits} | {item.doc}{marks} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(), end="")
