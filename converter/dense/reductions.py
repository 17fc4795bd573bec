"""Reductions along axes, normalizations, softmax, running sums, sorting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from cosoc.converter.dense.call import Call, Value, View, lowers
from cosoc.converter.dense.linear import reshaped
from cosoc.converter.dense.movement import apply_view
from cosoc.converter.dense.operation import dense_dtype, is_flag, is_integer, is_integers, is_number, one_of, operation
from cosoc.converter.steps import UnsupportedError

REDUCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "amax": torch.amax,
    "amin": torch.amin,
    "any": torch.any,
    "all": torch.all,
}
POSITIONS = {"argmax": torch.argmax, "argmin": torch.argmin}


@operation("reduce", operation=one_of((*REDUCTIONS, *POSITIONS, "prod")), axes=is_integers, keep=is_flag)
def reduce(x: torch.Tensor, operation: str, axes: list[int], keep: bool) -> torch.Tensor:
    """One number for all elements along the axes; positions are found along one axis."""
    if operation in POSITIONS:
        (axis,) = axes
        return POSITIONS[operation](x, axis, keep)
    if not axes:
        return x.clone()
    if operation == "prod":
        for axis in reversed(axes):
            x = torch.prod(x, axis, keepdim=keep)
        return x
    return REDUCTIONS[operation](x, axes, keepdim=keep)


def reduced(call: Call, operand: str, operation: str, axes: list[int], keep: bool, wanted: str | None = None) -> View:
    """A reduction of a dense tensor on the way to the result."""
    shape = call.shape_of(operand)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes]
    dtype = "int64" if operation in POSITIONS else call.builder.tensors[operand].dtype
    attributes = {"operation": operation, "axes": axes, "keep": keep}
    return call.step("reduce", [operand], attributes, kept, dtype, wanted)


def axes_of(call: Call, rank: int, name: str = "dim") -> list[int]:
    """The axes that are reduced, ascending; all where none are named."""
    given = call.arguments.get(name)
    if given is None or (isinstance(given, list | tuple) and not given):
        return list(range(rank))
    return sorted({int(axis) % max(rank, 1) for axis in ([given] if isinstance(given, int) else given)}) if rank else []


@lowers(
    *(f"sum.{overload}" for overload in ("default", "dim_IntList")),
    *(f"mean.{overload}" for overload in ("default", "dim")),
    *(f"prod.{overload}" for overload in ("default", "dim_int")),
    *(f"{name}.{overload}" for name in ("any", "all") for overload in ("default", "dim", "dims")),
    "amax.default",
    "amin.default",
    "max.default",
    "min.default",
)
def reduce_call(call: Call) -> Value:
    """Operands are converted to the result's type first, those of tests to bool."""
    name = str(call.node.target).split(".")[1]
    operation = {"max": "amax", "min": "amin"}.get(name, name)
    source = dense_dtype(call.fake_argument("self").dtype)
    dtype = call.dtype
    if operation in ("amax", "amin") and source == "bool":
        operation = "any" if operation == "amax" else "all"
    operand = call.tensor("self", dtype)
    axes = axes_of(call, len(call.shape_of(operand)))
    return reduced(call, operand, operation, axes, bool(call.arguments.get("keepdim", False)), call.node.name)


@lowers("linalg_vector_norm.default")
def vector_norm(call: Call) -> Value:
    """The p-th root of the sum of p-th powers; extremes for infinite p, the number of elements that are not zero for p = 0."""
    order = float(call.arguments["ord"])
    operand = call.tensor("self", dense_dtype(call.fake_argument("self").dtype))
    shape = call.shape_of(operand)
    axes, keep = axes_of(call, len(shape)), bool(call.arguments["keepdim"])
    plain: dict[str, Any] = {"parameters": []}
    if order == 0:
        other = call.step(
            "binary", [operand, call.operand(0, call.builder.tensors[operand].dtype)], {"operation": "ne"}, shape, "bool"
        )
        return reduced(call, call.dense(other, "float32"), "sum", axes, keep, call.node.name)
    size = call.step("unary", [operand], {"operation": "abs", **plain}, shape, "float32")
    if order in (math.inf, -math.inf):
        return reduced(call, size.base, "amax" if order > 0 else "amin", axes, keep, call.node.name)
    if order == 1:
        return reduced(call, size.base, "sum", axes, keep, call.node.name)
    power = call.step("binary", [size.base, call.operand(order, "float32")], {"operation": "pow"}, shape, "float32")
    total = reduced(call, power.base, "sum", axes, keep)
    if order == 2:
        return call.emit("unary", [total.base], {"operation": "sqrt", **plain})
    return call.emit("binary", [total.base, call.operand(1 / order, "float32")], {"operation": "pow"})


@lowers("argmax.default", "argmin.default")
def position(call: Call) -> Value:
    """Along one axis, or of all elements in a row."""
    name = str(call.node.target).split(".")[1]
    view = call.view("self")
    axis = call.arguments["dim"]
    if axis is None:
        flat = reshaped(call, view, (-1,))
        result = reduced(call, call.dense(flat, numeric(call, view)), name, [0], False)
        return reshaped(call, result)
    operand = call.dense(view, numeric(call, view))
    return reduced(call, operand, name, [axis % max(len(view.shape), 1)], bool(call.arguments["keepdim"]), call.node.name)


