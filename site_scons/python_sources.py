"""Which Python files a generation step depends on: SCons does not see imports, so they are read from the sources."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from cosoc.gateware.accelerators import MODULES

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = {
    "cosoc": "software/package",
    "cosoc.gateware": "gateware",
    "cosoc.converter": "converter",
    "cosoc.runtime": "runtime/python",
    "cosoc.sim": "sim",
    "cosoc.boards": "boards",
    "cosoc.cli": "software/cli",
    "cosoc.apps": "software/apps",
}


def python_sources(*modules: str) -> list[str]:
    """Files of these modules and of all modules of ours that they import, directly or not; paths relative to the root, sorted.

    A package that is named contributes all its modules: parts of it may be imported by computed names.
    """
    found: set[Path] = set()
    waiting = [path for module in modules for path in _files(module, whole=True)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(str(path.relative_to(ROOT)) for path in found)


@functools.cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of ours that one file imports."""
    files: list[Path] = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import module` and `from module import name` look alike; a name that is no file adds nothing.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            files += _files(name, whole=False)
    if path == ROOT / "gateware" / "accelerators.py":
        # It imports the accelerators by the names in its list.
        files += [file for module in MODULES for file in _files(f"cosoc.gateware.{module}.accelerator", whole=False)]
    return tuple(files)


def _files(module: str, *, whole: bool) -> list[Path]:
    """The files of a module of ours: its own, those of the packages around it, and all inside it if `whole`."""
    package = ".".join(module.split(".")[:2])
    if package not in PACKAGES:
        return []
    path = ROOT / PACKAGES[package]
    files = [path / "__init__.py"]
    for part in module.split(".")[2:]:
        path /= part
        files.append(path / "__init__.py")
    files.append(path.with_suffix(".py"))
    if whole:
        files += path.rglob("*.py")
    return [file for file in files if file.is_file()]
