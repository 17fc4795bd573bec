"""Makes the bundle of the trained network: `python -m cosoc.apps.speech.bundle --output DIR`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cosoc.apps.bundles import main
from cosoc.apps.speech import data
from cosoc.apps.speech.model import WEIGHTS, load_trained
from cosoc.converter import Bundle, convert

FRONT_END = {"front_end.mul": "zip", "front_end._fft_r2c": "fft", "front_end.abs": "zip"}
"""Where windows, transforms and magnitudes run when no CPU core shall take them."""


def build_bundle(
    weights: Path = WEIGHTS, progress: Callable[[str], None] | None = None, force: Mapping[str, str] | None = None
) -> Bundle:
    """Converts the trained network with its front end for one clip at a time, calibrated on clips of training voices.

    Args:
        force: see `convert`; nothing by default, so that the scheduler has the choice.
    """
    clips = data.calibration_set().clips
    return convert(load_trained(weights), clips[:1], calibration=clips, name="speech", progress=progress, force=force)


if __name__ == "__main__":
    main("speech", WEIGHTS, build_bundle)
