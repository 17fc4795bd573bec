"""What the targets test, test-full, lint, tidy, train and bench run: each stage to its end, then one verdict.

All are SCons actions `(target, source, env)`; they return 0 when everything succeeded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from SCons.Script import Exit

ROOT = Path(__file__).resolve().parent.parent
CPP_FOLDERS = ("software", "runtime", "sim", "tests", "bench")
UNTIDY = ("tests/gateware/arith/", "bench/starpu_times.cpp")
"""They include what their tests make, and what need not be installed."""


def refuse(message: str) -> None:
    """Stops the build with a message for the user."""
    print(f"scons: {message}", file=sys.stderr)
    Exit(2)


def test(target: Any, source: Any, env: Any) -> int:
    """C++ tests, then pytest in one process."""
    return _test(env, full=False)


def test_full(target: Any, source: Any, env: Any) -> int:
    """Static analysis of C++, its tests under sanitizers, then all tests with the slow sweeps."""
    return tidy(target, source, env) | test_sanitizers(target, source, env) | _test(env, full=True)


def test_cpp(target: Any, source: Any, env: Any) -> int:
    """The C++ tests, as the option `mode` has them compiled."""
    return _all([[str(program)] for program in env["PROGRAMS"]], env)


def test_sanitizers(target: Any, source: Any, env: Any) -> int:
    """Builds library and C++ tests with each sanitizer, and runs them."""
    scons = [sys.executable, "-m", "SCons", "-Q", f"output={env['OUTPUT'].Dir('sanitizers').abspath}"]
    return _all([[*scons, f"mode={mode}", "test-cpp"] for mode in ("asan", "tsan")])


def soak(target: Any, source: Any, env: Any) -> int:
    """Everything at once, in one session and then under a daemon, for some minutes; COSOC_SOAK_SECONDS sets another time."""
    seconds = int(os.environ.get("COSOC_SOAK_SECONDS", "180")) // 2
    return _all([[str(program), "[.soak]"] for program in env["PROGRAMS"]], env, COSOC_SOAK_SECONDS=str(seconds))


def lint(target: Any, source: Any, env: Any) -> int:
    """Formats, linters and types."""
    python = [sys.executable, "-m"]
    return _all(
        [
            ["ruff", "check", "."],
            ["ruff", "format", "--check", "."],
            [*python, "mypy", "-p", "cosoc"],
            ["clang-format-16", "--dry-run", "-Werror", *_cpp_files("*.cpp", "*.hpp", "*.h")],
        ]
    )


def tidy(target: Any, source: Any, env: Any) -> int:
    """Static analysis of C++, several files at a time. clang does not know all attributes of g++."""
    folders = [*env["CPPPATH"], *env["TIDY_PATH"]]
    flags = [
        "-std=c++20",
        "-Wno-unknown-attributes",
        "-Wno-ignored-attributes",
        *env["XNNPACK_FLAGS"],
        *(f"-I{env.Dir(folder).abspath}" for folder in folders),
        *env["VERILATED_INCLUDES"],
    ]

    def clean(file: str) -> bool:
        command = ["clang-tidy-16", "--quiet", file, "--", *flags]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"--- clang-tidy-16 {file}\n{done.stdout}{'' if done.stdout else done.stderr}", flush=True)
        return done.returncode == 0

    files = [file for file in _cpp_files("*.cpp") if not file.startswith(UNTIDY)]
    with ThreadPoolExecutor(env.GetOption("num_jobs")) as pool:
        found = list(pool.map(clean, files)).count(False)
    print(f"scons: clang-tidy-16 has something to say on {found} of {len(files)} files", file=sys.stderr)
    return 1 if found else 0


def train(target: Any, source: Any, env: Any) -> int:
    """Trains the networks of the applications and writes their weights into the source tree."""
    return _all([[sys.executable, "-m", f"cosoc.apps.{name}.train"] for name in ("digits", "speech", "detection")])


def fuzz(target: Any, source: Any, env: Any) -> int:
    """Feeds every fuzzer; inputs that found something new are kept in the build folder, those that failed beside them."""
    seconds = os.environ.get("COSOC_FUZZ_SECONDS", "10")
    commands = []
    for program in env["PROGRAMS"]:
        name = Path(str(program)).name.removeprefix("fuzz-")
        folder = Path(env["OUTPUT"].abspath) / "fuzz" / name
        folder.mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", f"-artifact_prefix={folder.parent}/{name}-"]
        commands.append([str(program), *limits, str(folder), str(ROOT / "tests" / "fuzz" / "corpus" / name)])
    return _all(commands, env)


def bench(target: Any, source: Any, env: Any) -> int:
    """Runs one benchmark, or all."""
    chosen = env["OPTIONS"].bench
    names = [] if chosen == "all" else [chosen]
    more = {"COSOC_FULL": "1"} if env["OPTIONS"].full else {}
    return _all([[sys.executable, "-m", "bench", "--output", env["OUTPUT"].Dir("bench").abspath, *names]], env, **more)


def _test(env: Any, *, full: bool) -> int:
    programs = [[str(program)] for program in env["PROGRAMS"]]
    # The tests of a file stay together: they share what its fixtures build.
    more = {"COSOC_FULL": "1"} if full else {}
    return _all([*programs, [sys.executable, "-m", "pytest", "--numprocesses", "auto", "--dist", "loadfile"]], env, **more)


def _cpp_files(*patterns: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for folder in CPP_FOLDERS for p in patterns for path in (ROOT / folder).rglob(p))


def _all(commands: list[list[str]], env: Any = None, **more: str) -> int:
    """Runs every command, also after one that failed; 1 when one did."""
    variables = os.environ | more
    if env is not None:
        variables["COSOC_BUILD"] = env["VARIANT"].abspath
    sys.stdout.flush()
    failed = []
    for command in commands:
        print(f"--- {' '.join(Path(word).name for word in command[:4])}", flush=True)
        try:
            status = subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode
        except FileNotFoundError:
            print(f"{command[0]} is not installed; `./dev setup` installs it", file=sys.stderr)
            status = 1
        if status != 0:
            failed.append(f"{Path(command[0]).name} ended with status {status}")
    for line in failed:
        print(f"scons: {line}", file=sys.stderr)
    return 1 if failed else 0
