"""Bit-exact NumPy model of the Conv2D accelerator.

Three levels: `requantize` is the rounding rule alone, `convolve` a whole `conv2d` operation on NHWC tensors, and `execute` one
command on an image of memory, with the errors that the hardware reports. Accumulators are int32 and wrap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import WORD_CHANNELS, Conv2DConfig, Conv2DFlag, Conv2DOperation
from cosoc.gateware.layout.page import Error

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Float32 = NDArray[np.float32]

WORD_BYTES = 16
CHANNEL_BYTES = 8
"""Bytes of a channel's parameters: int32 bias, float32 multiplier."""

_KNOWN_FLAGS = int(Conv2DFlag.ACCUMULATE | Conv2DFlag.PARTIAL)


def requantize(acc: Int32, multiplier: Float32, zero_point: int, low: int, high: int) -> Int8:
    """`clamp(roundHalfEven(float32(acc) * multiplier) + zero_point, low, high)`.

    Args:
        acc: sums with their bias, any shape.
        multiplier: positive finite factors; broadcast against `acc`, channels last.
        zero_point: of the output, added after saturation to int32.
        low: least result, -128..127.
        high: greatest result, not below `low`.
    """
    with np.errstate(over="ignore", under="ignore"):
        product = np.asarray(acc, np.int32).astype(np.float32) * np.asarray(multiplier, np.float32)
    rounded = np.clip(np.rint(product).astype(np.float64), -(2**31), 2**31 - 1).astype(np.int64)
    return np.clip(rounded + zero_point, low, high).astype(np.int8)


