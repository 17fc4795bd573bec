"""Operations on dense row-major tensors: one definition serves the check of a graph, the emulation and the lowering.

A family of them is one module of this package. It defines operations of bundles (`@operation`), each by a function on PyTorch's
tensors: run on tensors without data it gives shapes and dtypes, run on data it gives values. And it says what operations of ATen
become (`@lowers`), see `call.Call`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray

from cosoc.converter.dense.types import obstacle
from cosoc.converter.ir import DTYPES, Tensor

Tensors = tuple[torch.Tensor, ...]
Test = Callable[[Any], bool]
Compute = Callable[..., torch.Tensor | Tensors]

TORCH_DTYPES = {
    "float32": torch.float32,
    "int64": torch.int64,
    "bool": torch.bool,
    "complex64": torch.complex64,
}
"""Element types of dense tensors that are computed."""


def dense_dtype(dtype: torch.dtype) -> str:
    """The element type that computes a PyTorch dtype: integers as int64, floating point as float32, complex as complex64."""
    if dtype == torch.bool:
        return "bool"
    if dtype.is_complex:
        return "complex64"
    return "float32" if dtype.is_floating_point else "int64"


def as_array(value: torch.Tensor) -> NDArray[Any]:
    """A tensor in the element type that computes it."""
    result: NDArray[Any] = value.detach().cpu().resolve_conj().resolve_neg().to(TORCH_DTYPES[dense_dtype(value.dtype)]).numpy()
    return result


@dataclass(frozen=True)
class DenseOperation:
    """An operation of a bundle.

    Attributes:
        name: as it stands in bundles; the C++ kernel of this name computes it.
        compute: `compute(*tensors, **attributes)`: the outputs, for tensors of a device "meta" as well.
        attributes: a test of every attribute.
        options: a test of every attribute that may be absent.
    """

    name: str
    compute: Compute
    attributes: dict[str, Test]
    options: dict[str, Test] = field(default_factory=dict)

    def outputs(self, attributes: Mapping[str, Any], tensors: Sequence[torch.Tensor]) -> Tensors:
        """The outputs as a tuple."""
        result = self.compute(*tensors, **attributes)
        return result if isinstance(result, tuple) else (result,)

    def problem(self, attributes: Mapping[str, Any], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
        """What is wrong with a node's attributes and types; empty when nothing is."""
        expected = sorted(self.attributes)
        if sorted(set(attributes) - set(self.options)) != expected:
            return f"attributes {sorted(attributes)}, expected {expected} and perhaps some of {sorted(self.options)}"
        for name, test in (self.attributes | self.options).items():
            if name in attributes and not test(attributes[name]):
                return f"attribute {name} = {attributes[name]!r} is not possible"
        wrong = [tensor for tensor in (*inputs, *outputs) if tensor.dtype not in TORCH_DTYPES]
        if wrong:
            return f"{wrong[0].name} is {wrong[0].dtype}; {self.name} computes {', '.join(TORCH_DTYPES)}"
        if why := obstacle(self.name, attributes, [tensor.dtype for tensor in inputs]):
            return why
        operands = [torch.empty(tensor.shape, dtype=TORCH_DTYPES[tensor.dtype], device="meta") for tensor in inputs]
        try:
            results = self.outputs(attributes, operands)
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
            return str(error).splitlines()[0]
        if len(results) != len(outputs):
            return f"{len(outputs)} outputs, expected {len(results)}"
        for result, tensor in zip(results, outputs, strict=True):
            if tuple(result.shape) != tensor.shape or result.dtype != TORCH_DTYPES[tensor.dtype]:
                return f"{tensor.name} is {tensor.dtype} {tensor.shape}, expected {result.dtype} {tuple(result.shape)}"
        return ""


OPERATIONS: dict[str, DenseOperation] = {}
"""Every operation, by name; filled by the modules of the families."""


def operation(name: str, options: dict[str, Test] | None = None, **attributes: Test) -> Callable[[Compute], Compute]:
    """Defines the operation of a bundle that the decorated function computes; `options` are attributes that may be absent."""

    def define(compute: Compute) -> Compute:
        OPERATIONS[name] = DenseOperation(name, compute, attributes, options or {})
        return compute

    return define


def is_integer(value: Any) -> bool:
    """An integer, no bool."""
    return type(value) is int


def is_flag(value: Any) -> bool:
    """true or false."""
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    """A finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def is_integers(value: Any) -> bool:
    """A list of at most eight integers."""
    return isinstance(value, list) and len(value) <= 8 and all(type(item) is int for item in value)


def is_numbers(value: Any) -> bool:
    """A list of at most eight finite numbers."""
    return isinstance(value, list) and len(value) <= 8 and all(is_number(item) for item in value)


def one_of(choices: Mapping[str, object] | Sequence[str]) -> Test:
    """Whether a value is one of some words."""
    return lambda value: isinstance(value, str) and value in choices


def numpy_dtype(name: str) -> Any:
    """NumPy's dtype of a tensor of the graph."""
    return DTYPES[name]
