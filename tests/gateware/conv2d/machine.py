"""The C++ model of the engine as a function: commands and memory in, errors and memory out."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.conv2d.config import COMMAND, Conv2DConfig
from cosoc.gateware.layout.cpp import accelerator_header, page_header
from cosoc.gateware.layout.page import Error

_ROOT = Path(__file__).resolve().parents[3]
_SOURCES = (
    "tests/gateware/conv2d/machine.cpp",
    *(
        f"software/drivers/conv2d/{name}.cpp"
        for name in (
            "machine",
            "machine_compute",
            "model",
            "program",
            "program_accesses",
            "program_checker",
            "array_work",
            "schedule",
            "simulation_units",
            "feature_banks",
            "bursts",
            "shared_memory",
            "read_port",
            "write_port",
            "instruction_stream",
        )
    ),
    "software/device/functional/command_memory.cpp",
    "software/device/memory.cpp",
    "software/kernels/patches.cpp",
)
_FLAGS = ("-std=c++20", "-O2", "-ffp-contract=off", "-Isoftware")


def execute(
    config: Conv2DConfig,
    commands: Sequence[Mapping[str, int]],
    memory: bytes,
    *,
    address: int,
    window: tuple[int, int] = (0, 2**64 - 1),
    check: bool = True,
) -> tuple[list[Error], bytes]:
    """What the engine does with commands, one after the other, and with memory.

    Args:
        config: the engine's parameters.
        commands: fields of each command; those that are not named are zero.
        memory: its contents before, programs included.
        address: of the first byte of `memory`.
        window: first and last address that transfers may reach.
        check: also check that the waits of the programs suffice.

    Returns:
        The error code of each command, and the contents of memory after all of them.

    Raises:
        ValueError: the waits do not suffice; the message names the instruction.
    """
    parameters = [getattr(config, name) for name in config.__dataclass_fields__]
    words = [word for fields in commands for word in COMMAND.encode(fields)]
    given = struct.pack(f"<{len(parameters) + 2}I", *parameters, len(commands), check)
    given += struct.pack("<4Q", address, len(memory), *window) + struct.pack(f"<{len(words)}I", *words) + memory
    done = subprocess.run([_program()], input=given, capture_output=True, timeout=300, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode().strip())
    errors = struct.unpack_from(f"<{len(commands)}I", done.stdout)
    return [Error(code) for code in errors], done.stdout[4 * len(commands) :]


def _program() -> Path:
    """The compiled model, made again when anything that it is made of has changed."""
    headers = {"page": page_header()} | {item.module: accelerator_header(item) for item in ACCELERATORS}
    state = hashlib.sha256("".join(headers.values()).encode())
    for folder in ("software/device", "software/drivers", "software/kernels"):
        for file in sorted((_ROOT / folder).rglob("*.hpp")):
            state.update(file.read_bytes())
    for source in _SOURCES:
        state.update((_ROOT / source).read_bytes())
    folder = _ROOT / "build" / "tests" / f"conv2d-machine-{state.hexdigest()[:16]}"
    program = folder / "machine"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Several tests may compile at once: each its own files, and the last program wins.
        with tempfile.TemporaryDirectory(dir=folder) as work:
            include = Path(work, "include", "cosoc", "generated")
            include.mkdir(parents=True)
            for name, text in headers.items():
                (include / f"{name}.hpp").write_text(text)
            fresh = Path(work, "machine")
            command = ["g++", *_FLAGS, f"-I{include.parents[1]}", *_SOURCES, "-o", str(fresh)]
            subprocess.run(command, cwd=_ROOT, timeout=500, check=True)
            fresh.replace(program)
    return program
