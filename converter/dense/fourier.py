"""Fourier transforms, as the operation `fft` that the accelerator has too: complex, along one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from cosoc.converter.dense.call import Call, Value, View, lowers
from cosoc.converter.dense.linear import lifted
from cosoc.converter.dense.movement import apply_view
from cosoc.converter.steps import UnsupportedError


def transformed(call: Call, view: View, axis: int, forward: bool) -> View:
    """One axis transformed; the inverse divides by the length."""
    inputs = [call.dense(view, "complex64")]
    attributes = {"direction": "forward" if forward else "inverse", "axis": axis}
    return call.step("fft", inputs, attributes, view.shape, "complex64")


def half_transformed(call: Call, view: View, axis: int) -> View:
    """The first half of the bins, to the middle one, of one axis; of a real signal the others are their conjugates."""
    length = view.shape[axis]
    dtype = call.builder.tensors[view.base].dtype
    if call.builder.real_transforms and dtype == "float32" and axis == len(view.shape) - 1:
        return call.step("rfft", [call.dense(view)], {}, [*view.shape[:-1], length // 2 + 1], "complex64")
    return part(call, transformed(call, view, axis, True), axis, 0, length // 2 + 1)


def normalized(call: Call, view: View, lengths: Sequence[int], mode: int, forward: bool) -> View:
    """PyTorch's scaling: none, by the square root of the lengths, or by the lengths; `view` has that of `transformed`."""
    count = math.prod(lengths)
    wanted = {0: 1.0, 1: 1 / math.sqrt(count), 2: 1 / count}[mode]
    factor = wanted if forward else wanted * count
    if factor == 1:
        return view
    tensor = call.dense(view)
    dtype = call.builder.tensors[tensor].dtype
    product = [tensor, call.operand(factor, dtype)]
    return call.step("binary", product, {"operation": "mul"}, view.shape, dtype)


@lowers("_fft_c2c.default")
def complex_to_complex(call: Call) -> Value:
    """Along several axes, one after another."""
    view, forward = call.view("self"), bool(call.arguments["forward"])
    axes = [int(axis) % len(view.shape) for axis in call.arguments["dim"]]
    lengths = [view.shape[axis] for axis in axes]
    for axis in axes:
        view = transformed(call, view, axis, forward)
    return normalized(call, view, lengths, call.arguments["normalization"], forward)


@lowers("_fft_r2c.default")
def real_to_complex(call: Call) -> Value:
    """As complex numbers; the last axis keeps its first half, since the second is the first one's conjugate."""
    view = call.view("self")
    axes = [int(axis) % len(view.shape) for axis in call.arguments["dim"]]
    lengths = [view.shape[axis] for axis in axes]
    onesided = call.arguments["onesided"]
    view = half_transformed(call, view, axes[-1]) if onesided else transformed(call, view, axes[-1], True)
    for axis in reversed(axes[:-1]):
        view = transformed(call, view, axis, True)
    return normalized(call, view, lengths, call.arguments["normalization"], True)


