"""What the definitions of operations share: their parts, errors, and tests of attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cosoc.converter.ir import Node, Tensor


class SpecError(Exception):
    """A graph is not valid; the message names the node or tensor."""


def require(condition: bool, message: str) -> None:
    """Raises `SpecError` unless the condition holds."""
    if not condition:
        raise SpecError(message)


def integers(least: int, count: int) -> Callable[[Any], bool]:
    """Whether a value is a list of `count` integers, none below `least`."""
    return lambda value: isinstance(value, list) and len(value) == count and all(type(x) is int and x >= least for x in value)


def is_factor(value: Any) -> bool:
    """A positive finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def is_complex(value: Any) -> bool:
    """Two finite numbers: real and imaginary part."""
    numbers = isinstance(value, list) and len(value) == 2
    return numbers and all(type(x) in (int, float) and math.isfinite(x) for x in value)


def one_of(*choices: str) -> Callable[[Any], bool]:
    """Whether a value is one of some words."""
    return lambda value: value in choices


def expect_shape(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raises `SpecError` unless the tensor has this shape."""
    require(tensor.shape == shape, f"{tensor.name} has shape {tensor.shape}, expected {shape}")


@dataclass(frozen=True)
class Operation:
    """Definition of an operation: number of inputs, test of every attribute, and a check of the types.

    `options` are groups of attributes that a node has all or none of; an optional group may come with one more input.
    """

    inputs: int
    attributes: dict[str, Callable[[Any], bool]]
    check: Callable[[Node, Sequence[Tensor], Tensor], None]
    options: tuple[dict[str, Callable[[Any], bool]], ...] = ()
    optional_inputs: int = 0
