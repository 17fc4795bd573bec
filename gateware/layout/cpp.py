"""C++ headers of registers, commands and instructions: what drivers are compiled against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, IntFlag

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.layout.command import COMPLETION, CommandField
from cosoc.gateware.layout.instruction import InstructionLayout, InstructionSet
from cosoc.gateware.layout.page import COMMAND_WORDS, ERROR_DOC, ID_PREFIX, PAGE, SLOT_BYTES, VERSION, Error
from cosoc.gateware.layout.registers import Register

_BANNER = "// Generated from gateware/; edit there.\n#pragma once\n\n"
_INCLUDES = "#include <array>\n#include <cstdint>\n#include <span>\n#include <string_view>\n\n"


def page_header() -> str:
    """`cosoc/generated/page.hpp`: the common registers, error codes and the completion."""
    lines = [_BANNER + _INCLUDES + "namespace cosoc {\n"]
    lines.append(_constant("id_prefix", ID_PREFIX, "upper 24 bits of the ID register"))
    lines.append(_constant("page_version", VERSION, "version of the common page"))
    lines.append(_constant("slot_bytes", SLOT_BYTES, "bytes of a ring slot"))
    lines.append(_constant("command_words", COMMAND_WORDS, "words of a slot that software writes; the completion follows"))
    lines.append("\nusing CommandWords = std::array<std::uint32_t, command_words>;\n")
    lines.append("\n/// Byte offsets of the common registers, and masks of their fields.\nnamespace page {")
    lines += [_register(register) for register in PAGE]
    lines.append("}  // namespace page\n")
    lines.append(_enum(Error, "Why a command failed."))
    lines.append("/// The meaning of an error code.\nconstexpr std::string_view describe(std::uint32_t code) {\n  switch (code) {")
    lines += [f'    case {int(code)}: return "{text}";' for code, text in ERROR_DOC.items()]
    lines.append('    default: return "unknown error code";\n  }\n}\n')
    lines.append(_struct("CompletionRecord", COMPLETION, 4, "What the hardware writes into the last four words of a slot."))
    lines.append("}  // namespace cosoc\n")
    return "\n".join(lines)


def accelerator_header(accelerator: Accelerator) -> str:
    """`cosoc/generated/<module>.hpp`: hash, parameters by capability register, enumerations, the command, and instructions."""
    lines = [_BANNER + '#include "cosoc/generated/page.hpp"\n\n' + f"namespace cosoc::{accelerator.module} {{\n"]
    lines.append(f'inline constexpr std::string_view name = "{accelerator.name}";')
    lines.append(_constant("kind", accelerator.kind, "bits 7..0 of the ID register"))
    lines.append(_constant("layout_hash", accelerator.layout_hash(), "registers and commands that this header describes"))
    lines.append(f"\n/// Parameters of one {accelerator.title}, as its capability registers tell them.\nstruct Config {{")
    lines += [f"  std::uint32_t {name};" for name in accelerator.config.__dataclass_fields__]
    count = len(accelerator.config.__dataclass_fields__)
    lines.append(f"  static constexpr std::array<std::string_view, {count}> names = {{")
    lines.append(", ".join(f'"{name}"' for name in accelerator.config.__dataclass_fields__) + "};")
    lines.append(f"  static constexpr Config from(std::span<const std::uint32_t, {count}> capability) {{")
    lines.append(f"    return {{{', '.join(f'capability[{i}]' for i in range(count))}}};\n  }}\n}};\n")
    lines += [_enum(enum, (enum.__doc__ or enum.__name__).splitlines()[0]) for enum in accelerator.enums]
    lines.append(_struct("Command", list(accelerator.command), COMMAND_WORDS, f"A command of {accelerator.title}."))
    if accelerator.instructions:
        lines += _instruction_set(accelerator.instructions)
    lines.append(f"}}  // namespace cosoc::{accelerator.module}\n")
    return "\n".join(lines)


def accelerators_header(accelerators: Sequence[Accelerator]) -> str:
    """`cosoc/generated/accelerators.hpp`: the table of all kinds, with the driver and the functional model of each."""
    headers = ["drivers/accelerator_kind.hpp"]
    headers += sorted(f"drivers/{item.module}/{part}.hpp" for item in accelerators for part in ("driver", "model"))
    lines = [_BANNER + "".join(f'#include "{header}"\n' for header in headers)]
    lines.append("namespace cosoc {\n\n/// In the order of gateware/accelerators.py.")
    lines.append("inline constexpr std::array accelerator_kind_table = {")
    for item in accelerators:
        types = ", ".join(f"{item.module}::{name}" for name in ("Config", f"{item.title}Driver", f"{item.title}Model"))
        values = ", ".join(f"{item.module}::{name}" for name in ("name", "kind", "layout_hash"))
        lines.append(f"    accelerator_kind<{types}>({values}),")
    lines.append("};\n\n}  // namespace cosoc\n")
    return "\n".join(lines)


def _instruction_set(instructions: InstructionSet) -> list[str]:
    """Namespace `isa`: constants, opcodes, units, and a structure for each instruction."""
    return [
        "/// Instructions of the programs that commands name.\nnamespace isa {\n",
        *(_constant(constant.name, constant.value, constant.doc) for constant in instructions.constants),
        "",
        _enum(instructions.opcodes, "Opcodes of instructions."),
        _enum(instructions.units, "Units that execute instructions; also the order of the wait fields."),
        *(_instruction(layout) for layout in instructions.layouts),
        "}  // namespace isa\n",
    ]


def _instruction(layout: InstructionLayout) -> str:
    """The structure of one instruction: its opcode is a constant, not a field."""
    opcode, unit = layout.opcode, layout.unit
    constants = [
        f"  static constexpr {type(opcode).__name__} opcode = {type(opcode).__name__}::{opcode.name.lower()};",
        f"  static constexpr {type(unit).__name__} unit = {type(unit).__name__}::{unit.name.lower()};\n",
    ]
    doc = f"The fields of {opcode.name}. It encodes its opcode; it decodes the words of an instruction that has this opcode."
    return _struct(opcode.name.title(), layout.fields, layout.words, doc, constants=constants, defaults=layout.defaults)


def _constant(name: str, value: int, doc: str) -> str:
    return f"inline constexpr std::uint32_t {name} = {value:#x};  // {doc}"


def _register(register: Register) -> str:
    lines = [f"inline constexpr std::uint32_t {register.name} = {register.offset:#05x};  // {register.access}: {register.doc}"]
    for item in register.fields:
        mask = ((1 << item.width) - 1) << item.lsb
        lines.append(f"inline constexpr std::uint32_t {register.name}_{item.name} = {mask:#x};  // {item.doc}")
    return "\n".join(lines)


def _enum(enum: type[IntEnum] | type[IntFlag], doc: str) -> str:
    members = "\n".join(f"  {member.name.lower()} = {int(member)}," for member in enum if member.name)
    # The error enumeration would collide with the library's Error value.
    name = "ErrorCode" if enum is Error else enum.__name__
    return f"/// {doc}\nenum class {name} : std::uint32_t {{\n{members}\n}};\n"


def _struct(
    name: str,
    items: Iterable[CommandField],
    words: int,
    doc: str,
    *,
    constants: Sequence[str] = (),
    defaults: Mapping[str, int] | None = None,
) -> str:
    """A structure of bit fields with `encode` and `decode`. A field `opcode` that is one of the `constants` is only encoded.

    Args:
        words: 32-bit words of its encoded form.
        constants: lines of C++ before the fields.
        defaults: values of fields that are not zero at first.
    """
    items = list(items)
    variables = [item for item in items if not (constants and item.name == "opcode")]
    lines = [f"/// {doc}", f"struct {name} {{", *constants]
    lines += [f"  {_type(item)} {item.name} = {(defaults or {}).get(item.name, 0)};  // {item.doc}" for item in variables]
    lines.append("\n  /// Bits of a value above its field's width are dropped.")
    lines.append(f"  constexpr std::array<std::uint32_t, {words}> encode() const {{")
    lines.append(f"    std::array<std::uint32_t, {words}> encoded{{}};")
    for item in items:
        if item.width == 64:
            lines.append(f"    encoded[{item.word}] = static_cast<std::uint32_t>({item.name});")
            lines.append(f"    encoded[{item.word + 1}] = static_cast<std::uint32_t>({item.name} >> 32);")
        else:
            mask = (1 << item.width) - 1
            lines.append(f"    encoded[{item.word}] |= (static_cast<std::uint32_t>({item.name}) & {mask:#x}U) << {item.lsb};")
    lines.append(
        f"    return encoded;\n  }}\n\n  static constexpr {name} decode(std::span<const std::uint32_t, {words}> encoded) {{"
    )
    lines.append(f"    {name} decoded;")
    lines += [f"    decoded.{item.name} = static_cast<{_type(item)}>({_extract(item)});" for item in variables]
    lines.append("    return decoded;\n  }\n};\n")
    return "\n".join(lines)


def _extract(item: CommandField) -> str:
    """The C++ expression of a field's value, from `encoded`."""
    if item.width == 64:
        return f"encoded[{item.word}] | static_cast<std::uint64_t>(encoded[{item.word + 1}]) << 32"
    if item.signed:
        # The sign bit goes to the top, and comes down again with its copies.
        return f"static_cast<std::int32_t>(encoded[{item.word}] << {32 - item.lsb - item.width}) >> {32 - item.width}"
    return f"encoded[{item.word}] >> {item.lsb} & {(1 << item.width) - 1:#x}U"


def _type(item: CommandField) -> str:
    bits = next(bits for bits in (8, 16, 32, 64) if item.width <= bits)
    return f"std::{'' if item.signed else 'u'}int{bits}_t"
