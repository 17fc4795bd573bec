"""Calls SCons as a user does, with everything it writes in a folder of the test."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def scons(*words: str, output: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The finished process, its messages as text. One at a time in a folder: SCons keeps what it knows of it in one file."""
    command = [sys.executable, "-m", "SCons", "-Q", f"output={output}", *words]
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{output}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
