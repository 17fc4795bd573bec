"""The definitions of operations on signals: transforms, element-wise arithmetic, filters, matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from cosoc.converter.ir import Node, Tensor
from cosoc.converter.spec_base import Operation, expect_shape, integers, is_complex, one_of, require


def check_complex(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """fft, transpose, magnitude_squared."""
    require(
        all(tensor.dtype == "complex64" and tensor.shape == tensors[0].shape for tensor in tensors),
        "inputs: complex64 of one shape",
    )
    require(
        output.dtype == ("float32" if node.op == "magnitude_squared" else "complex64"), f"{output.name} has dtype {output.dtype}"
    )
    shape = tensors[0].shape
    require(node.attributes.get("axis", 0) < len(shape), f"axis {node.attributes.get('axis')} of a tensor of rank {len(shape)}")
    require(len(shape) == 2 or node.op != "transpose", "transpose needs rank 2")
    expect_shape(output, shape[::-1] if node.op == "transpose" else shape)


ZIP_OPERANDS = {
    **dict.fromkeys(("magnitude_squared", "magnitude", "scale"), 1),
    **dict.fromkeys(("add", "sub", "mul", "div", "conjugate_mul"), 2),
    **dict.fromkeys(("multiply_add", "conjugate_multiply_add"), 3),
}
"""Inputs of each operation of zip."""

ZIP_REAL = ("add", "sub", "mul", "div", "multiply_add", "scale")
"""Those that real tensors have too."""

MAX_SHIFT = 31
"""Of int16."""


def check_zip(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """One to three tensors of one dtype and shape, of which the second may be the last axes or one element."""
    operation = node.attributes["operation"]
    require(len(tensors) == ZIP_OPERANDS[operation], f"{len(tensors)} inputs; {operation} has {ZIP_OPERANDS[operation]}")
    require(("factor" in node.attributes) == (operation == "scale"), "factor goes with scale")
    first = tensors[0]
    known = ("complex64", "float32") if operation in ZIP_REAL else ("complex64",)
    require(first.dtype in known, f"{first.name} has dtype {first.dtype}; {operation} has {' or '.join(known)}")
    require(all(tensor.dtype == first.dtype for tensor in tensors), "inputs: tensors of one dtype")
    require(output.dtype == ("float32" if operation.startswith("magnitude") else first.dtype), f"{output.name}: {output.dtype}")
    for tensor in tensors[1:2]:
        require_repeats(tensor, first, math.prod(tensor.shape) == 1)
    for tensor in (*tensors[2:], output):
        expect_shape(tensor, first.shape)
    if first.dtype == "float32" and operation == "scale":
        require(node.attributes["factor"][1] == 0, "the factor of real numbers must be real")


def require_repeats(tensor: Tensor, over: Tensor, single: bool) -> None:
    """Raises `SpecError` unless a tensor has the last axes of another, or is a single element."""
    tail = over.shape[len(over.shape) - len(tensor.shape) :]
    short = len(tensor.shape) <= len(over.shape) and tensor.shape == tail
    require(short or single, f"{tensor.name} has shape {tensor.shape}, which does not repeat over {over.shape}")


def check_zip_int16(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """As zip, on int16 tensors of any rank but that of feature maps; complex numbers are a last axis (re, im)."""
    operation, numbers = node.attributes["operation"], node.attributes["numbers"]
    require(len(tensors) == ZIP_OPERANDS[operation], f"{len(tensors)} inputs; {operation} has {ZIP_OPERANDS[operation]}")
    require(("factor" in node.attributes) == (operation == "scale"), "factor goes with scale")
    require(numbers == "complex" or operation in ZIP_REAL, f"the operation {operation} is for complex numbers")
    require(numbers == "complex" or node.attributes.get("factor", [0, 0])[1] == 0, "the factor of real numbers must be real")
    for tensor in (*tensors, output):
        require(tensor.dtype == "int16", f"{tensor.name} has dtype {tensor.dtype}, expected int16")
    for tensor in tensors:
        require(len(tensor.shape) != 4, f"{tensor.name} has four axes, which a feature map has")
    first = tensors[0]
    parts = 2 if numbers == "complex" else 1
    require(parts == 1 or first.shape[-1:] == (2,), f"{first.name} has shape {first.shape}; complex numbers have a last axis of 2")
    for tensor in tensors[1:2]:
        require_repeats(tensor, first, tensor.shape[-1:] == (parts,) and math.prod(tensor.shape) == parts)
    for tensor in tensors[2:]:
        expect_shape(tensor, first.shape)
    expect_shape(output, first.shape[:-1] if operation.startswith("magnitude") else first.shape)


def check_rfft(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """float32 (..., L) to complex64 (..., L // 2 + 1)."""
    (source,) = tensors
    require(source.dtype == "float32" and output.dtype == "complex64", "float32 to complex64")
    require(len(source.shape) > 0, f"{source.name} has no axis")
    expect_shape(output, (*source.shape[:-1], source.shape[-1] // 2 + 1))


def check_fft_multiply(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """A transform, and its factor of the same shape or of the last axes."""
    check_complex(node, tensors[:1], output)
    require(tensors[1].dtype == "complex64", f"{tensors[1].name} has dtype {tensors[1].dtype}, expected complex64")
    require_repeats(tensors[1], tensors[0], single=False)
    require(len(tensors[1].shape) > 0, f"{tensors[1].name} has no axis")


def check_gemm(node: Node, tensors: Sequence[Tensor], output: Tensor) -> None:
    """(rows, depth) and (depth, columns), float32 or complex64."""
    first, second = tensors
    require(first.dtype in ("float32", "complex64"), f"{first.name} has dtype {first.dtype}, expected float32 or complex64")
    require(second.dtype == output.dtype == first.dtype, "inputs and output: one dtype")
    require(len(first.shape) == len(second.shape) == 2, "inputs: matrices")
    expect_shape(second, (first.shape[1], second.shape[1]))
    expect_shape(output, (first.shape[0], second.shape[1]))


def whole(least: int, most: int) -> Callable[[Any], bool]:
    """Whether a value is an integer of a range."""
    return lambda value: type(value) is int and least <= value <= most


def is_int16_pair(value: Any) -> bool:
    """Two integers of int16: real and imaginary part."""
    return integers(-32768, 2)(value) and max(value) <= 32767


AXIS = {"axis": lambda value: type(value) is int and value >= 0}

SIGNALS: dict[str, Operation] = {
    "fft": Operation(
        1,
        {"direction": one_of("forward", "inverse")},
        check_complex,
        options=(AXIS,),
    ),
    "rfft": Operation(1, {}, check_rfft),
    "fft_multiply": Operation(
        2,
        {"direction": one_of("forward", "inverse"), "operation": one_of("mul", "conjugate_mul")},
        check_fft_multiply,
        options=(AXIS,),
    ),
    "zip": Operation(1, {"operation": one_of(*ZIP_OPERANDS)}, check_zip, options=({"factor": is_complex},), optional_inputs=2),
    "zip_int16": Operation(
        1,
        {"operation": one_of(*ZIP_OPERANDS), "numbers": one_of("real", "complex"), "shift": whole(0, MAX_SHIFT)},
        check_zip_int16,
        options=({"factor": is_int16_pair},),
        optional_inputs=2,
    ),
    "gemm": Operation(2, {}, check_gemm),
    "transpose": Operation(1, {}, check_complex),
    "magnitude_squared": Operation(1, {}, check_complex),
}
"""Operations by name; docs/architecture.md says what they compute."""
