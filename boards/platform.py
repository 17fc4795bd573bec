"""What a board is to the rest of the build; every `boards/<name>/platform.py` defines one as `PLATFORM`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cosoc.gateware.resources import Resources

BLOCK_BYTES = 0x1_0000
"""Address range of one accelerator's registers."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA.

    Attributes:
        part: the vendor's name.
        resources: all that it has.
        usable: percentage that accelerators may take; the rest is for interconnect and for routing.
    """

    part: str
    resources: Resources
    usable: int


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Addresses, interrupts, clocks and memory ports of one board.

    Attributes:
        name: folder under boards/ and value of the build option.
        title: name for people.
        counts: default numbers of accelerators.
        parameters: default parameters of accelerators that are not those of their `Config`, by `<name>_<parameter>`.
        architecture: `native`, or the prefix of the cross compiler's triple (`aarch64`).
        clock_hz: clock of all accelerators.
        cpu_cores: cores for CPU kernels.
        memory_base, memory_bytes: memory that CPU and accelerators share.
        memory_latency_ns: from an accelerator's read address to the first word, as the models of the SoC take it.
        register_base, register_bytes: window of the accelerators' registers.
        interrupts: interrupt numbers of the lines that accelerators can drive, as a device tree counts them (SPI).
        memory_ports: ports to memory, in the order in which accelerators take them.
        device: the FPGA whose resources limit the accelerators; None: unlimited.
        rtl: an RTL model of the SoC belongs to the build.
    """

    name: str
    title: str
    counts: Mapping[str, int]
    architecture: str
    clock_hz: int
    cpu_cores: int
    memory_base: int
    memory_bytes: int
    memory_latency_ns: int
    register_base: int
    register_bytes: int
    interrupts: tuple[int, ...]
    memory_ports: tuple[str, ...]
    device: Device | None
    rtl: bool
    parameters: Mapping[str, int] = field(default_factory=dict)


def board_names() -> list[str]:
    """Boards that there are: the folders beside this file that contain a platform.py."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/platform.py"))


def load_platform(name: str) -> Platform:
    """The platform of one of `board_names()`."""
    platform = importlib.import_module(f"cosoc.boards.{name}.platform").PLATFORM
    assert isinstance(platform, Platform)
    return platform
