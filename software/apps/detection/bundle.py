"""Makes the bundle of the trained detector: `python -m cosoc.apps.detection.bundle --output DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cosoc.apps.detection import scenes
from cosoc.apps.detection.model import WEIGHTS, load_trained
from cosoc.converter import Bundle, convert


def build_bundle(weights: Path = WEIGHTS, progress: Callable[[str], None] | None = None) -> Bundle:
    """Converts the trained network for one picture at a time, calibrated on scenes with training digits."""
    images = scenes.calibration_set().images
    return convert(load_trained(weights), images[:1], calibration=images, name="detection", progress=progress)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="convert the detector of digits")
    parser.add_argument("--output", type=Path, required=True, help="directory of the bundle")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="weights that the training wrote")
    arguments = parser.parse_args()
    build_bundle(arguments.weights, progress=lambda step: print(f"detection: {step}", file=sys.stderr, flush=True)).save(
        arguments.output
    )


if __name__ == "__main__":
    main()