def convolve(
    x: Int8,
    weight: Int8,
    bias: Int32,
    multiplier: Float32,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    in_zero_point: int,
    out_zero_point: int,
    clamp: Sequence[int],
) -> Int8:
    """The `conv2d` operation of a bundle on logical tensors, without padding channels.

    Args:
        x: feature map (N, H, W, Cin).
        weight: (Cout, Kh, Kw, Cin / groups).
        bias: (Cout), with `-in_zero_point * sum(weight)` already inside.
        multiplier: (Cout), `in_scale * weight_scale / out_scale`.
        stride: rows, columns.
        padding: top, left, bottom, right; positions there have the value `in_zero_point`.
        dilation: rows, columns.
        groups: divides Cin and Cout.
        clamp: least and greatest output.

    Returns:
        (N, Ho, Wo, Cout).

    Raises:
        ValueError: shapes that do not fit together, or an empty output.
    """
    out_channels, kernel_height, kernel_width, group_channels = weight.shape
    if x.shape[3] != group_channels * groups or out_channels % groups:
        raise ValueError(
            f"{x.shape[3]} input and {out_channels} output channels do not fit weights {weight.shape} in {groups} groups"
        )
    top, left, bottom, right = padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=in_zero_point).astype(np.float64)
    rows = (padded.shape[1] - dilation[0] * (kernel_height - 1) - 1) // stride[0] + 1
    columns = (padded.shape[2] - dilation[1] * (kernel_width - 1) - 1) // stride[1] + 1
    if rows < 1 or columns < 1:
        raise ValueError(f"kernel {kernel_height}x{kernel_width} is larger than the padded input {padded.shape[1:3]}")
    # float64 products and sums of int8 values are exact below 2^53, and matrix products of floats are fast.
    sums = np.zeros((x.shape[0], rows, columns, groups, out_channels // groups))
    grouped_weight = weight.reshape(groups, out_channels // groups, kernel_height, kernel_width, group_channels).astype(np.float64)
    for ky in range(kernel_height):
        for kx in range(kernel_width):
            y0, x0 = ky * dilation[0], kx * dilation[1]
            window = padded[:, y0 : y0 + rows * stride[0] : stride[0], x0 : x0 + columns * stride[1] : stride[1]]
            window = window[:, :rows, :columns].reshape(x.shape[0], rows, columns, groups, 1, group_channels)
            sums += (window @ grouped_weight[:, :, ky, kx].swapaxes(1, 2))[..., 0, :]
    acc = _wrap(sums.reshape(x.shape[0], rows, columns, out_channels).astype(np.int64) + bias)
    return requantize(acc, multiplier, out_zero_point, clamp[0], clamp[1])


def check(fields: Mapping[str, int], config: Conv2DConfig) -> Error:
    """The error with which the accelerator refuses a command, or `Error.NONE`; the first that applies in the order below.

    PARTIAL commands store nothing: their `out_` fields other than `out_rows`, `out_columns` and `out_blocks` are not looked at.
    """
    flags = fields["flags"]
    stores = not flags & Conv2DFlag.PARTIAL
    if fields["opcode"] not in set(Conv2DOperation):
        return Error.BAD_OPCODE
    aligned = ["in_address", "in_row_pitch", "in_pixel_pitch", "weight_address", "channel_address"]
    aligned += ["out_address", "out_row_pitch", "out_pixel_pitch"] if stores else []
    if any(fields[name] % WORD_BYTES for name in aligned):
        return Error.MISALIGNED
    positive = ["kernel_height", "kernel_width", "stride_height", "stride_width"]
    if any(fields[name] == 0 for name in positive) or flags & ~_KNOWN_FLAGS:
        return Error.BAD_PARAMETER
    if stores and fields["clamp_min"] > fields["clamp_max"]:
        return Error.BAD_PARAMETER
    sizes = ["in_rows", "in_columns", "in_words", "out_blocks", "out_rows", "out_columns"] + (["out_words"] if stores else [])
    if any(fields[name] == 0 for name in sizes):
        return Error.BAD_LENGTH
    pixels = fields["out_rows"] * fields["out_columns"]
    too_large = (
        fields["in_rows"] * fields["in_columns"] * fields["in_words"] > config.activation_words
        or kernel_steps(fields) > config.weight_steps
        or (stores and pixels * fields["out_words"] > config.output_words)
        or (stores and fields["out_words"] > block_words(fields["out_blocks"], config))
        or (flags != 0 and pixels * fields["out_blocks"] > config.partial_pixels)
    )
    return Error.BAD_LENGTH if too_large else Error.NONE


def kernel_steps(fields: Mapping[str, int]) -> int:
    """Steps of an output pixel: kernel positions times input words."""
    return fields["kernel_height"] * fields["kernel_width"] * fields["in_words"]


def block_words(blocks: int, config: Conv2DConfig) -> int:
    """Words of 16 channels that hold `blocks` blocks of output channels."""
    return -(-blocks * config.output_lanes // WORD_CHANNELS)


def new_partial_sums(config: Conv2DConfig) -> Int32:
    """The buffer of partial sums as it is at power-on: zeros (partial_pixels, output_lanes)."""
    return np.zeros((config.partial_pixels, config.output_lanes), np.int32)


def execute(fields: Mapping[str, int], memory: bytearray, config: Conv2DConfig, partial_sums: Int32) -> Error:
    """Perform one command as the hardware does.

    Args:
        fields: all fields of the command, as `COMMAND.decode` gives them.
        memory: bytes from address 0 up; the output is written into it.
        partial_sums: the buffer that `new_partial_sums` makes, kept from command to command; row `block * pixels + pixel`.

    Returns:
        The error code of the completion; memory and partial sums are untouched unless it is `Error.NONE`.

    Raises:
        IndexError: the command leaves `memory`.
    """
    error = check(fields, config)
    if error != Error.NONE:
        return error
    lanes, blocks, steps = config.output_lanes, fields["out_blocks"], kernel_steps(fields)
    pixels = fields["out_rows"] * fields["out_columns"]
    weight = _read(memory, fields["weight_address"], blocks * steps * lanes * WORD_CHANNELS).view(np.int8)
    weight = weight.reshape(blocks, steps, lanes, WORD_CHANNELS).transpose(0, 2, 1, 3).reshape(blocks * lanes, -1)
    # Every product sum stays below 2^53, so float64 is exact.
    sums = _patches(fields, memory).astype(np.float64) @ weight.T.astype(np.float64)
    acc = sums.astype(np.int64).reshape(pixels, blocks, lanes).swapaxes(0, 1)
    if fields["flags"] & Conv2DFlag.ACCUMULATE:
        acc = acc + partial_sums[: blocks * pixels].reshape(blocks, pixels, lanes)
    if fields["flags"] & Conv2DFlag.PARTIAL:
        partial_sums[: blocks * pixels] = _wrap(acc).reshape(-1, lanes)
        return Error.NONE
    channels = _read(memory, fields["channel_address"], blocks * lanes * CHANNEL_BYTES).view(
        [("bias", "<i4"), ("multiplier", "<f4")]
    )
    channels = channels.reshape(blocks, 1, lanes)
    out = requantize(
        _wrap(acc + channels["bias"]),
        channels["multiplier"],
        fields["out_zero_point"],
        fields["clamp_min"],
        fields["clamp_max"],
    )
    _store(fields, memory, out.swapaxes(0, 1).reshape(pixels, blocks * lanes))
    return Error.NONE


def _patches(fields: Mapping[str, int], memory: bytearray) -> Int8:
    """The operands of every output pixel: (out_rows * out_columns, steps * 16)."""
    rows, columns, words = fields["in_rows"], fields["in_columns"], fields["in_words"]
    tile = np.empty((rows, columns, words * WORD_CHANNELS), np.int8)
    for row in range(rows):
        for column in range(columns):
            address = fields["in_address"] + row * fields["in_row_pitch"] + column * fields["in_pixel_pitch"]
            tile[row, column] = _read(memory, address, words * WORD_BYTES).view(np.int8)
    # Row and column of the tile for every (output, kernel) position; those outside it select the border of zero points.
    y = np.arange(fields["out_rows"])[:, None] * fields["stride_height"] - fields["pad_top"] + np.arange(fields["kernel_height"])
    x = np.arange(fields["out_columns"])[:, None] * fields["stride_width"] - fields["pad_left"] + np.arange(fields["kernel_width"])
    bordered = np.pad(tile, ((0, 1), (0, 1), (0, 0)), constant_values=fields["in_zero_point"])
    y = np.where((y >= 0) & (y < rows), y, rows)
    x = np.where((x >= 0) & (x < columns), x, columns)
    patches: Int8 = bordered[y[:, None, :, None], x[None, :, None, :]]
    return patches.reshape(fields["out_rows"] * fields["out_columns"], -1)


def _store(fields: Mapping[str, int], memory: bytearray, out: Int8) -> None:
    """Write (pixels, channels) as `out_words` words of every pixel: surplus channels dropped, missing ones zero."""
    channels = fields["out_words"] * WORD_CHANNELS
    out = np.pad(out, ((0, 0), (0, max(0, channels - out.shape[1]))))[:, :channels]
    for pixel, values in enumerate(out):
        row, column = divmod(pixel, fields["out_columns"])
        address = fields["out_address"] + row * fields["out_row_pitch"] + column * fields["out_pixel_pitch"]
        if address + channels > len(memory):
            raise IndexError(f"output of {channels} bytes at {address:#x} leaves the memory of {len(memory):#x} bytes")
        memory[address : address + channels] = values.tobytes()


def _read(memory: bytearray, address: int, length: int) -> NDArray[np.uint8]:
    if address + length > len(memory):
        raise IndexError(f"input of {length} bytes at {address:#x} leaves the memory of {len(memory):#x} bytes")
    return np.frombuffer(bytes(memory[address : address + length]), np.uint8)


def _wrap(values: NDArray[np.int64]) -> Int32:
    """To int32 modulo 2^32, as the accumulators do."""
    return values.astype(np.uint32).view(np.int32).reshape(values.shape)
