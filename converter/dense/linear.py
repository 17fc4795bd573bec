"""Matrix products, and convolutions with any number of axes: one kernel each, so that one library call can compute it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cosoc.converter.dense.call import Call, Value, View, lowers
from cosoc.converter.dense.movement import apply_view, paired
from cosoc.converter.dense.operation import is_flag, is_integer, is_integers, is_number, operation
from cosoc.converter.steps import UnsupportedError

aten = torch.ops.aten


@operation("matmul", transposed=is_flag)
def matmul(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None, *, transposed: bool) -> torch.Tensor:
    """(.., M, K) by (.., K, N), or `transposed` (.., N, K); the axes before repeat over each other; a bias (N,) is added."""
    if min(a.dim(), b.dim()) < 2 or a.dtype != b.dtype:
        raise TypeError(f"matrices of {a.dtype} {tuple(a.shape)} and {b.dtype} {tuple(b.shape)}")
    product = torch.matmul(a, b.mT if transposed else b)
    if bias is None:
        return product
    if bias.shape != product.shape[-1:]:
        raise ValueError(f"a bias of shape {tuple(bias.shape)} for {tuple(product.shape)}")
    return product + bias


def product(call: Call, a: View, b: View, bias: str | None = None, wanted: str | None = None) -> View:
    """The product of two values with at least two axes each. A transposed second operand is read as it lies."""
    dtype = call.dtype if call.dtype in ("float32", "complex64") else "int64"
    axes = tuple(range(len(b.shape)))
    swapped = apply_view(call, b, lambda x: x.permute(*axes[:-2], axes[-1], axes[-2]))
    assert isinstance(swapped, View)
    transposed = swapped.is_dense and not b.is_dense
    inputs = [call.dense(a, dtype), call.dense(swapped if transposed else b, dtype)]
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    return call.step("matmul", inputs + ([bias] if bias else []), {"transposed": transposed}, shape, dtype, wanted)


@lowers("mm.default", "bmm.default")
def mm(call: Call) -> Value:
    """One or a batch of matrix products."""
    return product(call, call.view("self"), call.view("mat2"), wanted=call.node.name)


@lowers("matmul.default")
def matmul_call(call: Call) -> Value:
    """Vectors become matrices of one row or column."""
    a, b = call.view("self"), call.view("other")
    vectors = [len(a.shape), len(b.shape)].count(1)
    if len(a.shape) == 1:
        a = lifted(call, a, 0)
    if len(b.shape) == 1:
        b = lifted(call, b, 1)
    result = product(call, a, b, wanted=call.node.name if vectors == 0 else None)
    return reshaped(call, result)


def lifted(call: Call, view: View, axis: int) -> View:
    """A view with one more axis."""
    result = apply_view(call, view, lambda x: x.unsqueeze(axis))
    assert isinstance(result, View)
    return result


def reshaped(call: Call, view: View, shape: tuple[int, ...] | None = None) -> View:
    """A view in the shape of the call's result."""
    wanted = call.shape if shape is None else shape
    if view.shape == wanted:
        return view
    result = apply_view(call, view, lambda x: x.view(wanted))
    assert isinstance(result, View)
    return result


@lowers("mv.default", "dot.default", "vdot.default")
def vector_product(call: Call) -> Value:
    """A matrix or vector by a vector; of vdot the first one's conjugates count."""
    first, second = (call.view(name) for name in list(call.arguments)[:2])
    if call.node.target is aten.vdot.default and call.dtype == "complex64":
        first = call.step("unary", [call.dense(first)], {"operation": "conj", "parameters": []}, first.shape, "complex64")
    a = first if len(first.shape) == 2 else lifted(call, first, 0)
    return reshaped(call, product(call, a, lifted(call, second, 1)))


@lowers("addmm.default", "baddbmm.default", "addmv.default")
def addmm(call: Call) -> Value:
    """beta * self + alpha * (a @ b); a bias of one row is added by the product."""
    names = list(call.arguments)
    a, b = call.view(names[1]), call.view(names[2])
    alpha, beta = call.arguments["alpha"], call.arguments["beta"]
    if len(b.shape) == 1:
        return add_scaled(call, reshaped(call, product(call, a, lifted(call, b, 1))), alpha, beta)
    if alpha == 1 and beta == 1 and call.fake_argument("self").shape == (b.shape[-1],):
        return product(call, a, b, call.tensor("self", call.dtype), call.node.name)
    return add_scaled(call, product(call, a, b), alpha, beta)


def add_scaled(call: Call, result: View, alpha: float, beta: float) -> View:
    """alpha * result + beta * self."""
    operands = []
    for tensor, factor in ((call.dense(result), alpha), (call.tensor("self", call.dtype), beta)):
        operands.append(tensor if factor == 1 else call.scaled(tensor, factor, call.dtype))
    return call.emit("binary", operands, {"operation": "add"})


@lowers("linear.default")
def linear(call: Call) -> Value:
    """x @ weight.T + bias: the weight (out, in) is read as it lies."""
    view = call.view("input")
    vector = len(view.shape) == 1
    rows = lifted(call, view, 0) if vector else view
    bias = None if call.arguments["bias"] is None else call.tensor("bias", call.dtype)
    weight = call.tensor("weight", call.dtype)
    inputs = [call.dense(rows, call.dtype), weight] + ([bias] if bias else [])
    shape = (*rows.shape[:-1], call.shape_of(weight)[0])
    result = call.step("matmul", inputs, {"transposed": True}, shape, call.dtype, None if vector else call.node.name)
    return reshaped(call, result)


