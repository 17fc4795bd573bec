"""Moving elements without computing: views of every kind, concatenation, padding, rolling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from cosoc.converter.dense.call import Call, Value, View, lowers, row_major
from cosoc.converter.dense.operation import is_integer, is_integers, is_number, one_of, operation
from cosoc.converter.steps import UnsupportedError

aten = torch.ops.aten


@operation("strided", {"result": is_integers}, strides=is_integers, offset=is_integer, shape=is_integers)
def strided(x: torch.Tensor, strides: list[int], offset: int, shape: list[int], result: list[int] | None = None) -> torch.Tensor:
    """Element (i, j, ..) is the input's element offset + i * strides[0] + j * strides[1] + .. in row-major order.

    They get the shape `result` where it is given.
    """
    if len(shape) != len(strides) or any(size < 1 for size in shape):
        raise ValueError(f"{len(strides)} strides for shape {shape}")
    reaches = [(size - 1) * stride for size, stride in zip(shape, strides, strict=True)]
    least, greatest = offset + sum(min(reach, 0) for reach in reaches), offset + sum(max(reach, 0) for reach in reaches)
    if least < 0 or greatest >= x.numel():
        raise ValueError(f"the view reads elements {least}..{greatest} of {x.numel()}")
    # PyTorch has no negative strides: such axes are walked from their other end and turned round.
    turned = [axis for axis, reach in enumerate(reaches) if reach < 0]
    view = x.contiguous().view(-1).as_strided(shape, [abs(stride) for stride in strides], least)
    copied = view.flip(turned).clone() if turned else view.contiguous().clone()
    return copied if result is None else copied.view(result)


@lowers(
    *(
        f"{name}.{overload}"
        for name, overloads in {
            "view": "default",
            "_unsafe_view": "default",
            "reshape": "default",
            "flatten": "using_ints",
            "unflatten": "int",
            "permute": "default",
            "transpose": "int",
            "t": "default",
            "expand": "default",
            "expand_as": "default",
            "broadcast_to": "default",
            "select": "int",
            "slice": "Tensor",
            "narrow": "default",
            "squeeze": "default dim dims",
            "unsqueeze": "default",
            "split": "Tensor",
            "split_with_sizes": "default",
            "chunk": "default",
            "unbind": "int",
            "unfold": "default",
            "diagonal": "default",
            "movedim": "int intlist",
        }.items()
        for overload in overloads.split()
    )
)
def view_call(call: Call) -> Value:
    """Every operation that PyTorch computes by other strides: PyTorch itself says by which."""
    name, *rest = call.arguments
    view = call.view(name)
    values = [call.arguments[other] for other in rest if other != "implicit"]
    if any(isinstance(value, Node) for value in values):
        if "other" not in call.arguments:
            raise UnsupportedError("a view whose shape is computed", "use fixed shapes, or shapes of the inputs")
        return apply_view(call, view, lambda x: x.expand(call.shape))
    return apply_view(call, view, lambda x: view_target(call)(x, *values))


def view_target(call: Call) -> Any:
    """The operation, but never one that would copy."""
    if call.node.target in (aten.reshape.default, aten.flatten.using_ints, aten._unsafe_view.default):
        return lambda x, *_: x.view(call.shape)
    return call.node.target


def apply_view(call: Call, view: View, function: Any) -> Value:
    """The views that a function of PyTorch makes of a view; a dense copy where the strides do not allow them."""
    try:
        results = function(like(view))
    except RuntimeError:
        view = call.builder.whole(call.dense(view))
        results = function(like(view))
    if isinstance(results, torch.Tensor):
        return moved(view, results)
    return tuple(moved(view, result) for result in results)


def like(view: View) -> torch.Tensor:
    """A tensor without data that lies as the view does."""
    reach = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True)) + 1
    return torch.empty(reach, device="meta").as_strided(view.shape, view.strides, view.offset)


def moved(view: View, result: torch.Tensor) -> View:
    """The view that a tensor without data stands for."""
    if 0 in result.shape:
        raise UnsupportedError(f"a view of shape {tuple(result.shape)} has no elements", "leave it out")
    return View(view.base, tuple(result.shape), tuple(result.stride()), int(result.storage_offset()))


@lowers(
    "clone.default",
    "contiguous.default",
    "alias.default",
    "detach.default",
    "lift_fresh_copy.default",
    "dropout.default",
    "alpha_dropout.default",
    "feature_dropout.default",
    "native_dropout.default",
    "resolve_conj.default",
    "resolve_neg.default",
)
def same(call: Call) -> Value:
    """Operations that change no value in eval mode."""
    if call.arguments.get("train", call.arguments.get("training")):
        raise UnsupportedError("dropout in training mode", "leave it out, or pass training=self.training to functional.dropout")
    view = call.view(next(iter(call.arguments)))
    return (view, None) if call.node.target is aten.native_dropout.default else view


@lowers("copy.default", "fill.Tensor", "fill.Scalar")
def copy(call: Call) -> Value:
    """The other operand in the shape and type of the first one."""
    source = call.arguments.get("src", call.arguments.get("value"))
    view = call.builder.whole(call.operand(source, call.dtype))
    return apply_view(call, view, lambda x: x.expand(call.shape))


@lowers("as_strided.default", "as_strided_copy.default")
def as_strided(call: Call) -> Value:
    """Strides given by the model, of a tensor that is dense in PyTorch too."""
    fake = call.fake_argument("self")
    if not fake.is_contiguous() or fake.storage_offset():
        raise UnsupportedError("as_strided of a tensor that is not contiguous", "call .contiguous() before as_strided")
    base = call.dense(call.view("self"))
    offset = call.arguments["storage_offset"] or 0
    return View(base, tuple(call.arguments["size"]), tuple(call.arguments["stride"]), offset)


@lowers("flip.default")
def flip(call: Call) -> Value:
    """Axes in the other direction: negative strides, which PyTorch's views do not have."""
    view = call.builder.whole(call.dense(call.view("self")))
    strides, offset = list(view.strides), view.offset
    for axis in call.arguments["dims"]:
        offset += (view.shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return call.builder.whole(call.dense(View(view.base, view.shape, tuple(strides), offset)))


@lowers("repeat.default")
def repeat(call: Call) -> Value:
    """Copies side by side: an axis of stride 0 before each axis, then both as one."""
    view, repeats = call.view("self"), list(call.arguments["repeats"])
    missing = len(repeats) - len(view.shape)
    shape, strides = (1,) * missing + view.shape, (0,) * missing + view.strides
    wide = tuple(size for pair in zip(repeats, shape, strict=True) for size in pair)
    if 0 in wide:
        raise UnsupportedError("repeat by 0 has no elements", "leave it out")
    steps = tuple(stride for own in strides for stride in (0, own))
    return apply_view(call, View(view.base, wide, steps, view.offset), lambda x: x.view(call.shape))


@operation("concatenate", axis=is_integer)
def concatenate(*tensors: torch.Tensor, axis: int) -> torch.Tensor:
    """Tensors of one dtype, one behind another along an axis."""
    if len({tensor.dtype for tensor in tensors}) != 1:
        raise TypeError("tensors of several dtypes")
    return torch.cat(tensors, axis)


@lowers("cat.default", "concat.default")
def cat(call: Call) -> Value:
    """Converted to one type; tensors without elements vanish."""
    tensors = [tensor for tensor in call.arguments["tensors"] if tensor.meta["val"].numel()]
    axis = int(call.arguments["dim"]) % len(call.shape)
    return call.emit("concatenate", [call.operand(tensor, call.dtype) for tensor in tensors], {"axis": axis})


@lowers("stack.default")
def stack(call: Call) -> Value:
    """A new axis, along which the tensors follow each other."""
    axis = int(call.arguments["dim"]) % len(call.shape)
    operands = []
    for tensor in call.arguments["tensors"]:
        view = apply_view(call, call.builder.view(tensor), lambda x: x.unsqueeze(axis))
        operands.append(call.operand(view, call.dtype))
    return call.emit("concatenate", operands, {"axis": axis})


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


@operation("pad", before=is_integers, after=is_integers, mode=one_of(PAD_MODES), value=is_number)
def pad(x: torch.Tensor, before: list[int], after: list[int], mode: str, value: float) -> torch.Tensor:
    """Elements before and after, along every axis; a negative number takes elements away (mode constant)."""
    if len(before) != x.dim() or len(after) != x.dim():
        raise ValueError(f"{len(before)} and {len(after)} paddings for {x.dim()} axes")
    if mode == "constant":
        amounts = [amount for pair in zip(before[::-1], after[::-1], strict=True) for amount in pair]
        return torch.nn.functional.pad(x, amounts, value=value)
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first or last:
            x = x.index_select(axis, source_positions(x.shape[axis], first, last, mode).to(x.device))
    return x


def source_positions(size: int, before: int, after: int, mode: str) -> torch.Tensor:
    """Where the elements along a padded axis come from."""
    if (
        before < 0
        or after < 0
        or (mode == "reflect" and max(before, after) >= size)
        or (mode == "circular" and max(before, after) > size)
    ):
        raise ValueError(f"{mode} padding by {before} and {after} of {size} elements")
    position = torch.arange(-before, size + after)
    if mode == "replicate":
        return position.clamp(0, size - 1)
    if mode == "circular":
        return position % size
    position = position.abs()
    return torch.where(position < size, position, 2 * (size - 1) - position)


@lowers("constant_pad_nd.default", "pad.default")
def pad_call(call: Call) -> Value:
    """Amounts from the last axis to the first."""
    amounts: Sequence[int] = call.arguments["pad"]
    rank = len(call.shape)
    before, after = [0] * rank, [0] * rank
    for index in range(len(amounts) // 2):
        before[rank - 1 - index], after[rank - 1 - index] = int(amounts[2 * index]), int(amounts[2 * index + 1])
    mode = call.arguments.get("mode", "constant")
    value = +(call.arguments["value"] or 0)  # True becomes 1
    if mode != "constant" or value in (float("inf"), -float("inf")) or value != value:
        value_is_finite = value == value and abs(value) != float("inf")
        if not value_is_finite:
            return pad_by_infinity(call, before, after, value)
    return call.emit("pad", [call.tensor("self")], {"before": before, "after": after, "mode": mode, "value": value})


def pad_by_infinity(call: Call, before: list[int], after: list[int], value: float) -> View:
    """JSON has no infinity: where a padded tensor of ones is zero, the value is chosen."""
    ones = torch.ones(tuple(call.fake_argument("self").shape), dtype=torch.bool)
    mask = pad(ones, before, after, "constant", 0)
    assert isinstance(mask, torch.Tensor)
    attributes: dict[str, Any] = {"before": before, "after": after, "mode": "constant", "value": 0}
    padded = call.step("pad", [call.tensor("self")], attributes, call.shape, call.dtype)
    inside = call.builder.dense_constant(f"{call.node.name}.inside", mask)
    return call.emit("where", [inside, padded.base, call.operand(value, call.dtype)])


@lowers("roll.default")
def roll(call: Call) -> Value:
    """Each axis as two slices in the other order."""
    view = call.view("self")
    dims, shifts = list(call.arguments["dims"]), list(call.arguments["shifts"])
    if not dims:
        flat = apply_view(call, view, lambda x: x.view(-1))
        assert isinstance(flat, View)
        rolled = rolled_axis(call, flat, 0, shifts[0])
        return View(rolled.base, call.shape, row_major(call.shape))
    for axis, shift in zip(dims, shifts, strict=True):
        view = rolled_axis(call, view, axis, shift)
    return view


def rolled_axis(call: Call, view: View, axis: int, shift: int) -> View:
    """One axis, shifted towards its end."""
    axis %= len(view.shape)
    start = -shift % view.shape[axis]
    if start == 0:
        return view
    parts = [
        apply_view(call, view, lambda x: x.narrow(axis, start, view.shape[axis] - start)),
        apply_view(call, view, lambda x: x.narrow(axis, 0, start)),
    ]
    return call.step("concatenate", [call.operand(part) for part in parts], {"axis": axis}, view.shape, call.dtype)


@operation("reinterpret", dtype=one_of(("float32", "complex64")))
def reinterpret(x: torch.Tensor, dtype: str) -> torch.Tensor:
    """Complex numbers as pairs of real ones, or the other way."""
    return torch.view_as_complex(x.contiguous()).clone() if dtype == "complex64" else torch.view_as_real(x).clone()


@lowers("view_as_real.default")
def view_as_real(call: Call) -> Value:
    """A last axis of two."""
    return call.emit("reinterpret", [call.tensor("self")], {"dtype": "float32"})


@lowers("view_as_complex.default")
def view_as_complex(call: Call) -> Value:
    """From a last axis of two."""
    return call.emit("reinterpret", [call.tensor("self")], {"dtype": "complex64"})


@lowers("complex.default")
def complex_call(call: Call) -> Value:
    """Real and imaginary parts side by side."""
    return paired(call, [call.view(name) for name in ("real", "imag")], call.shape)


@lowers("polar.default")
def polar(call: Call) -> Value:
    """By radius and angle."""
    parts = []
    for name in ("cos", "sin"):
        angle = call.tensor("angle")
        side = call.step("unary", [angle], {"operation": name, "parameters": []}, call.shape_of(angle), "float32")
        parts.append(call.step("binary", [call.tensor("abs"), side.base], {"operation": "mul"}, call.shape, "float32"))
    return paired(call, parts, call.shape)


def paired(call: Call, views: Sequence[View], shape: tuple[int, ...]) -> View:
    """Complex numbers of two views, which repeat over each other."""
    parts = [call.operand(apply_view(call, view, lambda x: x.expand(shape).unsqueeze(-1))) for view in views]
    pairs = call.step("concatenate", parts, {"axis": len(shape)}, (*shape, 2), "float32")
    wanted = call.node.name if shape == call.shape else None
    return call.step("reinterpret", [pairs.base], {"dtype": "complex64"}, shape, "complex64", wanted)
