"""SCons tool: files written by our Python packages.

    env.PythonText(target, text, modules=[...])
        `target` gets the text that the function `text()` returns. It is called only when the target is made.
    env.PythonRun(targets, module, arguments, modules=[...], sources=[...])
        runs `python -m module arguments`; SCons's variables such as `$TARGET` may stand in `arguments`.

In both, `modules` names the packages and modules whose code decides the result: when one of their files, or of the files that
those import, changes, the target is made again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from python_sources import python_sources
from SCons.Script import Action, Value


def exists(_env: Any) -> bool:
    """The packages are always there: SConstruct itself uses them."""
    return True


def generate(env: Any) -> None:
    """Adds the builders."""
    env.AddMethod(_python_text, "PythonText")
    env.AddMethod(_python_run, "PythonRun")
    env["PYTHON"] = sys.executable


def _python_text(
    env: Any, target: Any, text: Callable[[], str | bytes], *, modules: Sequence[str], values: object = None, sources: Any = ()
) -> Any:
    """`values` is whatever else the text depends on: the SoC, for example."""

    # The text is no part of the action's signature; what decides it are `values` and the modules.
    node = env.Command(target, [*env.Flatten([sources]), Value(repr(values))], Action(_write, "generate $TARGET"), TEXT=text)
    env.Depends(node, [f"#{path}" for path in python_sources(*modules)])
    return node


def _write(target: Any, source: Any, env: Any) -> None:
    content = env["TEXT"]()
    Path(str(target[0])).write_bytes(content if isinstance(content, bytes) else content.encode())


def _python_run(env: Any, targets: Any, module: str, arguments: str, *, modules: Sequence[str] = (), sources: Any = ()) -> Any:
    action = Action(f"$( $PYTHON $) -m {module} {arguments}", f"{module} $TARGET")
    node = env.Command(targets, sources, action)
    env.Depends(node, [f"#{path}" for path in python_sources(module, *modules)])
    return node
