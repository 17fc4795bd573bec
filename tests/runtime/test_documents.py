"""The examples of docs/programs.md print what stands behind them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def example(language: str) -> tuple[str, str]:
    """The program of a language, and what it prints."""
    found = re.search(rf"```{language}\n(.*?)```\n\n```\n(.*?)```\n", (ROOT / "docs" / "programs.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1], found[2]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "compiler"), [("cpp", ["g++", "-std=c++20"]), ("c", ["gcc", "-std=c11"])])
def test_compiled_examples(build: Path, tmp_path: Path, language: str, compiler: list[str]) -> None:
    text, expected = example(language)
    source, program, library = tmp_path / f"example.{language}", tmp_path / "example", build / "lib"
    source.write_text(text)
    include = [f"-I{ROOT / folder}" for folder in ("runtime/include", "software")]
    flags = ["-O0", "-Wall", "-Wextra", "-Werror", *include, f"-L{library}", f"-Wl,-rpath,{library}"]
    run(*compiler, source, *flags, "-lcosoc", "-o", program)
    assert run(program, build) == expected


def test_python_example(build: Path, tmp_path: Path) -> None:
    text, expected = example("python")
    source = tmp_path / "example.py"
    source.write_text(text)
    assert run(sys.executable, source, build) == expected
