"""Attention and recurrent layers, whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from cosoc.converter.dense.call import Call, Value, View, lowers
from cosoc.converter.dense.linear import lifted, reshaped
from cosoc.converter.dense.movement import apply_view
from cosoc.converter.dense.operation import is_flag, is_number, operation
from cosoc.converter.steps import UnsupportedError


@operation("attention", scale=is_number, causal=is_flag)
def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None = None, *, scale: float, causal: bool
) -> torch.Tensor:
    """softmax(scale * query @ key.T + mask) @ value for (B, L, E), (B, S, E), (B, S, V); mask (L, S) or (B, L, S)."""
    if query.dim() != 3 or (mask is not None and tuple(mask.shape[-2:]) != (query.shape[1], key.shape[1])):
        raise ValueError(f"a query of shape {tuple(query.shape)}")
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=scale)


@lowers("scaled_dot_product_attention.default")
def attention_call(call: Call) -> Value:
    """Batches and heads as one axis; a mask of bools becomes one of numbers that are added."""
    arguments = call.arguments
    query, key, value = (call.view(name) for name in ("query", "key", "value"))
    if arguments["dropout_p"]:
        raise UnsupportedError("attention with dropout", "pass dropout_p=0.0 in eval mode")
    if arguments["enable_gqa"]:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = (repeated_heads(call, view, repeats) for view in (key, value))
    batch = tuple(np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2]))
    views = [apply_view(call, view, lambda x: x.expand(*batch, *x.shape[-2:])) for view in (query, key, value)]
    count = math.prod(batch)
    inputs = []
    for view in views:
        assert isinstance(view, View)
        inputs.append(call.dense(reshaped(call, view, (count, *view.shape[-2:])), "float32"))
    if arguments["attn_mask"] is not None:
        inputs.append(attention_mask(call, batch, count))
    scale = arguments["scale"] if arguments["scale"] is not None else 1 / math.sqrt(query.shape[-1])
    shape = (count, query.shape[-2], value.shape[-1])
    attributes = {"scale": float(scale), "causal": bool(arguments["is_causal"])}
    result = call.step("attention", inputs, attributes, shape, "float32", call.node.name if shape == call.shape else None)
    return reshaped(call, result)


def repeated_heads(call: Call, view: View, repeats: int) -> View:
    """Every head several times, one behind another."""
    shape = view.shape
    wide = apply_view(call, view, lambda x: x.unsqueeze(-3).expand(*shape[:-2], repeats, *shape[-2:]))
    assert isinstance(wide, View)
    return reshaped(call, wide, (*shape[:-3], shape[-3] * repeats, *shape[-2:]))


def attention_mask(call: Call, batch: tuple[int, ...], count: int) -> str:
    """(L, S), or one for every batch and head, as float32."""
    mask = call.view("attn_mask")
    if call.builder.tensors[mask.base].dtype == "bool":
        operands = [call.operand(0.0, "float32"), call.operand(-math.inf, "float32")]
        mask = call.step("where", [call.dense(mask), *operands], {}, mask.shape, "float32")
    lengths = (call.fake_argument("query").shape[-2], call.fake_argument("key").shape[-2])
    leading = mask.shape[:-2]
    if all(size == 1 for size in leading):
        shared = reshaped(call, mask, tuple(mask.shape[-2:]))
        wide = apply_view(call, shared, lambda x: x.expand(*lengths))
        return call.operand(wide, "float32")
    wide = apply_view(call, mask, lambda x: x.expand(*batch, *lengths))
    assert isinstance(wide, View)
    return call.dense(reshaped(call, wide, (count, *lengths)), "float32")


def recurrent(kind: str, x: torch.Tensor, states: list[torch.Tensor], weights: list[torch.Tensor], reverse: bool) -> Any:
    """One layer of PyTorch's in one direction, over (T, N, I); weights, both biases or none, and perhaps an LSTM's projection."""
    function = torch.lstm if kind == "lstm" else torch.gru
    turned = x.flip(0) if reverse else x
    state: Any = [value.unsqueeze(0) for value in states] if kind == "lstm" else states[0].unsqueeze(0)
    y, *last = function(turned, state, weights, len(weights) >= 4, 1, 0.0, False, False, False)
    return (y.flip(0) if reverse else y, *(value.squeeze(0) for value in last))


@operation("lstm", reverse=is_flag)
def lstm(x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, *weights: torch.Tensor, reverse: bool) -> Any:
    """One direction of one layer: x (T, N, I), h (N, H or P), c (N, H), weights as PyTorch has them -> y (T, N, H or P), h, c.

    The last of 3 or 5 weights projects a state of H numbers to P.
    """
    return recurrent("lstm", x, [h, c], list(weights), reverse)


@operation("gru", reverse=is_flag)
def gru(x: torch.Tensor, h: torch.Tensor, *weights: torch.Tensor, reverse: bool) -> Any:
    """One direction of one layer: x (T, N, I), h (N, H), weights as PyTorch has them -> y (T, N, H), h."""
    return recurrent("gru", x, [h], list(weights), reverse)


@lowers("lstm.input", "gru.input")
def recurrent_call(call: Call) -> Value:
    """Layers and directions one after another."""
    arguments = call.arguments
    kind = str(call.node.target).split(".")[1]
    if arguments["dropout"] and arguments["train"]:
        raise UnsupportedError("dropout between recurrent layers", "call model.eval()")
    x = call.view("input")
    if arguments["batch_first"]:
        x = swapped(call, x)
    states = [call.builder.view(node) for node in (arguments["hx"] if kind == "lstm" else [arguments["hx"]])]
    parameters: list[Node] = list(arguments["params"])
    directions = 2 if arguments["bidirectional"] else 1
    each = len(parameters) // (directions * arguments["num_layers"])
    finals: list[list[View]] = [[] for _ in states]
    for layer in range(arguments["num_layers"]):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            weights = [call.operand(node, "float32") for node in parameters[index * each : (index + 1) * each]]
            y, *last = one_layer(call, kind, x, [selected(call, state, index) for state in states], weights, direction == 1)
            outputs.append(y)
            for final, value in zip(finals, last, strict=True):
                final.append(value)
        x = outputs[0] if directions == 1 else joined(call, outputs, 2)
    stacked = tuple(joined(call, [lifted(call, value, 0) for value in final], 0) for final in finals)
    return (swapped(call, x) if arguments["batch_first"] else x, *stacked)


def one_layer(call: Call, kind: str, x: View, states: list[View], weights: list[str], reverse: bool) -> list[View]:
    """The node of one direction of one layer."""
    inputs = [call.dense(x, "float32"), *(call.dense(state, "float32") for state in states), *weights]
    hidden = states[0].shape[1]  # of a projection, where there is one
    shapes = [(*x.shape[:2], hidden), *(state.shape for state in states)]
    outputs = [(f"{call.node.name}.{kind}", shape, "float32") for shape in shapes]
    names = call.builder.emit(kind, inputs, outputs, {"reverse": reverse}, name=call.label, source=call.source)
    return [call.builder.whole(name) for name in names]


def swapped(call: Call, view: View) -> View:
    """The first two axes exchanged."""
    result = apply_view(call, view, lambda x: x.transpose(0, 1))
    assert isinstance(result, View)
    return result


def selected(call: Call, view: View, index: int) -> View:
    """One element of the first axis."""
    result = apply_view(call, view, lambda x: x.select(0, index))
    assert isinstance(result, View)
    return result


def joined(call: Call, views: list[View], axis: int) -> View:
    """Views one behind another."""
    if len(views) == 1:
        return views[0]
    shape = list(views[0].shape)
    shape[axis] = sum(view.shape[axis] for view in views)
    return call.step("concatenate", [call.dense(view) for view in views], {"axis": axis}, shape, "float32")
