"""SoCs that a benchmark needs besides the one of the build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILDS = ROOT / "build" / "bench" / "soc"


def build_soc(arguments: dict[str, str], timeout: float) -> Path:
    """Builds the RTL model of a SoC, unless it is there.

    Args:
        arguments: options of scons, such as `{"c2d": "2", "fft": "0"}`.
        timeout: in s.

    Returns:
        its soc.json.

    Raises:
        subprocess.CalledProcessError: the build failed.
    """
    sys.path.insert(0, str(ROOT / "site_scons"))
    import options

    arguments = {"output": str(BUILDS.relative_to(ROOT))} | arguments
    folder = BUILDS / options.read(arguments).variant
    targets = [str(folder / name) for name in ("soc.json", "lib/libcosoc_soc.so")]
    command = ["scons", "-Q", "-s", *(f"{name}={value}" for name, value in arguments.items()), *targets]
    subprocess.run(command, cwd=ROOT, check=True, timeout=timeout)
    return folder / "soc.json"
