"""SCons tool: `env.Dtbo("x.dtbo", "x.dtso")` compiles a device-tree overlay; warnings are errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from SCons.Script import Action, Builder


def exists(env: Any) -> bool:
    """The compiler is on the PATH."""
    return bool(env.WhereIs("dtc"))


def generate(env: Any) -> None:
    """Adds the builder."""
    env["BUILDERS"]["Dtbo"] = Builder(action=Action(_compile, "dtc $TARGET"), suffix=".dtbo", src_suffix=".dtso")


def _compile(target: Any, source: Any, env: Any) -> int:
    """`-@` keeps the symbols through which other overlays refer to these nodes."""
    command = ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(target[0]), str(source[0])]
    result = subprocess.run(command, env=env["ENV"], capture_output=True, text=True, check=False)
    print(result.stderr, end="", file=sys.stderr)
    # dtc cannot turn all its warnings into errors.
    return 1 if result.stderr else result.returncode