@lowers("_fft_c2r.default")
def complex_to_real(call: Call) -> Value:
    """The last axis gets its second half again, conjugates of the first; the result's imaginary parts are zero."""
    view = call.view("self")
    axes = [int(axis) % len(view.shape) for axis in call.arguments["dim"]]
    size = int(call.arguments["last_dim_size"])
    lengths = [*(view.shape[axis] for axis in axes[:-1]), size]
    for axis in axes[:-1]:
        view = transformed(call, view, axis, False)
    axis = axes[-1]
    half = call.builder.whole(call.dense(part(call, view, axis, 0, size // 2 + 1), "complex64"))
    count = size - size // 2 - 1
    if count:
        mirrored = reversed_part(half, axis, 1, count)
        tail = call.builder.whole(call.dense(mirrored))
        conjugate = call.step("unary", [tail.base], {"operation": "conj", "parameters": []}, tail.shape, "complex64")
        shape = [*half.shape]
        shape[axis] = size
        half = call.step("concatenate", [half.base, conjugate.base], {"axis": axis}, shape, "complex64")
    result = transformed(call, half, axis, False)
    real = call.step("unary", [result.base], {"operation": "real", "parameters": []}, result.shape, "float32")
    return normalized(call, real, lengths, call.arguments["normalization"], False)


def part(call: Call, view: View, axis: int, start: int, length: int) -> View:
    """A part of an axis, padded by zeros where it is too short."""
    if view.shape[axis] < start + length:
        rank = len(view.shape)
        after = [start + length - view.shape[axis] if other == axis else 0 for other in range(rank)]
        shape = [size + more for size, more in zip(view.shape, after, strict=True)]
        attributes = {"before": [0] * rank, "after": after, "mode": "constant", "value": 0}
        return call.step("pad", [call.dense(view)], attributes, shape, call.builder.tensors[view.base].dtype)
    result = apply_view(call, view, lambda x: x.narrow(axis, start, length))
    assert isinstance(result, View)
    return result


def reversed_part(view: View, axis: int, start: int, count: int) -> View:
    """Elements start .. start + count - 1 of an axis of a dense tensor, the last one first."""
    shape, strides = list(view.shape), list(view.strides)
    offset = view.offset + (start + count - 1) * strides[axis]
    shape[axis], strides[axis] = count, -strides[axis]
    return View(view.base, tuple(shape), tuple(strides), offset)


@lowers("stft.default", "stft.center")
def stft(call: Call) -> Value:
    """Overlapping frames are a view of the signal; each is multiplied by the window and transformed."""
    arguments = call.arguments
    if arguments.get("center", False):
        raise UnsupportedError("stft that pads the signal itself", "call torch.stft, which pads it before")
    if arguments.get("align_to_window"):
        raise UnsupportedError("stft with align_to_window", "pad the window to n_fft, and leave align_to_window out")
    size = int(arguments["n_fft"])
    hop = int(arguments["hop_length"] or size // 4)
    signal = call.view("self")
    single = len(signal.shape) == 1
    if single:
        signal = lifted(call, signal, 0)
    frames = apply_view(call, signal, lambda x: x.unfold(1, size, hop))
    assert isinstance(frames, View)
    framed = windowed(call, frames, size)
    real = not call.fake_argument("self").is_complex()
    onesided = real if arguments["onesided"] is None else bool(arguments["onesided"])
    spectrum = half_transformed(call, framed, 2) if onesided else transformed(call, framed, 2, True)
    result = normalized(call, spectrum, [size], 1 if arguments["normalized"] else 0, True)
    turned = apply_view(call, result, lambda x: x.transpose(1, 2))
    assert isinstance(turned, View)
    if single:
        turned = View(turned.base, turned.shape[1:], turned.strides[1:], turned.offset)
    if not arguments["return_complex"]:
        dense = call.dense(turned)
        return call.emit("reinterpret", [dense], {"dtype": "float32"})
    return turned


def windowed(call: Call, frames: View, size: int) -> View:
    """Frames times the window, which stands in the middle of a frame."""
    if call.arguments["window"] is None:
        window = torch.ones(int(call.arguments["win_length"] or size))
        node = None
    else:
        found = call.constant("window")
        if found is None:
            raise UnsupportedError("stft with a computed window", "keep the window in a buffer of the model")
        window, node = found, call.arguments["window"]
    left = (size - window.numel()) // 2
    window = torch.nn.functional.pad(window, (left, size - window.numel() - left))
    if node is None and bool((window == 1).all()):
        return frames
    dtype = call.builder.tensors[frames.base].dtype
    constant = call.builder.dense_constant(
        f"{call.node.name}.window", window.to(torch.complex64 if dtype == "complex64" else torch.float32)
    )
    return call.step("binary", [call.dense(frames), constant], {"operation": "mul"}, frames.shape, dtype)
