"""Exact NumPy models of the Conv2D engine's arithmetic, independent of programs and tiles.

`requantize` is the number format alone, `convolve` a whole layer on NHWC tensors: convolution, residual, maximum pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION

Activations = NDArray[Any]
"""int8 or int16 values."""

Int64 = NDArray[np.int64]

ACTIVATION_TYPES: dict[int, type[np.signedinteger[Any]]] = {8: np.int8, 16: np.int16}
ACCUMULATOR_BITS = {8: 32, 16: 48}
PRODUCT_LIMIT = {8: 2.0**15, 16: 2.0**31}
"""Greatest magnitude of a product, by `activation_bits`: greater ones count as this."""

_LEAST_NORMAL = 2.0**-126


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """How sums become activations.

    Attributes:
        activation_bits: 8 or 16.
        zero_point: of the output.
        clamp_min, clamp_max: least and greatest output.
        residual_zero_point: of the residual, when there is one.
        residual_multiplier: unsigned, residual scale / output scale * 2^F with F = 16 (int8) or 24 (int16).
    """

    activation_bits: int = 8
    zero_point: int = 0
    clamp_min: int = -128
    clamp_max: int = 127
    residual_zero_point: int = 0
    residual_multiplier: int = 0


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """Maximum over windows of the layer's result; positions of the padding do not count.

    Attributes:
        window, stride: rows, columns.
        padding: top, left, bottom, right.
    """

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


def wrap(values: ArrayLike, bits: int) -> Int64:
    """To signed integers of `bits` bits, modulo 2^bits; `values` are int64."""
    unused = 64 - bits
    return np.asarray(values, np.int64) << unused >> unused


def requantize(total: ArrayLike, multiplier: ArrayLike, output: OutputFormat, residual: Activations | None = None) -> Activations:
    """Results of sums, by the rule in docs/conv2d.md.

        product = float32(total) * multiplier
        value   = product + (residual - residual_zero_point) * residual_multiplier / 2^F
        result  = clamp(roundHalfEven(value) + zero_point, clamp_min, clamp_max)

    Args:
        total: int64 sums with their bias, any shape; they wrap at 32 (int8) or 48 bits (int16).
        multiplier: positive finite float32 factors, subnormal ones count as zero; broadcast against `total`, channels last.
        output: the number format.
        residual: activations of the shape of `total`, or none.

    Returns:
        int8 or int16 of the shape of `total`.
    """
    bits = output.activation_bits
    fraction = RESIDUAL_FRACTION[bits]
    factor = np.asarray(multiplier, np.float32)
    factor = np.where(factor < _LEAST_NORMAL, np.float32(0), factor)
    with np.errstate(over="ignore"):
        product = (wrap(total, ACCUMULATOR_BITS[bits]).astype(np.float32) * factor).astype(np.float64)
    product = np.clip(product, -PRODUCT_LIMIT[bits], PRODUCT_LIMIT[bits])
    # A float32 times a power of two is exact in float64, and so are its floor and the comparison with it.
    scaled = product * 2.0**fraction
    floor = np.floor(scaled)
    sticky = scaled != floor
    value = floor.astype(np.int64)
    if residual is not None:
        value = value + (residual.astype(np.int64) - output.residual_zero_point) * output.residual_multiplier
    rounded = _round_half_even(value, sticky, fraction) + output.zero_point
    return np.clip(rounded, output.clamp_min, output.clamp_max).astype(ACTIVATION_TYPES[bits])


def convolve(
    x: Activations,
    weight: NDArray[np.int8],
    bias: ArrayLike,
    multiplier: ArrayLike,
    output: OutputFormat,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0, 0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    in_zero_point: int = 0,
    residual: Activations | None = None,
    pooling: Pooling | None = None,
) -> Activations:
    """A layer: convolution, bias, requantization with residual, clamp, then maximum pooling.

    Args:
        x: feature map (N, H, W, Cin), int8 or int16.
        weight: (Cout, Kh, Kw, Cin / groups).
        bias: (Cout), int64, with `-in_zero_point * sum(weight)` already inside.
        multiplier: (Cout), float32: in_scale * weight_scale / out_scale.
        output: the number format.
        stride: rows, columns.
        padding: top, left, bottom, right; positions there have the value `in_zero_point`.
        dilation: rows, columns.
        groups: divides Cin and Cout.
        in_zero_point: of `x`.
        residual: (N, Ho, Wo, Cout), added before the pooling.
        pooling: of the result, or none.

    Returns:
        (N, Ho, Wo, Cout), or its pooled rows and columns.

    Raises:
        ValueError: shapes that do not fit together, or an empty output.
    """
    sums = convolution_sums(x, weight, stride, padding, dilation, groups, in_zero_point)
    if residual is not None and residual.shape != sums.shape:
        raise ValueError(f"a residual of shape {residual.shape} does not fit a result of shape {sums.shape}")
    result = requantize(sums + np.asarray(bias, np.int64), multiplier, output, residual)
    return result if pooling is None else max_pool(result, pooling)


def convolution_sums(
    x: Activations,
    weight: NDArray[np.int8],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    in_zero_point: int,
) -> Int64:
    """The sums of products (N, Ho, Wo, Cout) before they wrap; arguments and errors are those of `convolve`."""
    out_channels, kernel_rows, kernel_columns, group_channels = weight.shape
    if x.shape[3] != group_channels * groups or out_channels % groups:
        raise ValueError(
            f"{x.shape[3]} input and {out_channels} output channels do not fit weights {weight.shape} in {groups} groups"
        )
    top, left, bottom, right = padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=in_zero_point).astype(np.float64)
    rows = (padded.shape[1] - dilation[0] * (kernel_rows - 1) - 1) // stride[0] + 1
    columns = (padded.shape[2] - dilation[1] * (kernel_columns - 1) - 1) // stride[1] + 1
    if rows < 1 or columns < 1:
        raise ValueError(f"kernel {kernel_rows}x{kernel_columns} is larger than the padded input {padded.shape[1:3]}")
    # Sums of fewer than 2^31 products of int16 and int8 are exact in float64, whose matrix products are fast.
    sums = np.zeros((x.shape[0], rows, columns, groups, 1, out_channels // groups))
    grouped = weight.reshape(groups, out_channels // groups, kernel_rows, kernel_columns, group_channels).astype(np.float64)
    for ky in range(kernel_rows):
        for kx in range(kernel_columns):
            y0, x0 = ky * dilation[0], kx * dilation[1]
            window = padded[:, y0 : y0 + rows * stride[0] : stride[0], x0 : x0 + columns * stride[1] : stride[1]]
            window = window[:, :rows, :columns].reshape(x.shape[0], rows, columns, groups, 1, group_channels)
            sums += window @ grouped[:, :, ky, kx].swapaxes(1, 2)
    return sums.reshape(x.shape[0], rows, columns, out_channels).astype(np.int64)


def max_pool(x: Activations, pooling: Pooling) -> Activations:
    """The maximum of each window of (N, H, W, C), the lowest value where a window lies wholly in the padding.

    Raises:
        ValueError: the window is larger than the padded input.
    """
    top, left, bottom, right = pooling.padding
    lowest = np.iinfo(x.dtype).min
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=lowest)
    if padded.shape[1] < pooling.window[0] or padded.shape[2] < pooling.window[1]:
        raise ValueError(f"a window of {pooling.window} is larger than the padded input {padded.shape[1:3]}")
    windows = np.lib.stride_tricks.sliding_window_view(padded, pooling.window, axis=(1, 2))
    pooled: Activations = windows[:, :: pooling.stride[0], :: pooling.stride[1]].max(axis=(-2, -1))
    return pooled


def _round_half_even(value: Int64, sticky: NDArray[np.bool_], fraction: int) -> Int64:
    """Nearest integers of `value / 2^fraction`, to which `sticky` adds something between 0 and 2^-fraction."""
    whole = value >> fraction
    rest = value - (whole << fraction)
    half = 1 << fraction - 1
    up = (rest > half) | ((rest == half) & (sticky | (whole % 2 == 1)))
    rounded: Int64 = whole + up
    return rounded