@operation(
    "convolution",
    {"residual": is_flag, "low": is_number, "high": is_number},
    stride=is_integers,
    padding=is_integers,
    dilation=is_integers,
    output_padding=is_integers,
    transposed=is_flag,
    groups=is_integer,
)
def convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    *more: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    output_padding: list[int],
    transposed: bool,
    groups: int,
    residual: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> torch.Tensor:
    """float32 (N, C, [D, [H,]] W) by a weight in PyTorch's layout; padding before and after every axis, the same.

    A bias may follow, and does a residual that is added; then the result is clamped.
    """
    if not residual <= len(more) <= residual + 1:
        raise ValueError(f"{len(more)} tensors behind the weight")
    bias = more[0] if len(more) > residual else None
    axes = x.dim() - 2
    if not 1 <= axes <= 3 or any(len(values) != axes for values in (stride, padding, dilation, output_padding)):
        raise ValueError(f"{len(stride)} strides for shape {tuple(x.shape)}")
    result: torch.Tensor = aten.convolution.default(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
    if residual:
        if more[-1].shape != result.shape:
            raise ValueError(f"a residual of shape {tuple(more[-1].shape)} for {tuple(result.shape)}")
        result = result + more[-1]
    return result if low is None and high is None else torch.clamp(result, low, high)


CONVOLUTIONS = [f"conv{axes}d.{overload}" for axes in (1, 2, 3) for overload in ("default", "padding")]
TRANSPOSED = ["conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input"]


@lowers(*CONVOLUTIONS, *TRANSPOSED, "convolution.default")
def convolution_call(call: Call) -> Value:
    """Convolutions of one to three axes, with a batch or without, forward or transposed."""
    arguments = call.arguments
    weight = call.fake_argument("weight")
    axes = weight.dim() - 2
    view = call.view("input")
    single = len(view.shape) == axes + 1
    if single:
        view = lifted(call, view, 0)
    name = str(call.node.target).split(".")[1]
    wide = {key: widened(arguments.get(key, 0), axes) for key in ("stride", "dilation", "output_padding")}
    padding = arguments["padding"]
    if isinstance(padding, str):
        view, amounts = padded_to_same(call, view, weight, wide["dilation"], padding)
    else:
        amounts = widened(padding, axes)
    attributes = {
        **wide,
        "padding": amounts,
        "transposed": "transpose" in name or bool(arguments.get("transposed")),
        "groups": arguments["groups"],
    }
    if call.dtype not in ("float32", "complex64"):
        raise UnsupportedError(f"a convolution of {call.dtype}", "convert its input with .float()")
    inputs = [call.dense(view, call.dtype), call.tensor("weight", call.dtype)]
    if arguments["bias"] is not None:
        inputs.append(call.tensor("bias", call.dtype))
    shape = (1, *call.shape) if single else call.shape
    if call.dtype == "complex64":
        return reshaped(call, complex_convolution(call, inputs, attributes, shape))
    return reshaped(call, call.step("convolution", inputs, attributes, shape, "float32", None if single else call.node.name))


PARTS = ("real", "imag")


def complex_convolution(call: Call, inputs: Sequence[str], attributes: dict[str, Any], shape: tuple[int, ...]) -> View:
    """Four convolutions of real and imaginary parts; the bias's parts are added by one for each part of the result."""
    (x_re, x_im), (w_re, w_im), *bias = [
        [call.step("unary", [name], {"operation": part, "parameters": []}, call.shape_of(name), "float32").base for part in PARTS]
        for name in inputs
    ]
    sides = []
    for first, second, sign, more in ((w_re, w_im, "sub", 0), (w_im, w_re, "add", 1)):
        products = [[x_re, first, *(parts[more] for parts in bias)], [x_im, second]]
        operands = [call.step("convolution", product, attributes, shape, "float32").base for product in products]
        sides.append(call.step("binary", operands, {"operation": sign}, shape, "float32"))
    return paired(call, sides, shape)


def widened(value: object, axes: int) -> list[int]:
    """One number for every axis."""
    values = [value] if isinstance(value, int) else list(value)  # type: ignore[call-overload]
    return [int(item) for item in (values * axes if len(values) == 1 else values)]


def padded_to_same(call: Call, view: View, weight: torch.Tensor, dilation: list[int], padding: str) -> tuple[View, list[int]]:
    """Padding by name: what is the same on both sides, and a padded input where it is not."""
    extra = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if all(amount % 2 == 0 for amount in extra):
        return view, [amount // 2 for amount in extra]
    before = [0, 0, *(amount // 2 for amount in extra)]
    after = [0, 0, *(amount - amount // 2 for amount in extra)]
    shape = [size + first + last for size, first, last in zip(view.shape, before, after, strict=True)]
    attributes = {"before": before, "after": after, "mode": "constant", "value": 0}
    return call.step("pad", [call.dense(view, "float32")], attributes, shape, "float32"), [0] * len(extra)
