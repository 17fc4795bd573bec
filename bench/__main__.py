"""Runs benchmarks: `python -m bench [name ...] --output build/bench`; `scons bench[=name]` builds first and calls this."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent


def names() -> list[str]:
    """Benchmarks that there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    """Runs the benchmarks that are named, or all; 1 when one failed."""
    parser = argparse.ArgumentParser(prog="bench", description="benchmarks: a table on the screen, JSON in a folder")
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(names())}; all when absent")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench", help="folder of the JSON files")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    build = Path(os.environ.get("COSOC_BUILD", ROOT / "build" / "sim-c2d1-fft1-zip1"))
    if not (build / "soc.json").is_file():
        parser.error(f"there is no build in {build}; make it with `./dev scons`")
    console = Console(width=None if sys.stdout.isatty() else 132)  # A file has room for whole names.
    failed = False
    for name in options.names or names():
        console.print(f"bench {name} ...", highlight=False)
        try:
            report = importlib.import_module(f"bench.{name}").run(build)
        except Exception as error:  # one benchmark that fails must not hide the others
            console.print(f"bench {name} failed: {error}", style="red", markup=False)
            failed = True
            continue
        report.print(console)
        console.print(f"written to {report.write(options.output)}", highlight=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
