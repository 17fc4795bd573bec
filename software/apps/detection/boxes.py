"""From the network's maps to digits in a picture, and how many of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosoc.apps.detection.model import BOX_UNIT, STRIDE

THRESHOLD = 0.4
"""Least score of a digit that counts as found."""

MOST_OVERLAP = 0.3
"""Of two boxes that overlap more than this (intersection over union), only the one with the higher score stays."""

MATCH = 0.5
"""Least overlap of a found box with a true one of the same digit."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Detection:
    """A digit found: its box (left, top, right, bottom in pixels), which digit, and the score 0..1."""

    box: tuple[float, float, float, float]
    label: int
    score: float


def iou(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box (4,) with others (n, 4)."""
    left_top, right_bottom = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(right_bottom - left_top, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(common / np.maximum(areas - common, 1e-9))


def decode(scores: Array, boxes: Array, threshold: float = THRESHOLD) -> list[Detection]:
    """What is in one picture: cells above the threshold, best first, without those that overlap a better one.

    Args:
        scores: logits (10, rows, columns).
        boxes: (4, rows, columns), distances from the cell's centre in units of BOX_UNIT.
    """
    with np.errstate(over="ignore"):
        probabilities = 1 / (1 + np.exp(-scores.astype(np.float64)))
    label, best = probabilities.argmax(axis=0), probabilities.max(axis=0)
    rows, columns = np.nonzero(best > threshold)
    found = np.lexsort((columns, rows, -best[rows, columns]))  # equal scores: the upper left one first
    rows, columns = rows[found], columns[found]
    centres = np.stack([columns, rows, columns, rows], axis=1) * float(STRIDE) + STRIDE / 2
    distances = boxes[:, rows, columns].T.astype(np.float64) * BOX_UNIT * np.array([-1, -1, 1, 1])
    sides = centres + distances
    kept: list[int] = []
    for index in range(len(sides)):
        if not kept or iou(sides[index], sides[kept]).max() <= MOST_OVERLAP:
            kept.append(index)
    return [
        Detection(
            (float(sides[i, 0]), float(sides[i, 1]), float(sides[i, 2]), float(sides[i, 3])),
            int(label[rows[i], columns[i]]),
            float(best[rows[i], columns[i]]),
        )
        for i in kept
    ]


def right(found: Sequence[Detection], boxes: Array, labels: NDArray[np.int64]) -> int:
    """How many of the digits found are there: each true one counts once, best overlap first."""
    free = list(range(len(labels)))
    hits = 0
    for detection in sorted(found, key=lambda item: -item.score):
        candidates = [index for index in free if labels[index] == detection.label]
        if not candidates:
            continue
        overlaps = iou(np.array(detection.box), boxes[candidates])
        if overlaps.max() >= MATCH:
            free.remove(candidates[int(overlaps.argmax())])
            hits += 1
    return hits


@dataclass(frozen=True)
class Score:
    """Counts over a set of pictures.

    Attributes:
        hits: digits found at their place.
        found: digits that the network says are there.
        present: digits that are there.
        perfect: pictures in which every digit is found and nothing else.
        pictures: number of pictures.
    """

    hits: int
    found: int
    present: int
    perfect: int
    pictures: int

    @property
    def precision(self) -> float:
        """Share of the digits found that are there."""
        return self.hits / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the digits present that are found."""
        return self.hits / self.present if self.present else 0.0


def evaluate(scores: Array, maps: Array, boxes: Sequence[Array], labels: Sequence[NDArray[np.int64]]) -> Score:
    """Counts over pictures: the network's outputs (n, 10, rows, columns) and (n, 4, rows, columns) beside the truth."""
    hits = found = perfect = 0
    for picture in range(len(scores)):
        detections = decode(scores[picture], maps[picture])
        good = right(detections, boxes[picture], labels[picture])
        hits, found = hits + good, found + len(detections)
        perfect += good == len(detections) == len(labels[picture])
    return Score(hits, found, sum(len(item) for item in labels[: len(scores)]), perfect, len(scores))
