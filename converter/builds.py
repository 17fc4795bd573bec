"""Builds of SoCs by their options: each is made once, and again when its sources have changed."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cosoc.converter.errors import ConversionError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SOC = "board=sim c2d=1 fft=1 zip=1"
"""What is built where no SoC is given."""

SOURCES = ("SConstruct", "site_scons", "gateware", "software", "runtime", "sim", "boards")
"""What a simulator and the runtime are made from."""

STAMP = "sources.json"
"""In the folder of a build: for each file that was made here, the digest of its sources."""

FOLDER = """
import sys
sys.path.insert(0, "site_scons")
import options
try:
    chosen = options.read(dict(argument.split("=", 1) for argument in sys.argv[1:]))
except (options.OptionError, ValueError) as error:
    sys.exit(str(error))
print(f"{chosen.output}/{chosen.variant}")
"""
"""Prints the folder of a build, as the build itself names it."""


def find_build(soc: str | Path | None, mode: str, tell: Callable[[str], None]) -> Path:
    """The directory of a build that a mode can use.

    Where options name it, it is made when it is not there, and SCons brings it up to date when sources have changed since then.

    Args:
        soc: a directory with soc.json, which is taken as it is, or the options of a build, such as "c2d=2 fft=1".
        mode: "rtl" needs the simulator of the SoC, the others its description and the runtime.

    Raises:
        ConversionError: no such directory, options that the build refuses, or the build fails.
    """
    text = DEFAULT_SOC if soc is None else str(soc)
    if "=" not in text:
        if not (Path(text) / "soc.json").is_file():
            raise ConversionError(f'{text} is no build; expected a directory with soc.json, or options such as "c2d=2 fft=1"')
        return Path(text)
    options = shlex.split(text)
    found = subprocess.run([sys.executable, "-c", FOLDER, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise ConversionError(f"the build refuses {text}: {found.stderr.strip().splitlines()[-1]}")
    folder = ROOT / found.stdout.strip().splitlines()[-1]
    needed = ["soc.json", "lib/libcosoc.so", *(["lib/libcosoc_soc.so"] if mode == "rtl" else [])]
    digest, stamps = sources_digest(ROOT), read_stamps(folder)
    there = all((folder / file).is_file() for file in needed)
    if there and all(stamps.get(file) == digest for file in needed):
        return folder
    tell(f"bringing {folder.name} up to date" if there else f"building {folder.name}, once")
    run_scons(text, options, [folder / file for file in needed], tell)
    (folder / STAMP).write_text(json.dumps({**stamps, **dict.fromkeys(needed, digest)}, indent=1) + "\n")
    return folder


def run_scons(text: str, options: Sequence[str], files: Sequence[Path], tell: Callable[[str], None]) -> None:
    """Makes files of a build; each line of SCons is told.

    Raises:
        ConversionError: it fails.
    """
    command = [sys.executable, "-m", "SCons", "-Q", *options, *map(str, files)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as build:
        assert build.stdout is not None
        last = ""
        for line in build.stdout:
            last = line.strip() or last
            tell(last)
    if build.returncode != 0:
        raise ConversionError(f"the build of {text} fails: {last}")


def sources_digest(root: Path) -> str:
    """SHA-256 over names, sizes and times of all sources: what differs from the last time SCons examines by content."""
    digest = hashlib.sha256()
    for file in sorted(source_files(root)):
        status = file.stat()
        digest.update(f"{file.relative_to(root)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def source_files(root: Path) -> Iterator[Path]:
    """Files of the sources, without what Python keeps beside them."""
    for name in SOURCES:
        path = root / name
        files = path.rglob("*") if path.is_dir() else [path]
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def read_stamps(folder: Path) -> Mapping[str, str]:
    """What the stamp of a build says; nothing where there is none or it cannot be read."""
    try:
        found = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
