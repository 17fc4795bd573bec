"""Networks as published, with random weights: what CPU times are compared on."""

from __future__ import annotations

import torch
from torch import nn

from bench.support.zoo_vision import conv_bn

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Channels of the convolutions; 0 is a pooling."""

MOBILENET_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Factor of the inner channels, channels, blocks, stride of the first one."""


def vgg16() -> nn.Module:
    """VGG-16."""
    layers: list[nn.Module] = []
    channels = 3
    for wider in VGG16:
        if wider == 0:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU(True)]
        channels = wider
    head = [nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Linear(4096, 4096), nn.ReLU(True), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


class InvertedBottleneck(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, channels: int, wider: int, stride: int, factor: int) -> None:
        super().__init__()
        middle = factor * channels
        first = [conv_bn(channels, middle, 1, act=nn.ReLU6)] if factor > 1 else []
        rest = [conv_bn(middle, middle, 3, stride, middle, nn.ReLU6), conv_bn(middle, wider, 1, act=None)]
        self.layers = nn.Sequential(*first, *rest)
        self.residual = stride == 1 and channels == wider

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2."""
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.ReLU6)]
    channels = 32
    for factor, wider, count, stride in MOBILENET_V2:
        for index in range(count):
            layers.append(InvertedBottleneck(channels, wider, stride if index == 0 else 1, factor))
            channels = wider
    head = [conv_bn(320, 1280, 1, act=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, *head)
