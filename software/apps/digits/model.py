"""A VGG-style network for images of one channel and 32 x 32 pixels: 9.6 million multiply-accumulates an image."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cosoc.apps import weights

WEIGHTS = Path(__file__).with_name("weights.safetensors")
"""What `train` wrote."""

CLASSES = 10
WIDTHS = (16, 32, 64)
"""Channels of the three stages; each stage is two 3x3 convolutions and a pooling that halves the image."""


class DigitsVGG(nn.Module):
    """Scores of the ten digits: float32 (N, 1, 32, 32) -> float32 (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in WIDTHS:
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        self.classifier = nn.Linear(channels * 4 * 4, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.features(images)
        return self.classifier(self.dropout(torch.flatten(features, 1)))  # type: ignore[no-any-return]


def load_trained(path: Path = WEIGHTS) -> DigitsVGG:
    """The network in eval mode with weights that `train` wrote.

    Raises:
        ValueError: the file is of another network.
    """
    return weights.load(DigitsVGG(), path)
