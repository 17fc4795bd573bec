"""The detector of digits as a demonstration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosoc.apps import pictures
from cosoc.apps.demonstration import Demonstration, Outputs, pick
from cosoc.apps.detection import boxes, scenes
from cosoc.apps.detection.bundle import build_bundle
from cosoc.apps.detection.model import load_trained

TILES, COLUMNS, SCALE = 12, 4, 4


def demonstration() -> Demonstration:
    """The trained detector over its 300 test scenes. A scene is right when every digit is found at its place and nothing else."""
    seen = scenes.test_set()

    def hits(detections: list[boxes.Detection], index: int) -> int:
        return boxes.right(detections, seen.boxes[index], seen.labels[index])

    def right(outputs: Outputs) -> NDArray[np.bool_]:
        found = [boxes.decode(*(output[index] for output in outputs)) for index in range(len(outputs[0]))]
        return np.array([hits(item, i) == len(item) == len(seen.labels[i]) for i, item in enumerate(found)])

    def summary(outputs: Outputs) -> str:
        score = boxes.evaluate(outputs[0], outputs[1], seen.boxes, seen.labels)
        return f"precision {score.precision:.2%}, recall {score.recall:.2%} at IoU {boxes.MATCH}"

    def picture(_reference: Outputs, deployed: Outputs) -> Image.Image:
        good = right(deployed)
        found = {index: boxes.decode(*(output[index] for output in deployed)) for index in pick(good, TILES)}
        tiles = [tile(seen, index, detections, bool(good[index])) for index, detections in found.items()]
        subtitle = f"int8 on the accelerators: {int(good.sum())} of {len(good)} scenes without a mistake, {summary(deployed)}"
        return pictures.grid(tiles, "Digits found in textured scenes", subtitle, COLUMNS)

    return Demonstration(
        name="detection",
        title="digits in textured scenes: a single-shot detector, int8 on the accelerators",
        sample="scene",
        model=load_trained(),
        inputs=seen.images,
        build_bundle=build_bundle,
        right=right,
        summary=summary,
        picture=picture,
    )


def tile(seen: scenes.Scenes, index: int, found: list[boxes.Detection], good: bool) -> pictures.Tile:
    """A scene with the boxes found: green where the digit is there, red where it is not; yellow, what was missed."""
    image = pictures.grey(seen.images[index, 0].numpy(), SCALE)
    truth, labels = seen.boxes[index], seen.labels[index]
    missed = set(range(len(labels)))
    for detection in found:
        overlaps = boxes.iou(np.array(detection.box), truth)
        match = next((i for i in sorted(missed, key=lambda i: -overlaps[i]) if labels[i] == detection.label), None)
        hit = match is not None and overlaps[match] >= boxes.MATCH
        if match is not None and hit:
            missed.discard(match)
        colour = pictures.RIGHT if hit else pictures.WRONG
        sides = [side * SCALE for side in detection.box]
        pictures.frame(image, sides, colour, f"{detection.label}  {100 * detection.score:.0f}%")
    for i in missed:
        pictures.frame(image, [float(side) * SCALE for side in truth[i]], pictures.TRUTH, f"missed {labels[i]}", below=True)
    title = f"{len(found)} found" if good else f"{len(found)} found, {len(labels)} there"
    return pictures.Tile(image, title, "digits: " + ", ".join(str(label) for label in sorted(labels.tolist())), good)
