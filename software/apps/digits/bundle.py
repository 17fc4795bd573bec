"""Makes the bundle of the trained network: `python -m cosoc.apps.digits.bundle --output DIR`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cosoc.apps.bundles import main
from cosoc.apps.digits.data import Digits, load
from cosoc.apps.digits.model import WEIGHTS, load_trained
from cosoc.converter import Bundle, convert

CALIBRATION_IMAGES = 128
"""Training images from which the scales of the activations come."""


def build_bundle(weights: Path = WEIGHTS, digits: Digits | None = None, progress: Callable[[str], None] | None = None) -> Bundle:
    """Converts the trained network for one image at a time, calibrated on training images."""
    images = (digits or load()).train_images[:CALIBRATION_IMAGES]
    return convert(load_trained(weights), images[:1], calibration=images, name="digits", progress=progress)


if __name__ == "__main__":
    main("digits", WEIGHTS, lambda weights, progress: build_bundle(weights, progress=progress))
