"""Scenes of 64 x 64 pixels with one to four real handwritten digits over textured backgrounds.

The digits are scikit-learn's (`cosoc.apps.digits.data` splits them), so nothing is downloaded; the digits of the test scenes are
never seen in training. A seed gives the same scenes every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cosoc.apps.digits.data import SPLIT_SEED, TEST_IMAGES

SIZE = 64
MOST_DIGITS = 4
DIGIT_PIXELS = (15, 28)
"""Height and width of an enlarged digit with its margin: from .. to."""

INK = 0.35
"""A pixel belongs to a digit's box where its ink is above this, of 1."""

TEST_SCENES = 300
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Scenes:
    """Pictures and what is in them.

    Attributes:
        images: float32 (n, 1, 64, 64), values -1 to 1.
        boxes: for each picture float32 (k, 4): left, top, right, bottom in pixels, right and bottom exclusive.
        labels: for each picture int64 (k,).
    """

    images: torch.Tensor
    boxes: list[Array]
    labels: list[NDArray[np.int64]]


@dataclass(frozen=True)
class Digits:
    """Pictures of single digits, ink 0..1: float32 (n, 8, 8), and labels int64 (n,)."""

    ink: Array
    labels: NDArray[np.int64]


def split_digits() -> tuple[Digits, Digits]:
    """The digits for training and those for tests: the same split as the digits application's."""
    every = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        every.images, every.target, test_size=TEST_IMAGES, random_state=SPLIT_SEED, stratify=every.target
    )
    return (
        Digits((train / 16).astype(np.float32), train_labels.astype(np.int64)),
        Digits((test / 16).astype(np.float32), test_labels.astype(np.int64)),
    )


def background(generator: np.random.Generator) -> NDArray[np.float64]:
    """A texture of values about -0.5 .. 0.5: clouds, a grating, a checkerboard or brushed noise, over a slope of brightness."""
    kind = generator.integers(4)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    angle = generator.uniform(0, np.pi)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    if kind == 0:
        texture = gaussian_filter(generator.standard_normal((SIZE, SIZE)), generator.uniform(1.5, 6), mode="wrap")
    elif kind == 1:
        texture = np.sin(along * generator.uniform(0.2, 1.2) + generator.uniform(0, 6))
    elif kind == 2:
        period = generator.integers(4, 12)
        texture = ((rows // period + columns // period) % 2) - 0.5
    else:
        texture = gaussian_filter(generator.standard_normal((SIZE, SIZE)), (generator.uniform(0.5, 1), generator.uniform(3, 8)))
    texture = texture / np.abs(texture).max() * generator.uniform(0.05, 0.3)
    slope = (along - along.mean()) / np.abs(along - along.mean()).max() * generator.uniform(0, 0.25)
    return np.asarray(texture + slope)


def overlap(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two boxes have pixels in common."""
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def scene(digits: Digits, generator: np.random.Generator) -> tuple[Array, Array, NDArray[np.int64]]:
    """One picture float32 (64, 64), its boxes and labels."""
    picture = background(generator) + generator.uniform(-0.3, 0.3)
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    wanted = int(generator.integers(1, MOST_DIGITS + 1))
    for _ in range(20 * wanted):
        if len(boxes) == wanted:
            break
        index = int(generator.integers(len(digits.labels)))
        factors = [int(generator.integers(DIGIT_PIXELS[0], DIGIT_PIXELS[1] + 1)) / 8] * 2
        factors[1] *= generator.uniform(0.85, 1.1)
        ink = np.clip(zoom(digits.ink[index], factors, order=1), 0, 1)
        height, width = ink.shape
        top, left = int(generator.integers(0, SIZE - height + 1)), int(generator.integers(0, SIZE - width + 1))
        inked_rows, inked_columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
        box = (left + inked_columns[0], top + inked_rows[0], left + inked_columns[-1] + 1, top + inked_rows[-1] + 1)
        if any(overlap(box, other) for other in boxes):
            continue
        contrast = generator.uniform(0.7, 1.2) * (1 if picture.mean() < 0 else -1)
        picture[top : top + height, left : left + width] += contrast * ink
        boxes.append((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
        labels.append(int(digits.labels[index]))
    picture += generator.uniform(0.01, 0.08) * generator.standard_normal((SIZE, SIZE))
    return np.clip(picture, -1, 1).astype(np.float32), np.array(boxes, np.float32), np.array(labels, np.int64)


def scenes(digits: Digits, count: int, seed: int) -> Scenes:
    """That many scenes, the same for the same seed."""
    generator = np.random.default_rng(seed)
    made = [scene(digits, generator) for _ in range(count)]
    images = torch.from_numpy(np.stack([picture for picture, _, _ in made]))[:, None]
    return Scenes(images, [boxes for _, boxes, _ in made], [labels for _, _, labels in made])


def test_set() -> Scenes:
    """The 300 scenes of the test, with digits that training does not see."""
    return scenes(split_digits()[1], TEST_SCENES, seed=1)


def calibration_set(count: int = 128) -> Scenes:
    """Scenes with training digits, from which the scales of the activations come."""
    return scenes(split_digits()[0], count, seed=2)
