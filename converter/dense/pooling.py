"""Pooling over windows or to a size, and resampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from cosoc.converter.dense.call import Call, Value, View, lowers
from cosoc.converter.dense.linear import lifted, reshaped, widened
from cosoc.converter.dense.operation import OPERATIONS as KNOWN
from cosoc.converter.dense.operation import DenseOperation, is_flag, is_integers, is_numbers, one_of, operation
from cosoc.converter.steps import UnsupportedError

MAX_POOL: dict[int, Callable[..., Any]] = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
ADAPTIVE = {
    ("max", 1): functional.adaptive_max_pool1d,
    ("max", 2): functional.adaptive_max_pool2d,
    ("max", 3): functional.adaptive_max_pool3d,
    ("average", 1): functional.adaptive_avg_pool1d,
    ("average", 2): functional.adaptive_avg_pool2d,
    ("average", 3): functional.adaptive_avg_pool3d,
}
KINDS = ("max", "average")


class PoolOperation(DenseOperation):
    """Windows that slide, or windows that divide an axis evenly; the number of outputs is 1, or 2 with positions."""

    def problem(self, attributes: Any, inputs: Any, outputs: Any) -> str:
        """As of any operation, for the attributes of one of both kinds."""
        expected = SIZE_ATTRIBUTES if "size" in attributes else WINDOW_ATTRIBUTES
        return DenseOperation(self.name, self.compute, expected).problem(attributes, inputs, outputs)


SIZE_ATTRIBUTES = {"kind": one_of(KINDS), "size": is_integers}
WINDOW_ATTRIBUTES = {
    "kind": one_of(KINDS),
    "kernel": is_integers,
    "stride": is_integers,
    "padding": is_integers,
    "dilation": is_integers,
    "ceil": is_flag,
    "counts_padding": is_flag,
    "divisor": lambda value: type(value) is int,
    "positions": is_flag,
}


def pool(x: torch.Tensor, kind: str, **options: Any) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Pooling of float32 (N, C, [D, [H,]] W)."""
    axes = x.dim() - 2
    if "size" in options:
        result: torch.Tensor = ADAPTIVE[kind, axes](x, options["size"])  # type: ignore[operator]
        return result
    kernel, stride, padding = options["kernel"], options["stride"], options["padding"]
    if len(kernel) != axes:
        raise ValueError(f"{len(kernel)} axes of windows for shape {tuple(x.shape)}")
    if kind == "max":
        values, indices = MAX_POOL[axes](x, kernel, stride, padding, options["dilation"], options["ceil"], True)
        return (values, indices) if options["positions"] else values
    # PyTorch has no divisor for one axis: two axes of which the first has one element.
    wide = x.unsqueeze(2) if axes == 1 else x
    first: dict[str, list[int]] = {"kernel": [1], "stride": [1], "padding": [0]} if axes == 1 else {}
    sizes = [[*first.get(name, []), *options[name]] for name in ("kernel", "stride", "padding")]
    function: Callable[..., torch.Tensor] = functional.avg_pool3d if axes == 3 else functional.avg_pool2d
    averaged = function(wide, *sizes, options["ceil"], options["counts_padding"], options["divisor"] or None)
    return averaged.squeeze(2) if axes == 1 else averaged


KNOWN["pool"] = PoolOperation("pool", pool, WINDOW_ATTRIBUTES)


def with_batch(call: Call, view: View, axes: int) -> View:
    """A value with the axis of the batch."""
    return lifted(call, view, 0) if len(view.shape) == axes + 1 else view


def pooled(call: Call, view: View, attributes: dict[str, Any], size: tuple[int, ...], positions: bool = False) -> tuple[View, ...]:
    """The pooling's outputs, in the shapes of the call's results."""
    outputs = [(call.node.name, (*view.shape[:2], *size), "float32")]
    outputs += [(f"{call.node.name}.positions", outputs[0][1], "int64")] * positions
    inputs = [call.dense(view, "float32")]
    names = call.builder.emit("pool", inputs, outputs, attributes, name=call.label, source=call.source)
    return tuple(reshaped(call, call.builder.whole(name)) for name in names)


@lowers(
    *(f"max_pool{axes}d.default" for axes in (1, 2, 3)),
    *(f"max_pool{axes}d_with_indices.default" for axes in (2, 3)),
    *(f"avg_pool{axes}d.default" for axes in (1, 2, 3)),
)
def pool_call(call: Call) -> Value:
    """Windows that slide."""
    name = str(call.node.target).split(".")[1]
    axes = int(name[name.index("pool") + 4])
    arguments = call.arguments
    kernel = widened(arguments["kernel_size"], axes)
    attributes = {
        "kind": "max" if name.startswith("max") else "average",
        "kernel": kernel,
        "stride": widened(arguments["stride"], axes) if arguments["stride"] else kernel,
        "padding": widened(arguments["padding"], axes),
        "dilation": widened(arguments.get("dilation", 1), axes),
        "ceil": bool(arguments["ceil_mode"]),
        "counts_padding": bool(arguments.get("count_include_pad", True)),
        "divisor": int(arguments.get("divisor_override") or 0),
        "positions": name.endswith("with_indices") and used(call, 1),
    }
    view = with_batch(call, call.view("self"), axes)
    made = pooled(call, view, attributes, call.shape[-axes:], bool(attributes["positions"]))
    if not name.endswith("with_indices"):
        return made[0]
    return (made[0], made[1] if attributes["positions"] else None)


