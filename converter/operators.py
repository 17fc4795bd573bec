"""What each ATen operation means as an operation of a bundle, or why it has no such meaning.

The same answer serves the check for unsupported operations, the quantizer and the lowering, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from cosoc.converter import fx
from cosoc.converter.steps import Context, FeatureMap, Step, UnsupportedError, is_tokens, output_first, pair, shape4

aten = torch.ops.aten


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
    return Step(node, "conv2d", (source,), shape4(node), attributes, weight, bias)


def conv_transpose2d(context: Context, node: Node) -> Step:
    """aten.conv_transpose2d."""
    bound = fx.arguments(node)
    source, _ = context.image(bound["input"], "conv_transpose2d")
    weight = output_first(node, context.parameter(bound["weight"], "conv_transpose2d"))
    bias = None if bound["bias"] is None else context.parameter(bound["bias"], "conv_transpose2d")
    attributes = {name: pair(bound[name]) for name in ("stride", "output_padding", "dilation")}
    attributes |= {"padding": pair(bound["padding"]) * 2, "groups": bound["groups"]}
    return Step(node, "conv_transpose2d", (source,), shape4(node), attributes, weight, bias)


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
    output = shape4(node)
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
    output = shape4(node)
    if any((output[2 + i] - 1) * stride[i] + kernel[i] > feature_map[2 + i] + 2 * before[i] for i in (0, 1)):
        raise UnsupportedError("avg_pool2d with ceil_mode that divides windows at the edge differently", "use ceil_mode=False")
    if any(before) and not bound["count_include_pad"] and bound["divisor_override"] is None:
        raise UnsupportedError("avg_pool2d with padding and count_include_pad=False", "use count_include_pad=True or no padding")
    divisor = bound["divisor_override"] or kernel[0] * kernel[1]
    return _average(node, source, output, kernel, stride=stride, padding=before * 2, divisor=divisor)


def adaptive_avg_pool2d(context: Context, node: Node) -> Step:
    """aten.adaptive_avg_pool2d where the output size divides the input size."""
    source, feature_map = context.image(node.args[0], "adaptive_avg_pool2d")
    output = shape4(node)
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


def pad(context: Context, node: Node) -> Step:
    """aten.pad by zeros around images: the padding of convolutions that read it, and else of one that does nothing else."""
    bound = fx.arguments(node)
    source, _ = context.image(bound["self"], "pad")
    amounts = [*map(int, bound["pad"]), 0, 0, 0, 0]
    left, right, top, bottom, *others = amounts
    if bound.get("mode", "constant") != "constant" or bound["value"] or min(amounts) < 0 or any(others):
        raise UnsupportedError("padding by other values than zeros, or of other axes", "pad height and width by zeros")
    size = shape4(node)
    attributes = {"stride": [1, 1], "padding": [top, left, bottom, right], "dilation": [1, 1], "groups": size[1]}
    return Step(node, "pad", (source,), size, attributes)


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


INTERPRETATIONS: dict[str, Callable[[Context, Node], Step]] = {
    "conv2d.default": conv2d,
    "conv2d.padding": conv2d,
    "conv_transpose2d.input": conv_transpose2d,
    "linear.default": linear,
    "max_pool2d.default": max_pool2d,
    "avg_pool2d.default": avg_pool2d,
    "adaptive_avg_pool2d.default": adaptive_avg_pool2d,
    "mean.dim": mean,
    "pad.default": pad,
    "constant_pad_nd.default": pad,
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
