"""scikit-learn's 1,797 real handwritten digits (8 x 8 pixels, 17 grey levels), enlarged to 32 x 32.

The digits come with scikit-learn, so nothing is downloaded. The split is fixed: 1,257 images to train, 540 to test, with every
digit in the same proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

IMAGE_SIZE = 32
TEST_IMAGES = 540
SPLIT_SEED = 0


@dataclass(frozen=True)
class Digits:
    """Images float32 (n, 1, 32, 32), values -1 (paper) to 1 (ink), and labels int64 (n,)."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


def enlarge(pixels: torch.Tensor) -> torch.Tensor:
    """Grey levels 0..16 of shape (n, 8, 8) -> network inputs float32 (n, 1, 32, 32) in [-1, 1], by bilinear interpolation."""
    images = pixels.to(torch.float32).unsqueeze(1) / 8 - 1
    return torch.nn.functional.interpolate(images, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)


def load() -> Digits:
    """The data set with its fixed split."""
    digits = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=TEST_IMAGES, random_state=SPLIT_SEED, stratify=digits.target
    )
    return Digits(
        enlarge(torch.from_numpy(train)),
        torch.from_numpy(train_labels).to(torch.int64),
        enlarge(torch.from_numpy(test)),
        torch.from_numpy(test_labels).to(torch.int64),
    )
