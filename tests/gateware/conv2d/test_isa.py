"""The instruction set: encoding and decoding are inverse, and the printed tables are those of the documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosoc.gateware.conv2d.isa import INSTRUCTION_BYTES, INSTRUCTIONS, Opcode, assemble, disassemble, table

ENCODING = Path(__file__).resolve().parents[3] / "docs" / "conv2d-encoding.md"


def test_random_programs_come_back() -> None:
    random = np.random.default_rng(4)
    program = []
    for opcode in random.choice(list(Opcode), 200):
        values = {}
        for field in INSTRUCTIONS[Opcode(opcode)].fields:
            low = -(1 << field.width - 1) if field.signed else 0
            values[field.name] = low + int(random.integers(0, 1 << field.width))
        del values["opcode"]
        program.append((Opcode(opcode), values))
    code = assemble(program)
    assert len(code) == 200 * INSTRUCTION_BYTES
    assert disassemble(code) == program


def test_extremes_and_what_does_not_fit() -> None:
    for layout in INSTRUCTIONS.values():
        for field in layout.fields[1:]:
            low, high = (-(1 << field.width - 1), (1 << field.width - 1) - 1) if field.signed else (0, (1 << field.width) - 1)
            for value in (low, high):
                assert layout.decode(layout.encode({field.name: value}))[field.name] == value
            for value in (low - 1, high + 1):
                with pytest.raises(ValueError, match=field.name):
                    layout.encode({field.name: value})
    with pytest.raises(ValueError, match="no LOAD field colour"):
        INSTRUCTIONS[Opcode.LOAD].encode({"colour": 1})


def test_bytes_that_are_no_program() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        disassemble(bytes(33))
    with pytest.raises(ValueError, match="unknown opcode 15"):
        disassemble(b"\x0f" + bytes(31))


def test_the_document_has_the_tables() -> None:
    written = ENCODING.read_text()
    assert written == table(), "print it again: python -m cosoc.gateware.conv2d.isa > docs/conv2d-encoding.md"
