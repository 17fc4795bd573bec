"""Models for the tests of the converter, and PyTorch's own int8 results to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.fx import GraphModule
from torch.nn import functional

from cosoc.converter import pt2e
from cosoc.converter.compare import float_values
from cosoc.converter.convert import Conversion, convert_in_detail

Int8 = NDArray[np.int8]


def randomize(model: nn.Module, seed: int) -> nn.Module:
    """Weights of a useful size everywhere, also in batch norms, whose defaults would hide a wrong fold."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for value, low, high in (
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.5, 0.5),
                    (module.running_mean, -0.5, 0.5),
                    (module.running_var, 0.5, 2.0),
                ):
                    value.uniform_(low, high, generator=generator)
            elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(-0.3, 0.3, generator=generator)
    return model.eval()


def samples(shape: tuple[int, ...], count: int, seed: int) -> torch.Tensor:
    """Normally distributed inputs: `count` of `shape` without its batch."""
    return torch.randn(count, *shape[1:], generator=torch.Generator().manual_seed(seed))


def converted(model: nn.Module, shape: tuple[int, ...], seed: int = 0, **options: Any) -> tuple[Conversion, torch.Tensor]:
    """A conversion calibrated on 16 samples, and these samples."""
    data = samples(shape, 16, seed)
    return convert_in_detail(randomize(model, seed), data[: shape[0]], calibration=data, **options), data


def int8_graph(conversion: Conversion, batch: torch.Tensor) -> GraphModule:
    """PyTorch's int8 graph with the scales of a conversion."""
    return pt2e.reference(conversion.module, conversion.steps, conversion.quantized, (batch,))


def reference_int8(conversion: Conversion, reference: GraphModule, batch: torch.Tensor) -> dict[str, Int8]:
    """What PyTorch's int8 graph computes: the feature maps by the names of the lowered graph's tensors."""
    graph, quantize = conversion.lowered, torch.ops.quantized_decomposed.quantize_per_tensor.default
    values = float_values(reference, (batch,))
    found: dict[str, Int8] = {}
    for node in reference.graph.nodes:
        if node.target is not quantize:
            continue
        source = node.args[0]
        given = f"{source.name}.int8"
        name = given if given in graph.tensors else source.name
        if name in graph.tensors:
            _, height, width, channels = graph.tensors[name].shape
            found[name] = values[node.name].reshape(-1, channels, height, width).permute(0, 2, 3, 1).contiguous().numpy()
    return found


class Chain(nn.Sequential):
    """Layers one after another, as most of the tests need them."""


class Residual(nn.Module):
    """Two convolutions around which the input passes, as in ResNet; the addition happens in place."""

    def __init__(self, channels: int = 8, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        self.identity = stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.first_norm(self.first(x)), inplace=True)
        y = self.second_norm(self.second(y))
        y += x if self.identity else self.shortcut(x)
        return functional.relu(y)


class AfterActivation(nn.Module):
    """A sum whose operand comes from an activation, as in causal networks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + functional.relu(self.layer(x))


class RowResidual(nn.Module):
    """The same of one dimension, its first layer transposed."""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.first = nn.ConvTranspose1d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.second = nn.Conv1d(channels, channels, 3, padding="same", dilation=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.second(functional.relu(self.norm(self.first(x)))) + x)


class SmallResNet(nn.Module):
    """A stem, two residual blocks, global pooling by mean, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Residual(8), Residual(8, 2))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))
