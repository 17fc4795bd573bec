"""Makes the bundle of the trained detector: `python -m cosoc.apps.detection.bundle --output DIR`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cosoc.apps.bundles import main
from cosoc.apps.detection import scenes
from cosoc.apps.detection.model import WEIGHTS, load_trained
from cosoc.converter import Bundle, convert


def build_bundle(weights: Path = WEIGHTS, progress: Callable[[str], None] | None = None) -> Bundle:
    """Converts the trained network for one picture at a time, calibrated on scenes with training digits."""
    images = scenes.calibration_set().images
    return convert(load_trained(weights), images[:1], calibration=images, name="detection", progress=progress)


if __name__ == "__main__":
    main("detection", WEIGHTS, build_bundle)
