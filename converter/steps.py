"""Operations of the float graph, understood: what an interpretation returns, and what it may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx

FeatureMap = tuple[int, int, int, int]
"""Shape (N, C, H, W) of the feature map that holds a value; reshaping changes the value's shape but not this one."""


CONVOLUTIONS = ("conv2d", "conv_transpose2d")
"""Operations of a bundle with weights."""

MOVES = ("view", "max_pool2d", "pad")
"""Steps that only move or select values, or put zeros beside them: their output has the scale of their input."""

TRANSPOSED = ("conv_transpose1d.default", "conv_transpose2d.input")


class UnsupportedError(Exception):
    """An operation that a bundle cannot express."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass
class Step:
    """A node of the float graph, understood.

    Attributes:
        node: where it is computed.
        op: conv2d, conv_transpose2d, max_pool2d, average_pool2d, pad, add, clamp, view.
        inputs: the activations that it reads.
        feature_map: of its output.
        attributes: of the bundle's node, without what depends on the quantization.
        weight, bias: float32 (Cout, Cin/groups, Kh, Kw) and (Cout,), of convolutions.
        precision: of its activations, int8 or int16.
        limits: interval of the output values: of clamp, or of the clamps fused into this step.
        output: node of the float graph whose value this step makes: the last fused clamp, else `node`.
    """

    node: Node
    op: str
    inputs: tuple[Node, ...]
    feature_map: FeatureMap
    attributes: dict[str, Any] = field(default_factory=dict)
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    limits: tuple[float, float] = (-float("inf"), float("inf"))
    precision: str = "int8"
    output: Node = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.node


@dataclass(frozen=True)
class Context:
    """What an interpretation may ask: the module, and the feature maps of the values computed so far."""

    module: GraphModule
    feature_maps: dict[Node, FeatureMap]

    def activation(self, node: object, consumer: str) -> tuple[Node, FeatureMap]:
        """An operand that is a computed value of the graph."""
        if not isinstance(node, Node) or node not in self.feature_maps:
            raise UnsupportedError(f"{consumer} with a constant", "fold the constant into the layer before or after it")
        return node, self.feature_maps[node]

    def image(self, node: object, consumer: str) -> tuple[Node, FeatureMap]:
        """An operand with its feature map's own shape (N, C, H, W)."""
        value, feature_map = self.activation(node, consumer)
        if fx.shape(value) != feature_map:
            raise UnsupportedError(
                f"it reads shape {fx.shape(value)}, reshaped from {feature_map}",
                "keep (N, C, H, W) up to the first linear layer; batches and channels cannot be regrouped",
            )
        return value, feature_map

    def parameter(self, node: object, consumer: str) -> torch.Tensor:
        """An operand that is a parameter of the model."""
        value = fx.tensor_of(self.module, node)
        if value is None:
            raise UnsupportedError(f"the weights of {consumer} are computed", "bake the weights into a parameter before converting")
        return value


def pair(value: int | list[int]) -> list[int]:
    """[height, width] from ATen's one or two integers."""
    values = [value] if isinstance(value, int) else list(value)
    return [int(values[0]), int(values[-1])]


def is_tokens(shape: tuple[int, ...], feature_map: tuple[int, ...]) -> bool:
    """Whether a value of shape (B, T, F) lies in its feature map as one row of T pixels with the features as channels."""
    return len(shape) == 3 and feature_map == (shape[0], shape[2], 1, shape[1])


def output_first(node: Node, weight: torch.Tensor) -> torch.Tensor:
    """The weight of a layer with its output channels first: (Cout, Cin/groups, ..).

    Transposed convolutions have their input channels there, (Cin, Cout/groups, ..); of the result, this is the weight again.
    """
    if fx.operation(node) not in TRANSPOSED:
        return weight
    parts = weight.reshape(fx.arguments(node)["groups"], -1, *weight.shape[1:]).transpose(1, 2)
    return parts.reshape(-1, *parts.shape[2:])


def shape4(node: Node) -> FeatureMap:
    size = fx.shape(node)
    if len(size) != 4:
        raise UnsupportedError(f"result of shape {size}", "add the batch dimension: (N, C, H, W)")
    return size[0], size[1], size[2], size[3]
