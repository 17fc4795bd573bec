"""SCons tool: headers that most files include, compiled once.

    env = env.Precompiled("#software/precompiled.hpp")
        an environment whose C++ files begin with that header, as g++ has it after one reading. Its flags must not change after
        that: g++ compares them with those of the header.

Only for `mode=release` on this machine. The other builds compile without, so that there a file that forgets an include does not
compile.
"""

from __future__ import annotations

import hashlib
from typing import Any

from SCons.Defaults import SharedObjectEmitter, StaticObjectEmitter
from SCons.Script import Action
from SCons.Tool import createObjBuilders

_compiled: dict[str, Any] = {}
"""Those that there are, by path."""


def exists(_env: Any) -> bool:
    """g++ can do it."""
    return True


def generate(env: Any) -> None:
    """Adds the method; objects of C++ wait for what PRECOMPILED names."""
    for builder, emitter in zip(createObjBuilders(env), (StaticObjectEmitter, SharedObjectEmitter), strict=True):
        builder.add_emitter(".cpp", _waiting(emitter))
    env["PRECOMPILED"] = []
    env.AddMethod(_precompiled, "Precompiled")


def _waiting(emitter: Any) -> Any:
    def emit(target: Any, source: Any, env: Any) -> Any:
        # Order alone: objects do not change with the way in which their headers were read.
        env.Requires(target, env["PRECOMPILED"])
        return emitter(target, source, env)

    return emit


def _precompiled(env: Any, header: str) -> Any:
    clone = env.Clone()
    if not env["OPTIONS"].native or env["OPTIONS"].mode != "release":
        return clone
    source = env.File(header)
    # One serves programs and libraries.
    clone.AppendUnique(CXXFLAGS=["-fPIC", "-Winvalid-pch"])
    flags = hashlib.sha256(str(clone["CXXFLAGS"]).encode()).hexdigest()[:8]
    folder = env["VARIANT"].Dir(f"obj/precompiled/{flags}")
    compiled = folder.File(f"{source.name}.gch")
    if str(compiled) not in _compiled:
        command = "$CXX $CXXFLAGS $CCFLAGS $_CCCOMCOM -x c++-header -o $TARGET $SOURCE"
        _compiled[str(compiled)] = clone.Command(compiled, source, Action(command, "compile $TARGET"))
        # A hundred megabytes, made in seconds.
        env.NoCache(compiled)
    include = folder.File(source.name).get_path(env.Dir("#"))
    return clone.Clone(PRECOMPILED=_compiled[str(compiled)], CXXFLAGS=[*clone["CXXFLAGS"], "-include", include])
