"""Checks that compilers, headers and programs are there, with the Debian package of each that is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from SCons.Script import Configure, Exit

_HEADERS = {
    "nlohmann/json.hpp": "nlohmann-json3-dev",
    "tl/expected.hpp": "libexpected-dev",
    "CLI/CLI.hpp": "libcli11-dev",
}
_XNNPACK = "xnnpack.h"
_SYSTEM_INCLUDE = Path("/usr/include")


def configure(env: Any) -> None:
    """Stops with one message that lists everything missing; results are kept in the output folder.

    Without XNNPACK's header, of libxnnpack-dev and libpthreadpool-dev, CPU kernels do without it: it is not there for the board.
    """
    missing = []
    folder = env["OUTPUT"].abspath
    os.makedirs(folder, exist_ok=True)  # SCons makes the folder of the checks, but not that of their log.
    context = Configure(env, conf_dir=f"{folder}/configure", log_file=f"{folder}/configure.log")
    if not context.CheckCXX():
        missing.append(f"a C++20 compiler {env['CXX']} ({'g++' if env['OPTIONS'].native else 'g++-aarch64-linux-gnu'})")
    else:
        headers = _HEADERS | ({"catch2/catch.hpp": "catch2"} if env["OPTIONS"].native else {})
        # The preprocessor is enough to find them; to compile them takes seconds each.
        missing += [f"{h} ({package})" for h, package in headers.items() if not _found(context, h)]
        env["XNNPACK_FLAGS"] = ["-DCOSOC_XNNPACK"] if _found(context, _XNNPACK) else []
    programs = {"clang++-16": "clang-16", "verilator": "./dev setup"} if env["OPTIONS"].native else {"dtc": "device-tree-compiler"}
    missing += [f"{name} ({package})" for name, package in programs.items() if not env.WhereIs(name)]
    context.Finish()
    if missing:
        print(f"scons: missing: {', '.join(missing)}. `./dev setup` installs the packages in parentheses", file=sys.stderr)
        Exit(2)


def _found(context: Any, header: str) -> bool:
    action = "$CXX -E $CXXFLAGS $_CPPINCFLAGS -o $TARGET $SOURCE"
    found: bool = context.TryAction(action, f"#include <{header}>\n", ".cpp")[0]
    return found


def header_links(env: Any) -> Any:
    """A folder of links to the libraries that are headers only.

    A cross compiler must not see /usr/include, which is the C library of this machine.
    """
    folder = env["OUTPUT"].Dir("header-only")
    os.makedirs(folder.abspath, exist_ok=True)
    for header in _HEADERS:
        name = header.partition("/")[0]
        link, library = Path(folder.abspath, name), _SYSTEM_INCLUDE / name
        if not link.is_symlink():
            link.symlink_to(library)
    return folder
