"""Makes the bundle of the trained network: `python -m cosoc.apps.speech.bundle --output DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from cosoc.apps.speech import data
from cosoc.apps.speech.model import WEIGHTS, load_trained
from cosoc.converter import Bundle, convert


def build_bundle(weights: Path = WEIGHTS, progress: Callable[[str], None] | None = None) -> Bundle:
    """Converts the trained network for one spectrogram at a time, calibrated on clips of training voices."""
    model = load_trained(weights)
    with torch.no_grad():
        spectrograms = model.front_end(data.calibration_set().clips)
    return convert(model.network, spectrograms[:1], calibration=spectrograms, name="speech", progress=progress)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="convert the network of spoken commands")
    parser.add_argument("--output", type=Path, required=True, help="directory of the bundle")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="weights that the training wrote")
    arguments = parser.parse_args()
    build_bundle(arguments.weights, progress=lambda step: print(f"speech: {step}", file=sys.stderr, flush=True)).save(
        arguments.output
    )


if __name__ == "__main__":
    main()
