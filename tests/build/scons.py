"""Calls SCons as a user does, with everything it writes in a folder of the test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def scons(*words: str, output: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The finished process, its messages as text."""
    command = [sys.executable, "-m", "SCons", "-Q", f"output={output}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
