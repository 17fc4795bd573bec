"""The command line `python -m cosoc.apps.<name>.bundle`, the same for every application."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cosoc.converter import Bundle

Progress = Callable[[str], None]


def main(name: str, weights: Path, build: Callable[[Path, Progress], Bundle]) -> None:
    """Converts the trained network of an application and writes its bundle.

    Args:
        name: of the application, in messages.
        weights: file that its training wrote, unless the command line names another.
        build: weights and progress -> the bundle.
    """
    parser = argparse.ArgumentParser(description=f"convert the network of {name}")
    parser.add_argument("--output", type=Path, required=True, help="directory of the bundle")
    parser.add_argument("--weights", type=Path, default=weights, help="weights that the training wrote")
    arguments = parser.parse_args()
    build(arguments.weights, lambda step: print(f"{name}: {step}", file=sys.stderr, flush=True)).save(arguments.output)
