"""Convolutional networks as lists of layer shapes: what the benchmark of the Conv2D engine runs.

Shapes are those of the networks' papers and of torchvision (VGG-16, ResNet-18, ResNet-50, MobileNetV2 at 224 x 224) and of Darknet
(YOLOv3 at 416 x 416). Max pooling after a convolution and residual additions are part of the convolution. The head (global average
pooling and fully connected layers) stands apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution with what is fused into it; tensors are named, and a tensor that no layer makes is an input.

    Attributes:
        input, output, residual: names of tensors.
        rows, columns, channels: of the input.
        filters: output channels.
        kernel, stride, padding, dilation: the same for rows and columns.
        groups: `channels` for a depthwise convolution.
        pool: kernel, stride and padding of the max pooling after it.
        average: a pooling by averages over the kernel instead of a convolution.
        kind: "convolution", or "max_pooling" of the input alone.
        kept: the output is read by others than these layers too, so it must reach memory.
    """

    name: str
    input: str
    output: str
    rows: int
    columns: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    residual: str | None = None
    pool: tuple[int, int, int] | None = None
    average: bool = False
    kind: str = "convolution"
    kept: bool = False

    @property
    def out_rows(self) -> int:
        """Rows of the convolution, before pooling."""
        return (self.rows + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def out_columns(self) -> int:
        """Columns of the convolution, before pooling."""
        return (self.columns + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolution; none of a pooling."""
        products = self.kernel**2 * self.channels // self.groups
        return 0 if self.average or self.kind == "max_pooling" else self.out_rows * self.out_columns * self.filters * products


@dataclass
class Network:
    """Convolutions in order, and the head."""

    name: str
    layers: list[Layer] = field(default_factory=list)
    head: list[Layer] = field(default_factory=list)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all convolutions."""
        return sum(layer.macs for layer in self.layers)


class _Builder:
    """Appends layers, following the feature map."""

    def __init__(self, name: str, size: int) -> None:
        self.network = Network(name)
        self.tensor, self.size, self.channels = "input", size, 3

    def convolve(
        self,
        filters: int,
        kernel: int,
        stride: int = 1,
        *,
        padding: int | None = None,
        groups: int = 1,
        residual: str | None = None,
        pool: tuple[int, int, int] | None = None,
        head: bool = False,
        average: bool = False,
        kept: bool = False,
    ) -> str:
        """The next layer; padding keeps the size unless given. Returns the name of its output."""
        layers = self.network.head if head else self.network.layers
        name = f"{'head' if head else 'conv'}{len(layers) + 1}"
        layer = Layer(
            name=name,
            input=self.tensor,
            output=f"{name}_out",
            rows=self.size,
            columns=self.size,
            channels=self.channels,
            filters=filters,
            kernel=kernel,
            stride=stride,
            padding=(kernel - 1) // 2 if padding is None else padding,
            groups=groups,
            residual=residual,
            pool=pool,
            average=average,
            kept=kept,
        )
        layers.append(layer)
        self.tensor, self.channels, self.size = layer.output, filters, layer.out_rows
        if pool is not None:
            window, step, around = pool
            self.size = (self.size + 2 * around - window) // step + 1
        return self.tensor

    def classify(self, *filters: int) -> Network:
        """The head: global average pooling if the map is still large, then fully connected layers."""
        self.convolve(self.channels, self.size, padding=0, groups=self.channels, head=True, average=True)
        for count in filters:
            self.convolve(count, 1, head=True)
        return self.network


def vgg16() -> Network:
    """VGG-16; its five max poolings belong to convolutions."""
    build = _Builder("vgg16", 224)
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for index in range(count):
            build.convolve(filters, 3, pool=(2, 2, 0) if index == count - 1 else None)
    build.convolve(4096, 7, padding=0, head=True)
    build.convolve(4096, 1, head=True)
    build.convolve(1000, 1, head=True)
    return build.network


def _resnet(name: str, counts: tuple[int, ...], *, bottleneck: bool) -> Network:
    build = _Builder(name, 224)
    build.convolve(64, 7, 2, padding=3, pool=(3, 2, 1))
    for stage, count in enumerate(counts):
        width = 64 << stage
        filters = 4 * width if bottleneck else width
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            shortcut, size, channels = build.tensor, build.size, build.channels
            if stride != 1 or channels != filters:
                residual = build.convolve(filters, 1, stride)
                build.tensor, build.size, build.channels = shortcut, size, channels
            else:
                residual = shortcut
            if bottleneck:
                build.convolve(width, 1)
                build.convolve(width, 3, stride)
                build.convolve(filters, 1, residual=residual)
            else:
                build.convolve(width, 3, stride)
                build.convolve(width, 3, residual=residual)
    return build.classify(1000)


def resnet18() -> Network:
    """ResNet-18."""
    return _resnet("resnet18", (2, 2, 2, 2), bottleneck=False)


def resnet50() -> Network:
    """ResNet-50 with the stride in the 3 x 3 convolution, as torchvision has it."""
    return _resnet("resnet50", (3, 4, 6, 3), bottleneck=True)


def mobilenetv2() -> Network:
    """MobileNetV2, width 1."""
    build = _Builder("mobilenetv2", 224)
    build.convolve(32, 3, 2)
    for expansion, filters, count, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for block in range(count):
            stride = first_stride if block == 0 else 1
            shortcut, channels = build.tensor, build.channels
            hidden = channels * expansion
            if expansion > 1:
                build.convolve(hidden, 1)
            build.convolve(hidden, 3, stride, groups=hidden)
            build.convolve(filters, 1, residual=shortcut if stride == 1 and channels == filters else None)
    build.convolve(1280, 1)
    return build.classify(1000)


def yolov3() -> Network:
    """YOLOv3 at 416 x 416; what upsampling and concatenation make is an input of the layer that reads it."""
    build = _Builder("yolov3", 416)
    build.convolve(32, 3)
    for filters, count in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        build.convolve(filters, 3, 2)
        for block in range(count):
            shortcut = build.tensor
            build.convolve(filters // 2, 1)
            # The last maps of 52 x 52 and 26 x 26 also go into concatenations.
            build.convolve(filters, 3, residual=shortcut, kept=block == 7)
    for size, channels, width in ((13, 1024, 512), (26, 768, 256), (52, 384, 128)):
        if size > 13:
            build.convolve(width, 1)
            build.tensor, build.size, build.channels = f"concatenation{size}", size, channels
        for index in range(5):
            branch = build.convolve(width if index % 2 == 0 else 2 * width, 1 if index % 2 == 0 else 3)
        build.convolve(2 * width, 3)
        build.convolve(255, 1)
        build.tensor, build.size, build.channels = branch, size, width
    return build.network


NETWORKS: dict[str, Callable[[], Network]] = {
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "yolov3": yolov3,
    "mobilenetv2": mobilenetv2,
}
