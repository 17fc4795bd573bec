"""Reading and writing elements at positions that are values themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from cosoc.converter.dense.call import Call, Value, View, lowers, row_major
from cosoc.converter.dense.linear import reshaped
from cosoc.converter.dense.movement import apply_view
from cosoc.converter.dense.operation import is_flag, is_integer, operation
from cosoc.converter.steps import UnsupportedError


def wrapped(index: torch.Tensor, size: int) -> torch.Tensor:
    """Negative positions count from the end."""
    return torch.where(index < 0, index + size, index)


@operation("take", axis=is_integer)
def take(x: torch.Tensor, index: torch.Tensor, axis: int) -> torch.Tensor:
    """The slices of an axis at the positions: the index's axes stand in its place."""
    if index.dtype != torch.int64 or not 0 <= axis < x.dim():
        raise TypeError(f"axis {axis} of {tuple(x.shape)} at positions of {index.dtype}")
    flat = x.index_select(axis, wrapped(index.reshape(-1), x.shape[axis]))
    return flat.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


@operation("gather", axis=is_integer)
def gather(x: torch.Tensor, index: torch.Tensor, axis: int) -> torch.Tensor:
    """Element by element: along the axis at the position, along the others where the position stands."""
    return torch.gather(x, axis, wrapped(index, x.shape[axis]))


@operation("scatter", axis=is_integer, accumulate=is_flag)
def scatter(x: torch.Tensor, index: torch.Tensor, values: torch.Tensor, axis: int, accumulate: bool) -> torch.Tensor:
    """x with the values at their positions, replaced in order or added."""
    if values.shape != index.shape or values.dtype != x.dtype:
        raise TypeError(f"values of {values.dtype} {tuple(values.shape)} for positions {tuple(index.shape)}")
    at = wrapped(index, x.shape[axis])
    return x.scatter_add(axis, at, values) if accumulate else x.scatter(axis, at, values)


@operation("put", accumulate=is_flag)
def put(x: torch.Tensor, index: torch.Tensor, values: torch.Tensor, accumulate: bool) -> torch.Tensor:
    """x with its slices along the first axis replaced, or added to, at the positions (n,); values (n, ..)."""
    if index.dim() != 1 or values.shape != (index.shape[0], *x.shape[1:]) or values.dtype != x.dtype:
        raise TypeError(f"values of {values.dtype} {tuple(values.shape)} at {tuple(index.shape)} of {tuple(x.shape)}")
    return x.index_put((wrapped(index, x.shape[0]),), values, accumulate)


@lowers("embedding.default")
def embedding(call: Call) -> Value:
    """Rows of a table."""
    inputs = [call.tensor("weight"), call.tensor("indices", "int64")]
    return call.emit("take", inputs, {"axis": 0})


@lowers("index_select.default")
def index_select(call: Call) -> Value:
    """Slices of an axis."""
    inputs = [call.tensor("self"), call.tensor("index", "int64")]
    return call.emit("take", inputs, {"axis": call.arguments["dim"] % max(len(call.shape), 1)})


@lowers("gather.default")
def gather_call(call: Call) -> Value:
    """As PyTorch's."""
    inputs = [call.tensor("self"), call.tensor("index", "int64")]
    return call.emit("gather", inputs, {"axis": call.arguments["dim"] % max(len(call.shape), 1)})


@lowers("scatter.src", "scatter.value", "scatter_add.default")
def scatter_call(call: Call) -> Value:
    """The values that have a position: a corner of the source."""
    dim = call.arguments["dim"] % max(len(call.shape), 1)
    index = call.tensor("index", "int64")
    shape = call.shape_of(index)
    if "src" in call.arguments:
        corner = apply_view(call, call.view("src"), lambda x: x.as_strided(shape, x.stride(), x.storage_offset()))
    else:
        number = call.builder.whole(call.operand(call.arguments["value"], call.dtype))
        corner = apply_view(call, number, lambda x: x.expand(shape))
    inputs = [call.tensor("self"), index, call.operand(corner, call.dtype)]
    return call.emit("scatter", inputs, {"axis": dim, "accumulate": "scatter_add" in str(call.node.target)})


