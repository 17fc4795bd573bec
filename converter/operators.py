"""What each ATen operation means as an operation of a bundle, or why it has no such meaning.

The same answer serves the check for unsupported operations, the quantizer and the lowering, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx

aten = torch.ops.aten
FeatureMap = tuple[int, int, int, int]
"""Shape (N, C, H, W) of the feature map that holds a value; reshaping changes the value's shape but not this one."""


CONVOLUTIONS = ("conv2d", "conv_transpose2d")
"""Operations of a bundle with weights."""

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
        op: conv2d, conv_transpose2d, max_pool2d, average_pool2d, add, clamp, view.
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


def conv2d(context: Context, node: Node) -> Step:
    """aten.conv2d, with padding in numbers or as "same" and "valid"."""
    bound = fx.arguments(node)
    source, _ = context.image(bound["input"], "conv2d")
    weight = context.parameter(bound["weight"], "conv2d")
    bias = None if bound["bias"] is None else context.parameter(bound["bias"], "conv2d")
    dilation = pair(bound["dilation"])
    if isinstance(bound["padding"], str):
        extra = [d * (k - 1) if bound["padding"] == "same" else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        top, left = (size // 2 for size in extra)
        padding = [top, left, extra[0] - top, extra[1] - left]
    else:
        padding = pair(bound["padding"]) * 2
    attributes = {"stride": pair(bound["stride"]), "padding": padding, "dilation": dilation, "groups": bound["groups"]}
    return Step(node, "conv2d", (source,), _shape4(node), attributes, weight, bias)


def output_first(node: Node, weight: torch.Tensor) -> torch.Tensor:
    """The weight of a layer with its output channels first: (Cout, Cin/groups, ..).

    Transposed convolutions have their input channels there, (Cin, Cout/groups, ..); of the result, this is the weight again.
    """
    if fx.operation(node) not in TRANSPOSED:
        return weight
    parts = weight.reshape(fx.arguments(node)["groups"], -1, *weight.shape[1:]).transpose(1, 2)
    return parts.reshape(-1, *parts.shape[2:])


def conv_transpose2d(context: Context, node: Node) -> Step:
    """aten.conv_transpose2d."""
    bound = fx.arguments(node)
    source, _ = context.image(bound["input"], "conv_transpose2d")
    weight = output_first(node, context.parameter(bound["weight"], "conv_transpose2d"))
    bias = None if bound["bias"] is None else context.parameter(bound["bias"], "conv_transpose2d")
    attributes = {name: pair(bound[name]) for name in ("stride", "output_padding", "dilation")}
    attributes |= {"padding": pair(bound["padding"]) * 2, "groups": bound["groups"]}
    return Step(node, "conv_transpose2d", (source,), _shape4(node), attributes, weight, bias)


def linear(context: Context, node: Node) -> Step:
    """aten.linear: a convolution whose kernel covers the feature map, so a flatten before it costs nothing; on (B, T, F) its kernel
    is one pixel."""
    bound = fx.arguments(node)
    source, feature_map = context.activation(bound["input"], "linear")
    batch, channels, height, width = feature_map
    tokens = is_tokens(fx.shape(source), feature_map)
    if not tokens and fx.shape(source) != (batch, channels * height * width):
        raise UnsupportedError(
            f"linear on shape {fx.shape(source)}", "flatten the feature map to (N, F) before the layer: torch.flatten(x, 1)"
        )
    weight = context.parameter(bound["weight"], "linear")
    bias = None if bound["bias"] is None else context.parameter(bound["bias"], "linear")
    attributes = {"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
    kernels = weight[:, :, None, None] if tokens else weight.reshape(-1, channels, height, width)
    output = (batch, weight.shape[0], 1, width if tokens else 1)
    return Step(node, "conv2d", (source,), output, attributes, kernels, bias)


def max_pool2d(context: Context, node: Node) -> Step:
    """aten.max_pool2d; ceil mode becomes padding on the bottom and right, which a maximum ignores."""
    bound = fx.arguments(node)
    source, feature_map = context.image(bound["self"], "max_pool2d")
    if pair(bound["dilation"]) != [1, 1]:
        raise UnsupportedError("max_pool2d with dilation", "use dilation=1")
    kernel = pair(bound["kernel_size"])
    stride = pair(bound["stride"]) if bound["stride"] else kernel
    before = pair(bound["padding"])
    output = _shape4(node)
    reach = [(output[2 + i] - 1) * stride[i] + kernel[i] - before[i] - feature_map[2 + i] for i in (0, 1)]
    after = [max(reach[i], before[i]) for i in (0, 1)]
    return Step(node, "max_pool2d", (source,), output, {"kernel": kernel, "stride": stride, "padding": before + after})


def _average(node: Node, source: Node, output: FeatureMap, kernel: list[int], **given: Any) -> Step:
    """An average over windows; `divisor` is what the sum of a window is divided by, by default its area."""
    attributes = {
        "kernel": kernel,
        # Where there is one window, it does not move.
        "stride": given.get("stride", [size if count > 1 else 1 for size, count in zip(kernel, output[2:], strict=True)]),
        "padding": given.get("padding", [0, 0, 0, 0]),
        "divisor": given.get("divisor", kernel[0] * kernel[1]),
    }
    return Step(node, "average_pool2d", (source,), output, attributes)


def avg_pool2d(context: Context, node: Node) -> Step:
    """aten.avg_pool2d where every window has the same divisor."""
    bound = fx.arguments(node)
    source, feature_map = context.image(bound["self"], "avg_pool2d")
    kernel = pair(bound["kernel_size"])
    stride = pair(bound["stride"]) if bound["stride"] else kernel
    before = pair(bound["padding"])
    output = _shape4(node)
    if any((output[2 + i] - 1) * stride[i] + kernel[i] > feature_map[2 + i] + 2 * before[i] for i in (0, 1)):
        raise UnsupportedError("avg_pool2d with ceil_mode that divides windows at the edge differently", "use ceil_mode=False")
    if any(before) and not bound["count_include_pad"] and bound["divisor_override"] is None:
        raise UnsupportedError("avg_pool2d with padding and count_include_pad=False", "use count_include_pad=True or no padding")
    divisor = bound["divisor_override"] or kernel[0] * kernel[1]
    return _average(node, source, output, kernel, stride=stride, padding=before * 2, divisor=divisor)


def adaptive_avg_pool2d(context: Context, node: Node) -> Step:
    """aten.adaptive_avg_pool2d where the output size divides the input size."""
    source, feature_map = context.image(node.args[0], "adaptive_avg_pool2d")
    output = _shape4(node)
    if feature_map[2] % output[2] or feature_map[3] % output[3]:
        raise UnsupportedError(
            f"adaptive_avg_pool2d from {feature_map[2:]} to {output[2:]} has windows of several sizes",
            "choose an output size that divides the input size, such as 1",
        )
    return _average(node, source, output, [feature_map[2] // output[2], feature_map[3] // output[3]])


def mean(context: Context, node: Node) -> Step:
    """aten.mean over height and width."""
    bound = fx.arguments(node)
    source, feature_map = context.image(bound["self"], "mean")
    if {dim % 4 for dim in bound["dim"] or ()} != {2, 3}:
        raise UnsupportedError(f"mean over dimensions {bound['dim']}", "take the mean over height and width: x.mean((2, 3))")
    return _average(node, source, (*feature_map[:2], 1, 1), list(feature_map[2:]))


def add(context: Context, node: Node) -> Step:
    """aten.add of two values of one shape."""
    bound = fx.arguments(node)
    left, left_map = context.activation(bound["self"], "add")
    right, right_map = context.activation(bound["other"], "add")
    if left_map != right_map or fx.shape(left) != fx.shape(right):
        raise UnsupportedError(f"add of shapes {fx.shape(left)} and {fx.shape(right)}", "add tensors of the same shape")
    if bound["alpha"] != 1:
        raise UnsupportedError(f"add with alpha={bound['alpha']}", "scale one operand by the layer that makes it")
    return Step(node, "add", (left, right), left_map)


def clamp(context: Context, node: Node) -> Step:
    """relu, relu6, hardtanh, clamp: an interval."""
    bound = fx.arguments(node)
    source, feature_map = context.activation(bound["self"], "clamp")
    if node.target is aten.relu.default:
        bound["min"] = 0.0
    low, high = bound.get("min_val", bound.get("min")), bound.get("max_val", bound.get("max"))
    infinity = float("inf")
    limits = (-infinity if low is None else float(low), infinity if high is None else float(high))
    if limits[0] > limits[1]:
        raise UnsupportedError(f"clamp to the empty interval {limits}", "give min <= max")
    return Step(node, "clamp", (source,), feature_map, limits=limits)


def view(context: Context, node: Node) -> Step:
    """Reshaping moves no element; whether the result is understood is asked by the operation that reads it."""
    source, feature_map = context.activation(node.args[0], "view")
    # The elements of (B, T, F) lie in another order than those of (N, C, H, W), unless there is one pixel.
    one_pixel = feature_map[2:] == (1, 1)
    if not one_pixel and (is_tokens(fx.shape(source), feature_map) or len(fx.shape(node)) == 3):
        raise UnsupportedError("a view to or from (B, T, F)", "keep (N, C, H, W) up to the first linear layer")
    return Step(node, "view", (source,), feature_map)


def _shape4(node: Node) -> FeatureMap:
    size = fx.shape(node)
    if len(size) != 4:
        raise UnsupportedError(f"result of shape {size}", "add the batch dimension: (N, C, H, W)")
    return size[0], size[1], size[2], size[3]


INTERPRETATIONS: dict[str, Callable[[Context, Node], Step]] = {
    "conv2d.default": conv2d,
    "conv2d.padding": conv2d,
    "conv_transpose2d.input": conv_transpose2d,
    "linear.default": linear,
    "max_pool2d.default": max_pool2d,
    "avg_pool2d.default": avg_pool2d,
    "adaptive_avg_pool2d.default": adaptive_avg_pool2d,
    "mean.dim": mean,
    "add.Tensor": add,
    "relu.default": clamp,
    "hardtanh.default": clamp,
    "clamp.default": clamp,
    "clamp_min.default": clamp,
    "clamp_max.default": clamp,
    "view.default": view,
    "reshape.default": view,
    "flatten.using_ints": view,
    "squeeze.default": view,
    "squeeze.dim": view,
    "squeeze.dims": view,
    "unsqueeze.default": view,
}
"""Every supported operation."""
