"""The digits network as a demonstration."""

from __future__ import annotations

from PIL import Image

from cosoc.apps import pictures
from cosoc.apps.demonstration import Demonstration, Outputs, names_rightly, pick, probabilities
from cosoc.apps.digits import data
from cosoc.apps.digits.bundle import build_bundle
from cosoc.apps.digits.model import load_trained

TILES, COLUMNS, SCALE = 24, 8, 4


def demonstration() -> Demonstration:
    """The trained network over its 540 test images."""
    digits = data.load()
    labels = digits.test_labels.numpy()
    right = names_rightly(labels)

    def picture(reference: Outputs, deployed: Outputs) -> Image.Image:
        good, found = right(deployed), probabilities(deployed[0])
        tiles = [
            pictures.Tile(
                pictures.grey(-digits.test_images[index, 0].numpy(), SCALE),
                f"{found[index].argmax()}   {100 * found[index].max():.0f} %",
                f"it is {labels[index]}; PyTorch {reference[0][index].argmax()}",
                bool(good[index]),
            )
            for index in pick(good, TILES)
        ]
        subtitle = f"int8 on the accelerators: {int(good.sum())} of {len(good)} test images right"
        return pictures.grid(tiles, "Handwritten digits", subtitle, COLUMNS)

    return Demonstration(
        name="digits",
        title="handwritten digits: a VGG-style CNN, int8 on the accelerators",
        sample="image",
        model=load_trained(),
        inputs=digits.test_images,
        build_bundle=lambda: build_bundle(digits=digits),
        right=right,
        picture=picture,
    )
