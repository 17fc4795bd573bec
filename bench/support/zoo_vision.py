"""Compact definitions of the usual families of vision networks, with random weights: what a converter must take."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def conv_bn(
    channels: int, wider: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, wider, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(wider),
    ]
    return nn.Sequential(*layers, *([act()] if act else []))


class BasicBlock(nn.Module):
    """ResNet's block of two convolutions."""

    def __init__(self, channels: int, wider: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(conv_bn(channels, wider, 3, stride), conv_bn(wider, wider, act=None))
        same = stride == 1 and channels == wider
        self.shortcut = nn.Identity() if same else conv_bn(channels, wider, 1, stride, act=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions, with groups as in ResNeXt."""

    def __init__(self, channels: int, wider: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        middle = wider // 4
        self.main = nn.Sequential(
            conv_bn(channels, middle, 1), conv_bn(middle, middle, 3, stride, groups), conv_bn(middle, wider, 1, act=None)
        )
        same = stride == 1 and channels == wider
        self.shortcut = nn.Identity() if same else conv_bn(channels, wider, 1, stride, act=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(x) + self.shortcut(x))


def resnet18(classes: int = 1000) -> nn.Module:
    """ResNet-18 as published."""
    sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    stem = nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(
        stem, *(BasicBlock(*size) for size in sizes), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)
    )


def resnext() -> nn.Module:
    """Bottlenecks, plain and grouped."""
    blocks = [Bottleneck(32, 64, 1), Bottleneck(64, 64, 1), Bottleneck(64, 128, 2, groups=4), Bottleneck(128, 128, 1, groups=8)]
    return nn.Sequential(conv_bn(3, 32, 3, 2), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def vgg() -> nn.Module:
    """Convolutions and poolings, then linear layers with dropout."""
    layers: list[nn.Module] = []
    channels = 3
    for wider in (16, 32, 64):
        layers += [
            nn.Conv2d(channels, wider, 3, padding=1),
            nn.ReLU(True),
            nn.Conv2d(wider, wider, 3, padding=1),
            nn.ReLU(True),
            nn.MaxPool2d(2),
        ]
        channels = wider
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 10))


class SqueezeExcite(nn.Module):
    """Channels weighted by what they hold on average."""

    def __init__(self, channels: int, gate: type[nn.Module] = nn.Sigmoid, act: type[nn.Module] = nn.SiLU) -> None:
        super().__init__()
        narrow = max(4, channels // 4)
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, narrow, 1), act(), nn.Conv2d(narrow, channels, 1), gate()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.layers(x)


class Inverted(nn.Module):
    """MobileNet's inverted bottleneck, with squeeze and excitation where asked."""

    def __init__(self, channels: int, wider: int, stride: int, act: type[nn.Module], gate: type[nn.Module] | None = None) -> None:
        super().__init__()
        middle = 4 * channels
        excite = [SqueezeExcite(middle, gate, act)] if gate else []
        self.layers = nn.Sequential(
            conv_bn(channels, middle, 1, act=act),
            conv_bn(middle, middle, 3, stride, middle, act=act),
            *excite,
            conv_bn(middle, wider, 1, act=None),
        )
        self.residual = stride == 1 and channels == wider

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def inverted_network(act: type[nn.Module], gate: type[nn.Module] | None) -> nn.Module:
    """A network of inverted bottlenecks."""
    blocks = [
        Inverted(16, 16, 1, act, gate),
        Inverted(16, 24, 2, act, gate),
        Inverted(24, 24, 1, act, gate),
        Inverted(24, 40, 2, act, gate),
    ]
    head = [conv_bn(40, 80, 1, act=act), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(80, 10)]
    return nn.Sequential(conv_bn(3, 16, 3, 2, act=act), *blocks, *head)


class DenseBlock(nn.Module):
    """DenseNet: every layer reads all before it."""

    def __init__(self, channels: int, growth: int, count: int) -> None:
        super().__init__()
        sizes = [channels + index * growth for index in range(count)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(size), nn.ReLU(), nn.Conv2d(size, growth, 3, padding=1)) for size in sizes
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def densenet() -> nn.Module:
    """Two dense blocks with a transition."""
    transition = nn.Sequential(nn.BatchNorm2d(40), nn.ReLU(), nn.Conv2d(40, 20, 1), nn.AvgPool2d(2))
    head = [nn.BatchNorm2d(44), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(44, 10)]
    return nn.Sequential(conv_bn(3, 16, 3, 2), DenseBlock(16, 8, 3), transition, DenseBlock(20, 8, 3), *head)


class Fire(nn.Module):
    """SqueezeNet's module."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.left, self.right = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.left(y)), functional.relu(self.right(y))], 1)


def squeezenet() -> nn.Module:
    """Fire modules with poolings that round up."""
    stem = [nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)]
    return nn.Sequential(
        *stem,
        Fire(16, 8, 16),
        Fire(32, 8, 24),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(48, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class Shuffle(nn.Module):
    """ShuffleNetV2's unit: half of the channels pass, then halves interleave."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(conv_bn(half, half, 1), conv_bn(half, half, 3, groups=half, act=None), conv_bn(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, 1)
        y = torch.cat([left, self.branch(right)], 1)
        batch, channels, height, width = y.shape
        return y.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


def shufflenet() -> nn.Module:
    """Shuffle units."""
    return nn.Sequential(conv_bn(3, 24, 3, 2), Shuffle(24), Shuffle(24), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))


class InceptionBlock(nn.Module):
    """Branches of several kernels, concatenated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn(channels, 8, 1),
                nn.Sequential(conv_bn(channels, 8, 1), conv_bn(8, 12, 3)),
                nn.Sequential(
                    conv_bn(channels, 4, 1), nn.Conv2d(4, 8, (1, 7), padding=(0, 3)), nn.Conv2d(8, 8, (7, 1), padding=(3, 0))
                ),
                nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv_bn(channels, 4, 1)),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception() -> nn.Module:
    """Two inception blocks."""
    return nn.Sequential(
        conv_bn(3, 16, 3, 2), InceptionBlock(16), InceptionBlock(32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    )


class UNet(nn.Module):
    """Down and up again, with what was seen on the way; up by transposed convolution and by interpolation."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.down1, self.down2, self.middle = conv_bn(3, 8), conv_bn(8, 16), conv_bn(16, 16)
        self.up = nn.ConvTranspose2d(16, 16, 2, 2)
        self.up2, self.up1, self.head = conv_bn(32, 8), conv_bn(16, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(functional.max_pool2d(a, 2))
        c = self.middle(functional.max_pool2d(b, 2))
        up = (
            self.up(c)
            if self.mode == "transposed"
            else functional.interpolate(c, scale_factor=2, mode=self.mode, align_corners=False)
        )
        y = self.up2(torch.cat([up, b], 1))
        return self.head(self.up1(torch.cat([functional.interpolate(y, size=a.shape[2:]), a], 1)))


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, layer norm over channels that come last, a perceptron, a learned scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(0.5 * torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)
        y = self.scale * self.narrow(functional.gelu(self.wide(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    """Patches, blocks, pooling."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 4),
        ConvNeXtBlock(16),
        ConvNeXtBlock(16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(16),
        nn.Linear(16, 10),
    )


class Autoencoder(nn.Module):
    """Strided convolutions down, transposed ones up."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.ELU(),
            nn.Flatten(),
            nn.Linear(16 * 49, 12),
            nn.Tanh(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(12, 16 * 49),
            nn.Unflatten(1, (16, 7, 7)),
            nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.PReLU(8),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


class YOLO(nn.Module):
    """Two scales with anchors, decoded to boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv_bn(3, 16, 3, 2, act=nn.SiLU), conv_bn(16, 32, 3, 2, act=nn.SiLU))
        self.deep = conv_bn(32, 48, 3, 2, act=nn.SiLU)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.lateral = conv_bn(96 + 32, 32, 1, act=nn.SiLU)
        self.heads = nn.ModuleList([nn.Conv2d(32, 3 * 7, 1), nn.Conv2d(96, 3 * 7, 1)])
        self.register_buffer(
            "anchors", torch.tensor([[[4.0, 5.0], [8.0, 8.0], [12.0, 7.0]], [[16.0, 16.0], [24.0, 30.0], [40.0, 20.0]]])
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.backbone(x)
        deep = self.deep(fine)
        coarse = torch.cat([deep, self.pool(deep)], 1)
        fused = self.lateral(torch.cat([functional.interpolate(coarse, scale_factor=2, mode="nearest"), fine], 1))
        boxes = []
        for index, (head, features) in enumerate(zip(self.heads, (fused, coarse), strict=True)):
            raw = head(features)
            batch, _, height, width = raw.shape
            y = raw.view(batch, 3, 7, height, width).permute(0, 1, 3, 4, 2).sigmoid()
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            grid = torch.stack((columns, rows), 2).to(y.dtype)
            centre = (y[..., 0:2] * 2 - 0.5 + grid) * (x.shape[2] / height)
            size = (y[..., 2:4] * 2) ** 2 * self.anchors[index].view(1, 3, 1, 1, 2)
            boxes.append(torch.cat([centre, size, y[..., 4:]], -1).view(batch, -1, 7))
        return torch.cat(boxes, 1)