@lowers("index.Tensor")
def index_call(call: Call) -> Value:
    """Positions on any axes: those axes become one, on which positions are numbers of rows."""
    view = call.view("self")
    order, axes, flat, shape = flat_positions(call, view)
    merged = merge(call, view, order, axes)
    rest = merged.shape[1:]
    if len(axes) == 1 and axes[0] > 0:
        # One axis alone is taken where it stands.
        return call.emit("take", [call.dense(view), flat], {"axis": axes[0]})
    if contiguous(axes) and axes[0] > 0:
        taken = call.step("take", [call.dense(merged), flat], {"axis": 0}, (*shape, *rest), call.dtype)
        front, count = axes[0], len(shape)
        axes_now = [*range(count, count + front), *range(count), *range(count + front, count + len(rest))]
        return apply_view(call, taken, lambda x: x.permute(axes_now))
    return call.emit("take", [call.dense(merged), flat], {"axis": 0})


def contiguous(axes: Sequence[int]) -> bool:
    """Whether axes follow each other."""
    return list(axes) == list(range(axes[0], axes[0] + len(axes)))


def flat_positions(call: Call, view: View) -> tuple[list[int], list[int], str, tuple[int, ...]]:
    """Order of the axes with the indexed ones first, these axes, the flat positions (int64), and their shape."""
    given: list[Any] = list(call.arguments["indices"])
    axes = [axis for axis, index in enumerate(given) if index is not None]
    for axis in axes:
        if given[axis].meta["val"].dtype in (torch.bool, torch.uint8):
            raise UnsupportedError(
                "a mask selects elements: the number of results depends on the data",
                "keep all elements: torch.where(mask, x, other), or multiply by the mask",
            )
    order = [*axes, *(axis for axis in range(len(view.shape)) if axis not in axes)]
    shape = tuple(torch.broadcast_shapes(*(given[axis].meta["val"].shape for axis in axes)))  # type: ignore[no-untyped-call]
    sizes = [view.shape[axis] for axis in axes]
    steps = row_major(sizes)
    total: str | None = None
    for axis, size, step in zip(axes, sizes, steps, strict=True):
        position = call.operand(given[axis], "int64")
        if len(axes) > 1:
            position = scaled_position(call, given[axis], position, size, step)
        if total is None:
            total = position
        else:
            wide = tuple(torch.broadcast_shapes(call.shape_of(total), call.shape_of(position)))  # type: ignore[no-untyped-call]
            total = call.step("binary", [total, position], {"operation": "add"}, wide, "int64").base
    assert total is not None
    if call.shape_of(total) != shape:
        total = call.dense(expanded(call, call.builder.whole(total), shape))
    return order, axes, total, shape


def scaled_position(call: Call, node: Node, position: str, size: int, step: int) -> str:
    """A position on one of several axes, none negative, times the distance of its elements."""
    data = call.builder.constants.get(position)
    if data is not None:
        value = wrapped(torch.from_numpy(data), size) * step
        return call.builder.dense_constant(f"{node.name}.flat", value)
    shape = call.shape_of(position)
    zero, length = call.operand(0, "int64"), call.operand(size, "int64")
    negative = call.step("binary", [position, zero], {"operation": "lt"}, shape, "bool").base
    raised = call.step("binary", [position, length], {"operation": "add"}, shape, "int64").base
    inside = call.step("where", [negative, raised, position], {}, shape, "int64").base
    return call.scaled(inside, step, "int64") if step != 1 else inside


def expanded(call: Call, view: View, shape: tuple[int, ...]) -> View:
    """A view that repeats over a shape."""
    result = apply_view(call, view, lambda x: x.expand(shape))
    assert isinstance(result, View)
    return result


def merge(call: Call, view: View, order: Sequence[int], axes: Sequence[int]) -> View:
    """The axes in this order, the first ones, which are indexed, as one."""
    permuted = apply_view(call, view, lambda x: x.permute(*order))
    assert isinstance(permuted, View)
    rest = permuted.shape[len(axes) :]
    return reshaped(call, permuted, (math.prod(permuted.shape[: len(axes)]), *rest))


