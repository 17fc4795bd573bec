"""SCons tool: `env.Task(name, function, dependencies)` is a target that makes no file and runs whenever it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from SCons.Script import Action


def exists(_env: Any) -> bool:
    """Needs nothing."""
    return True


def generate(env: Any) -> None:
    """Adds the method."""
    env.AddMethod(_task, "Task")


def _task(env: Any, name: str, function: Callable[[Any, Any, Any], int], dependencies: Any = (), **variables: Any) -> None:
    """`function(target, source, env)` returns 0 for success; `variables` are in its environment."""
    alias = env.Clone(**variables).Alias(name, dependencies, Action(function, None))
    env.AlwaysBuild(alias)