def used(call: Call, index: int) -> bool:
    """Whether anything reads an output."""
    return any(user.args[1] == index for user in call.node.users)


@lowers(
    *(f"adaptive_avg_pool{axes}d.default" for axes in (1, 2, 3)),
    *(f"_adaptive_avg_pool{axes}d.default" for axes in (2, 3)),
    *(f"adaptive_max_pool{axes}d.default" for axes in (1, 2, 3)),
)
def adaptive_pool(call: Call) -> Value:
    """Windows that divide every axis evenly."""
    name = str(call.node.target).split(".")[1]
    axes = int(name[name.index("pool") + 4])
    is_max = "max" in name
    if is_max and used(call, 1):
        raise UnsupportedError("positions of an adaptive maximum", "use max_pool with return_indices")
    size = call.shape[-axes:]
    view = with_batch(call, call.view("self"), axes)
    (made,) = pooled(call, view, {"kind": "max" if is_max else "average", "size": list(size)}, size)
    return (made, None) if is_max else made


def taps(mode: str, size: int, output: int, step: float, aligned: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (output, taps) and weights with which an axis is resampled, in float64.

    `step` is the distance of output elements in elements of the input.
    """
    at = torch.arange(output, dtype=torch.float64)
    if mode == "nearest":
        return (at * step).floor().long().clamp(max=size - 1)[:, None], torch.ones(output, 1, dtype=torch.float64)
    if mode == "nearest_exact":
        return ((at + 0.5) * step).floor().long().clamp(max=size - 1)[:, None], torch.ones(output, 1, dtype=torch.float64)
    real = at * step if aligned else (at + 0.5) * step - 0.5
    if mode == "linear":
        real = real.clamp(min=0)
        low = real.floor().long().clamp(max=size - 1)
        rest = (real - low).clamp(0, 1)
        return torch.stack([low, (low + 1).clamp(max=size - 1)], 1), torch.stack([1 - rest, rest], 1)
    low = real.floor().long()
    rest = real - low
    a = -0.75

    def near(x: torch.Tensor) -> torch.Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: torch.Tensor) -> torch.Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    positions = torch.stack([low - 1, low, low + 1, low + 2], 1).clamp(0, size - 1)
    return positions, torch.stack([far(rest + 1), near(rest), near(1 - rest), far(2 - rest)], 1)


MODES = ("nearest", "nearest_exact", "linear", "cubic")


@operation("resample", mode=one_of(MODES), size=is_integers, steps=is_numbers, aligned=is_flag)
def resample(x: torch.Tensor, mode: str, size: list[int], steps: list[float], aligned: bool) -> torch.Tensor:
    """The last axes in other sizes, one after another: every element is a weighted sum of its neighbours."""
    first = x.dim() - len(size)
    if first < 1 or len(steps) != len(size) or min(size) < 1:
        raise ValueError(f"sizes {size} for shape {tuple(x.shape)}")
    for axis, (wanted, step) in enumerate(zip(size, steps, strict=True), first):
        positions, weights = taps(mode, x.shape[axis], wanted, step, aligned)
        shape = (-1, *[1] * (x.dim() - 1 - axis))
        parts = [
            x.index_select(axis, positions[:, tap].to(x.device)) * weights[:, tap].float().reshape(shape).to(x.device)
            for tap in range(positions.shape[1])
        ]
        x = torch.stack(parts).sum(0) if len(parts) > 1 else x.index_select(axis, positions[:, 0].to(x.device))
    return x


UPSAMPLE = {
    **{f"upsample_nearest{axes}d": ("nearest", axes) for axes in (1, 2, 3)},
    **{f"_upsample_nearest_exact{axes}d": ("nearest_exact", axes) for axes in (1, 2, 3)},
    "upsample_linear1d": ("linear", 1),
    "upsample_bilinear2d": ("linear", 2),
    "upsample_trilinear3d": ("linear", 3),
    "upsample_bicubic2d": ("cubic", 2),
}


@lowers(*(f"{name}.{overload}" for name in UPSAMPLE for overload in ("default", "vec")))
def upsample(call: Call) -> Value:
    """Sizes or factors; a factor that the model gives is what counts, not the quotient of the sizes."""
    mode, axes = UPSAMPLE[str(call.node.target).split(".")[1]]
    operand = call.tensor(next(iter(call.arguments)), "float32")
    before, size = call.shape_of(operand)[-axes:], call.shape[-axes:]
    aligned = bool(call.arguments.get("align_corners", False))
    factors = list(call.arguments.get("scale_factors") or [call.arguments.get(name) for name in scale_names(axes)])
    steps = []
    for old, new, factor in zip(before, size, factors, strict=True):
        if aligned:
            steps.append((old - 1) / (new - 1) if new > 1 else 0.0)
        else:
            steps.append(1 / factor if factor else old / new)
    return call.emit("resample", [operand], {"mode": mode, "size": list(size), "steps": steps, "aligned": aligned})


def scale_names(axes: int) -> list[str]:
    """Arguments of ATen's overload without a vector."""
    return ["scales"] if axes == 1 else ["scales_d", "scales_h", "scales_w"][3 - axes :]