def numeric(call: Call, view: View) -> str:
    """The element type of a value, or int64 for bool."""
    dtype = call.builder.tensors[view.base].dtype
    return "int64" if dtype == "bool" else dtype


@lowers("max.dim", "min.dim")
def extreme(call: Call) -> Value:
    """The extreme along an axis and its position."""
    name = str(call.node.target).split(".")[1]
    view = call.view("self")
    operand = call.dense(view, numeric(call, view))
    if not view.shape:
        return (view, call.builder.whole(call.operand(0, "int64")))
    axes, keep = [call.arguments["dim"] % len(view.shape)], bool(call.arguments["keepdim"])
    value = reduced(call, operand, f"a{name}", axes, keep)
    return (value, reduced(call, operand, f"arg{name}", axes, keep))


@lowers("var.correction", "std.correction", "var_mean.correction")
def variance(call: Call) -> Value:
    """Mean square of what is left without the mean; the divisor is corrected."""
    operand = call.tensor("self", "float32")
    shape = call.shape_of(operand)
    axes, keep = axes_of(call, len(shape)), bool(call.arguments["keepdim"])
    mean = reduced(call, operand, "mean", axes, True)
    left = call.step("binary", [operand, mean.base], {"operation": "sub"}, shape, "float32")
    square = call.step("binary", [left.base, left.base], {"operation": "mul"}, shape, "float32")
    total = reduced(call, square.base, "sum", axes, keep)
    count = 1
    for axis in axes:
        count *= shape[axis]
    correction = call.arguments["correction"]
    divisor = count - (1 if correction is None else correction)
    if divisor <= 0:
        raise UnsupportedError("a variance without degrees of freedom", "reduce over more elements, or correction=0")
    result = call.step(
        "binary", [total.base, call.operand(float(divisor), "float32")], {"operation": "div"}, total.shape, "float32"
    )
    if "std" in str(call.node.target):
        result = call.step("unary", [result.base], {"operation": "sqrt", "parameters": []}, result.shape, "float32")
    if "var_mean" not in str(call.node.target):
        return result
    average = mean if keep else apply_view(call, mean, lambda x: x.view(result.shape))
    assert isinstance(average, View)
    return (result, average)


@operation("softmax", axis=is_integer, logarithm=is_flag)
def softmax(x: torch.Tensor, axis: int, logarithm: bool) -> torch.Tensor:
    """Along one axis."""
    return torch.log_softmax(x, axis) if logarithm else torch.softmax(x, axis)


@lowers("_softmax.default", "_log_softmax.default", "softmax.int", "log_softmax.int")
def softmax_call(call: Call) -> Value:
    """Softmax or its logarithm."""
    logarithm = "log_softmax" in str(call.node.target)
    axis = call.arguments["dim"] % max(len(call.shape), 1)
    return call.emit("softmax", [call.tensor("self", "float32")], {"axis": axis, "logarithm": logarithm})


@operation("normalize", axes=is_integer, groups=is_integer, epsilon=is_number)
def normalize(
    x: torch.Tensor, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, *, axes: int, groups: int, epsilon: float
) -> torch.Tensor:
    """Layer norm over the last `axes` axes, or, with `groups`, group norm of (N, C, ..); weight and bias both or none."""
    if groups:
        return torch.nn.functional.group_norm(x, groups, weight, bias, epsilon)
    return torch.nn.functional.layer_norm(x, x.shape[x.dim() - axes :], weight, bias, epsilon)


def normalized(call: Call, view: View, parameters: tuple[int, ...], axes: int, groups: int, wanted: str | None) -> View:
    """A normalization; where only one of weight and bias is given, ones or zeros stand for the other."""
    inputs = [call.dense(view, "float32")]
    given = [call.arguments.get("weight"), call.arguments.get("bias")]
    if any(value is not None for value in given):
        for value, fill in zip(given, (1.0, 0.0), strict=True):
            constant = f"{call.node.name}.fill{int(fill)}"
            inputs.append(
                call.builder.dense_constant(constant, torch.full(parameters, fill))
                if value is None
                else call.operand(value, "float32")
            )
    attributes = {"axes": axes, "groups": groups, "epsilon": call.arguments["eps"]}
    return call.step("normalize", inputs, attributes, view.shape, "float32", wanted)


@lowers("layer_norm.default", "native_layer_norm.default")
def layer_norm(call: Call) -> Value:
    """Over the last axes."""
    shape = tuple(int(size) for size in call.arguments["normalized_shape"])
    result = normalized(call, call.view("input"), shape, len(shape), 0, call.node.name)
    return (result, None, None) if "native" in str(call.node.target) else result


@lowers("group_norm.default")
def group_norm(call: Call) -> Value:
    """Over groups of channels."""
    view = call.view("input")
    return normalized(call, view, (view.shape[1],), 0, call.arguments["num_groups"], call.node.name)