@lowers("index_put.default", "_unsafe_index_put.default")
def index_put(call: Call) -> Value:
    """Elements at positions on any axes, replaced or added to."""
    view = call.view("self")
    given = list(call.arguments["indices"])
    mask = given[0].meta["val"] if len(given) == 1 and given[0] is not None else None
    if mask is not None and mask.dtype == torch.bool:
        return masked_put(call, view, given[0], tuple(mask.shape))
    order, axes, flat, shape = flat_positions(call, view)
    merged = merge(call, view, order, axes)
    rest = merged.shape[1:]
    count = math.prod(shape)
    # Values have the shape of what indexing gives: positions stand where the first indexed axis was, if the axes are neighbours.
    front = axes[0] if contiguous(axes) else 0
    around = [view.shape[axis] for axis in order[len(axes) :]]
    values = expanded(call, call.view("values"), (*around[:front], *shape, *around[front:]))
    axes_now = [*range(front, front + len(shape)), *range(front), *range(front + len(shape), len(values.shape))]
    ordered = apply_view(call, values, lambda x: x.permute(*axes_now))
    assert isinstance(ordered, View)
    rows = call.dense(reshaped(call, ordered, (count, *rest)), call.dtype)
    positions = call.dense(reshaped(call, call.builder.whole(flat), (count,)))
    inputs = [call.dense(merged), positions, rows]
    result = call.step("put", inputs, {"accumulate": bool(call.arguments["accumulate"])}, merged.shape, call.dtype)
    return restored(call, result, view, order)


def restored(call: Call, result: View, view: View, order: Sequence[int]) -> View:
    """Merged axes apart again, and all in their old order."""
    apart = reshaped(call, result, tuple(view.shape[axis] for axis in order))
    back = [list(order).index(axis) for axis in range(len(order))]
    final = apply_view(call, apart, lambda x: x.permute(*back))
    assert isinstance(final, View)
    return final


def masked_put(call: Call, view: View, mask: Node, shape: tuple[int, ...]) -> Value:
    """One value, or one for all that is masked, wherever the mask holds."""
    value = call.fake_argument("values")
    if value.numel() != 1 or call.arguments["accumulate"]:
        raise UnsupportedError("a mask with several values: their number depends on the data", "use torch.where(mask, values, x)")
    lifted_mask = apply_view(call, call.builder.view(mask), lambda x: x.view(*shape, *[1] * (len(view.shape) - len(shape))))
    number = reshaped(call, call.view("values"), ())
    return call.emit("where", [call.operand(lifted_mask, "bool"), call.dense(number, call.dtype), call.dense(view)])


@lowers("slice_scatter.default", "select_scatter.default")
def slice_scatter(call: Call) -> Value:
    """A part of an axis, replaced: what stays before, between and behind is known now."""
    view = call.view("self")
    arguments = call.arguments
    axis = arguments["dim"] % len(view.shape)
    size = view.shape[axis]
    source = call.view("src")
    if "index" in arguments:
        positions = torch.tensor([arguments["index"] % size])
        source = reshaped(call, source, (*view.shape[:axis], 1, *view.shape[axis + 1 :]))
    else:
        positions = torch.arange(size)[slice(arguments["start"], arguments["end"], arguments["step"])]
    order = [axis, *(other for other in range(len(view.shape)) if other != axis)]
    merged = merge(call, view, order, [axis])
    rows = apply_view(call, source, lambda x: x.permute(*order))
    index = call.builder.dense_constant(f"{call.node.name}.positions", positions)
    inputs = [call.dense(merged), index, call.operand(rows, call.dtype)]
    result = call.step("put", inputs, {"accumulate": False}, merged.shape, call.dtype)
    return restored(call, result, view, order)


@lowers("index_add.default", "index_copy.default")
def index_add(call: Call) -> Value:
    """Slices of an axis, added to or replaced."""
    view = call.view("self")
    axis = call.arguments["dim"] % max(len(view.shape), 1)
    order = [axis, *(other for other in range(len(view.shape)) if other != axis)]
    merged = merge(call, view, order, [axis])
    rows = apply_view(call, call.view("source"), lambda x: x.permute(*order))
    values = call.operand(rows, call.dtype)
    if call.arguments.get("alpha", 1) != 1:
        values = call.scaled(values, call.arguments["alpha"], call.dtype)
    inputs = [call.dense(merged), call.tensor("index", "int64"), values]
    accumulate = "index_add" in str(call.node.target)
    return restored(call, call.step("put", inputs, {"accumulate": accumulate}, merged.shape, call.dtype), view, order)
