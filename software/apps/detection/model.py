"""A single-shot detector: 64 x 64 pixels -> for each of 16 x 16 cells the scores of ten digits and a box.

81 million multiply-accumulates a picture, all of them convolutions.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cosoc.apps import weights

WEIGHTS = Path(__file__).with_name("weights.safetensors")
"""What `train` wrote."""

CLASSES = 10
STRIDE = 4
"""Pixels of a cell's side."""

BOX_UNIT = 8.0
"""Pixels of 1 in the boxes that the network returns."""


def block(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """Two 3x3 convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = block(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(features + self.second(self.first(features)))


class DigitDetector(nn.Module):
    """float32 (N, 1, 64, 64) -> scores (logits) float32 (N, 10, 16, 16) and boxes float32 (N, 4, 16, 16).

    The boxes are distances from the cell's centre to the left, top, right and bottom side, in units of `BOX_UNIT` pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            block(1, 16), block(16, 16), nn.MaxPool2d(2), block(16, 32), block(32, 32), nn.MaxPool2d(2), block(32, 64)
        )
        self.trunk = nn.Sequential(Residual(64), Residual(64))
        self.scores = nn.Sequential(block(64, 64), nn.Conv2d(64, CLASSES, 1))
        self.boxes = nn.Sequential(block(64, 32), nn.Conv2d(32, 4, 1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.trunk(self.stem(images))
        return self.scores(features), self.boxes(features)


def load_trained(path: Path = WEIGHTS) -> DigitDetector:
    """The network in eval mode with weights that `train` wrote.

    Raises:
        ValueError: the file is of another network.
    """
    return weights.load(DigitDetector(), path)
