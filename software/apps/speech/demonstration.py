"""The network of spoken commands as a demonstration."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from cosoc.apps import pictures
from cosoc.apps.demonstration import Demonstration, Outputs, names_rightly, pick, probabilities
from cosoc.apps.speech import data
from cosoc.apps.speech.bundle import FRONT_END, build_bundle
from cosoc.apps.speech.model import load_trained

TILES, COLUMNS, SCALE = 12, 4, 4


def demonstration() -> Demonstration:
    """The trained network over its 400 test clips."""
    model = load_trained()
    speech = data.test_set()
    labels = speech.labels.numpy()
    right = names_rightly(labels)
    with torch.no_grad():
        spectrograms = model.front_end(speech.clips)

    def picture(reference: Outputs, deployed: Outputs) -> Image.Image:
        good, found = right(deployed), probabilities(deployed[0])
        tiles = []
        for index in pick(good, TILES):
            said = f"said: {data.WORDS[labels[index]]};  PyTorch hears: {data.WORDS[reference[0][index].argmax()]}"
            heard = f"{data.WORDS[found[index].argmax()]}   {100 * found[index].max():.0f} %"
            # Time goes to the right, frequency upwards.
            image = pictures.heat(np.ascontiguousarray(spectrograms[index, 0].numpy().T[::-1]), SCALE)
            tiles.append(pictures.Tile(image, heard, said, bool(good[index])))
        subtitle = f"int8 on the accelerators: {int(good.sum())} of {len(good)} noisy clips of unseen synthetic voices right"
        return pictures.grid(tiles, "Spoken commands: log-mel spectrograms, and what the network hears", subtitle, COLUMNS)

    return Demonstration(
        name="speech",
        title="ten spoken commands (synthetic speech): log-mel spectrograms on FFT and ZIP, then a CNN, int8 on the accelerators",
        sample="clip",
        model=model,
        inputs=speech.clips,
        build_bundle=lambda: build_bundle(force=FRONT_END),
        right=right,
        picture=picture,
    )
