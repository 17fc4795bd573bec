"""Integers of layers with weights: what a convolution multiplies, adds and scales with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosoc.converter import fx, ir
from cosoc.converter.errors import ConversionError
from cosoc.converter.observe import LIMITS
from cosoc.converter.quantize import Quantized
from cosoc.converter.steps import Step

Constants = tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.float32]]
"""Weight (Cout, Kh, Kw, Cin/groups), bias (Cout,) and multiplier (Cout,)."""

MAX_BIAS = 2**30
"""Largest magnitude of a quantized bias: half of int32, so that the products have the other half."""


def quantized_value(real: float, scale: float, zero_point: int, precision: str) -> int:
    """`clamp(round(real / scale) + zero_point)` to a precision; infinities become the ends of the range."""
    least, largest = LIMITS[precision]
    if np.isinf(real):
        return largest if real > 0 else least
    inverse = np.float32(1) / np.float32(scale)
    return int(np.clip(np.rint(np.float32(real) * inverse) + zero_point, least, largest))


def identity(source: ir.Tensor) -> Constants:
    """A depthwise convolution of one tap that returns its input, of which its padding is zeros in the input's scale."""
    channels = source.shape[-1]
    bias = np.full(channels, -(source.zero_point or 0), np.int32)
    return np.ones((channels, 1, 1, 1), np.int8), bias, np.ones(channels, np.float32)


def integer_layer(step: Step, quantized: Quantized, source: ir.Tensor, output: ir.Tensor) -> Constants:
    """Weight, bias and multiplier of a convolution.

    The integer sum has scale `s_in * s_w`; the bias in that scale also takes up the input's zero point, so that the hardware
    sums plain products.

    Raises:
        ConversionError: the sum could leave int32.
    """
    assert step.weight is not None
    assert source.scale is not None
    assert output.scale is not None
    in_scale, in_zero_point = source.scale, source.zero_point or 0
    weight, weight_scale = quantized.weights[step.node.name]
    scale = weight_scale.astype(np.float64)
    given = quantized.biases.get(step.node.name, step.bias)
    real_bias = np.zeros(len(scale)) if given is None else given.double().numpy()
    weight, scale = widen(weight.reshape(step.weight.shape), scale, np.abs(real_bias) / (in_scale * MAX_BIAS))
    products = weight.astype(np.int64).sum(axis=(1, 2, 3))
    bias = np.rint(real_bias / (in_scale * scale)).astype(np.int64) - in_zero_point * products
    largest = np.abs(bias) + 128 * np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3))
    # int16 has 48 bits, which hold every sum.
    if step.precision == "int8" and largest.max() >= 2**31:
        raise ConversionError(
            f"{fx.place(step.node)}: the sum of output channel {int(largest.argmax())} can reach {int(largest.max())}, "
            f"beyond the accumulator's 2^31; a kernel of {int(np.prod(weight.shape[1:]))} weights is too large: split the layer"
        )
    multiplier = (in_scale * scale / output.scale).astype(np.float32)
    return weight.transpose(0, 2, 3, 1), bias.astype(np.int32), multiplier


def widen(
    weight: NDArray[np.int8], scale: NDArray[np.float64], smallest: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Raises the scale of channels whose bias would not fit int32, and rounds their weights anew.

    Such a channel is all but constant (a pruned one has weights of zero and thus the smallest of scales): its bias exceeds its
    largest product more than 30,000 times, so that the coarser weights stay far below one step of the output.
    """
    wider = np.maximum(scale, smallest)
    ratio = (scale / wider).reshape(-1, 1, 1, 1)
    return np.rint(weight * ratio).astype(np.int8), wider
