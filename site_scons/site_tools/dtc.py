"""SCons tool: `env.Dtbo("x.dtbo", "x.dtso")` compiles a device-tree overlay; warnings are errors."""

from __future__ import annotations

from typing import Any

from SCons.Script import Action, Builder


def exists(env: Any) -> bool:
    """The compiler is on the PATH."""
    return bool(env.WhereIs("dtc"))


def generate(env: Any) -> None:
    """Adds the builder. `-@` keeps the symbols through which other overlays refer to these nodes."""
    action = Action("dtc -@ -E no_error -I dts -O dtb -o $TARGET $SOURCE", "dtc $TARGET")
    env["BUILDERS"]["Dtbo"] = Builder(action=action, suffix=".dtbo", src_suffix=".dtso")