@lowers("native_group_norm.default")
def native_group_norm(call: Call) -> Value:
    """Core ATen's form, whose shape is given in parts."""
    view = call.view("input")
    return (normalized(call, view, (view.shape[1],), 0, call.arguments["group"], call.node.name), None, None)


@lowers("instance_norm.default")
def instance_norm(call: Call) -> Value:
    """Every channel of every sample for itself; by the statistics of training where the layer has them."""
    view = call.view("input")
    if not call.arguments["use_input_stats"]:
        return affine(call, view, call.constant("running_mean"), call.constant("running_var"))
    return normalized(call, view, (view.shape[1],), 0, view.shape[1], call.node.name)


@lowers("_native_batch_norm_legit_no_training.default")
def batch_norm(call: Call) -> Value:
    """A batch norm that no layer before it took up: a factor and a term for every channel."""
    view = call.view("input")
    return (affine(call, view, call.constant("running_mean"), call.constant("running_var")), None, None)


def affine(call: Call, view: View, mean: torch.Tensor | None, variance: torch.Tensor | None) -> View:
    """factor * x + term, computed in float64 from constants."""
    if mean is None or variance is None:
        raise UnsupportedError("a batch norm with computed statistics", "bake the statistics into buffers of the model")
    weight, bias = (call.constant(name) if call.arguments[name] is not None else None for name in ("weight", "bias"))
    factor = torch.rsqrt(variance.double() + call.arguments["eps"])
    factor = factor if weight is None else factor * weight.double()
    term = -mean.double() * factor + (0.0 if bias is None else bias.double())
    shape = (-1, *[1] * (len(view.shape) - 2))
    result = call.dense(view, "float32")
    for name, value in (("mul", factor), ("add", term)):
        constant = call.builder.dense_constant(f"{call.node.name}.{name}", value.float().reshape(shape))
        result = call.step("binary", [result, constant], {"operation": name}, view.shape, "float32").base
    return call.builder.whole(result)


@operation("cumulate", operation=one_of(("sum", "prod")), axis=is_integer)
def cumulate(x: torch.Tensor, operation: str, axis: int) -> torch.Tensor:
    """Sums or products of all elements up to each one."""
    return torch.cumsum(x, axis) if operation == "sum" else torch.cumprod(x, axis)


@lowers("cumsum.default", "cumprod.default")
def cumulate_call(call: Call) -> Value:
    """Along one axis."""
    operation = str(call.node.target).split(".")[1].removeprefix("cum")
    attributes: dict[str, Any] = {"operation": operation, "axis": call.arguments["dim"] % max(len(call.shape), 1)}
    if not call.shape:
        return call.builder.whole(call.tensor("self", call.dtype))
    return call.emit("cumulate", [call.tensor("self", call.dtype)], attributes)


@operation("sort", options={"count": is_integer}, axis=is_integer, descending=is_flag)
def sort(x: torch.Tensor, axis: int, descending: bool, count: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Sorted elements, or the first of them, and where they were; equal ones keep their order, NaN is the largest."""
    values, indices = torch.sort(x, dim=axis, descending=descending, stable=True)
    if count is None:
        return values, indices
    return values.narrow(axis, 0, count).contiguous(), indices.narrow(axis, 0, count).contiguous()


@lowers("sort.default", "sort.stable", "topk.default", "kthvalue.default", "argsort.default", "median.dim")
def sort_call(call: Call) -> Value:
    """The first k of a sorted axis are a view."""
    name = str(call.node.target).split(".")[1]
    view = call.view("self")
    axis = call.arguments["dim"] % max(len(view.shape), 1)
    descending = bool(call.arguments.get("largest", call.arguments.get("descending", False)))
    operand = call.dense(view, numeric(call, view))
    dtype = call.builder.tensors[operand].dtype
    shape = list(view.shape)
    attributes = {"axis": axis, "descending": descending}
    if name == "topk" and shape and 0 < call.arguments["k"] < shape[axis]:
        attributes["count"] = shape[axis] = call.arguments["k"]
    outputs = [(f"{call.node.name}.{index}", tuple(shape), kind) for index, kind in enumerate((dtype, "int64"))]
    names = call.builder.emit("sort", [operand], outputs, attributes, name=call.label, source=call.source)
    views = tuple(call.builder.whole(made) for made in names)
    if name == "argsort":
        return views[1]
    if name == "topk":
        return tuple(narrowed(call, made, axis, 0, call.arguments["k"]) for made in views)
    if name in ("kthvalue", "median"):
        k = call.arguments["k"] - 1 if name == "kthvalue" else (view.shape[axis] - 1) // 2
        return tuple(reshaped(call, narrowed(call, made, axis, k, 1)) for made in views)
    return views


def narrowed(call: Call, view: View, axis: int, start: int, length: int) -> View:
    """A part of an axis."""
    result = apply_view(call, view, lambda x: x.narrow(axis, start, length))
    assert isinstance(result, View)
    return result
