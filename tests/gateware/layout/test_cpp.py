"""Generated C++ headers against the layouts in Python: the same bits for the same fields, in both directions."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.conv2d.isa import INSTRUCTION_SET, RESIDUAL_FRACTION, Opcode, Unit
from cosoc.gateware.layout.command import CommandField, CommandLayout, decode_fields, encode_fields
from cosoc.gateware.layout.cpp import accelerator_header, page_header
from cosoc.gateware.layout.instruction import Constant, InstructionSet
from cosoc.gateware.layout.page import COMMAND_WORDS

CONV2D = ACCELERATORS[0]
ROUNDS = 20


@dataclass(frozen=True)
class Record:
    """A structure of a header, and the layout that it must have."""

    cpp: str
    fields: tuple[CommandField, ...]
    words: int
    fixed: Mapping[str, int]
    """Fields that are no members, and their values."""

    @property
    def members(self) -> list[CommandField]:
        return [item for item in self.fields if item.name not in self.fixed]


def records(accelerator: Accelerator) -> list[Record]:
    own = [Record(f"cosoc::{accelerator.module}::Command", tuple(accelerator.command), COMMAND_WORDS, {})]
    for layout in accelerator.instructions.layouts if accelerator.instructions else ():
        name = f"cosoc::{accelerator.module}::isa::{layout.opcode.name.title()}"
        own.append(Record(name, layout.fields, layout.words, {"opcode": int(layout.opcode)}))
    return own


RECORDS = [record for accelerator in ACCELERATORS for record in records(accelerator)]


def compile_and_run(folder: Path, body: str, text: str = "") -> list[int]:
    """Integers that a program prints, which includes all headers."""
    generated = folder / "cosoc" / "generated"
    generated.mkdir(parents=True)
    (generated / "page.hpp").write_text(page_header())
    for accelerator in ACCELERATORS:
        (generated / f"{accelerator.module}.hpp").write_text(accelerator_header(accelerator))
    includes = "".join(f'#include "cosoc/generated/{accelerator.module}.hpp"\n' for accelerator in ACCELERATORS)
    (folder / "main.cpp").write_text(f"#include <iostream>\n{includes}\nint main() {{\n{body}}}\n")
    command = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-I.", "main.cpp", "-o", "main"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    run = subprocess.run(["./main"], cwd=folder, input=text, capture_output=True, text=True, timeout=20, check=True)
    return [int(word) for word in run.stdout.split()]


def test_decode_and_encode_are_those_of_python(tmp_path: Path) -> None:
    """Random bits: every member has its field's value, sign included, and encoding gives the field's bits back."""
    rng = random.Random(3)
    body, text, expected = [], [], []
    for record in RECORDS:
        print_members = " << ' ' ".join(f"<< +value.{item.name}" for item in record.members)
        body.append(
            f"  for (int i = 0; i < {ROUNDS}; ++i) {{\n    std::array<std::uint32_t, {record.words}> words;\n"
            f"    for (auto& word : words) std::cin >> word;\n    const auto value = {record.cpp}::decode(words);\n"
            f"    std::cout {print_members} << '\\n';\n"
            "    for (const auto word : value.encode()) std::cout << word << '\\n';\n  }\n"
        )
        for _ in range(ROUNDS):
            words = [rng.getrandbits(32) for _ in range(record.words)]
            text += words
            values = decode_fields(record.fields, words) | dict(record.fixed)
            expected += [values[item.name] for item in record.members]
            expected += encode_fields(record.fields, values, words=record.words, what="test")
    assert compile_and_run(tmp_path, "".join(body), "\n".join(map(str, text))) == expected


def test_defaults_and_values_that_are_too_large(tmp_path: Path) -> None:
    """A new structure has zeros and no waits; members that are all ones spill into no other field."""
    body, expected = [], []
    for record in RECORDS:
        body.append(f"  for (const auto word : {record.cpp}{{}}.encode()) std::cout << word << '\\n';\n")
        waits = {item.name: 255 for item in record.members if item.name.startswith("wait_")}
        expected += encode_fields(record.fields, dict(record.fixed) | waits, words=record.words, what="test")
        for item in record.members:
            value = f"static_cast<decltype({record.cpp}::{item.name})>(-1)"
            body.append(
                f"  {{ {record.cpp} one{{}}; one.{item.name} = {value};\n"
                "    for (const auto word : one.encode()) std::cout << word << '\\n'; }\n"
            )
            full = -1 if item.signed else (1 << item.width) - 1
            values = dict(record.fixed) | waits | {item.name: full}
            expected += encode_fields(record.fields, values, words=record.words, what="test")
    assert compile_and_run(tmp_path, "".join(body)) == expected


def test_constants_and_enumerations(tmp_path: Path) -> None:
    isa = "cosoc::conv2d::isa"
    names = [f"{isa}::{constant.name}" for constant in INSTRUCTION_SET.constants]
    names += [f"static_cast<int>({isa}::Opcode::{opcode.name.lower()})" for opcode in Opcode]
    names += [f"static_cast<int>({isa}::Unit::{unit.name.lower()})" for unit in Unit]
    names += [f"static_cast<int>({isa}::{layout.opcode.name.title()}::unit)" for layout in INSTRUCTION_SET.layouts]
    names += [f"static_cast<int>({isa}::{layout.opcode.name.title()}::opcode)" for layout in INSTRUCTION_SET.layouts]
    found = compile_and_run(tmp_path, "".join(f"  std::cout << {name} << '\\n';\n" for name in names))
    units = [Unit.LOAD, Unit.WEIGHTS, Unit.WEIGHTS, Unit.COMPUTE, Unit.COMPUTE, Unit.COMPUTE, Unit.COMPUTE, Unit.STORE]
    numbers = {constant.name: value for constant, value in zip(INSTRUCTION_SET.constants, found, strict=False)}
    assert numbers == {
        "instruction_bytes": 32,
        "instruction_words": 8,
        "no_wait": 255,
        "micro_entries": 4,
        "micro_operations": 1024,
        "residual_fraction_int8": RESIDUAL_FRACTION[8],
        "residual_fraction_int16": RESIDUAL_FRACTION[16],
    }
    assert found[len(numbers) :] == [*range(8), *range(4), *units, *range(8)]


def changed(**changes: object) -> Accelerator:
    """The engine with another first instruction."""
    first, *rest = INSTRUCTION_SET.layouts
    return replace(CONV2D, instructions=InstructionSet((replace(first, **changes), *rest), INSTRUCTION_SET.constants))


LOAD = INSTRUCTION_SET.layouts[0]
CHANGES = {
    "no instructions": replace(CONV2D, instructions=None),
    "a moved field": changed(fields=(*LOAD.fields[:-1], replace(LOAD.fields[-1], lsb=LOAD.fields[-1].lsb + 1))),
    "a signed field": changed(fields=(*LOAD.fields[:-1], replace(LOAD.fields[-1], signed=not LOAD.fields[-1].signed))),
    "another unit": changed(unit=Unit.STORE),
    "other defaults": changed(defaults={}),
    "another constant": replace(CONV2D, instructions=InstructionSet(INSTRUCTION_SET.layouts, (Constant("no_wait", 254, ""),))),
    "another command": replace(CONV2D, command=CommandLayout(())),
}


@pytest.mark.parametrize("name", CHANGES)
def test_layout_hash_covers(name: str) -> None:
    assert CHANGES[name].layout_hash() != CONV2D.layout_hash()


def test_layout_hash_ignores_documentation() -> None:
    fields = tuple(replace(item, doc="other words") for item in LOAD.fields)
    assert changed(fields=fields).layout_hash() == CONV2D.layout_hash()
