"""Which element types the CPU's kernels compute. A test compares this with what they say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LETTERS = {"float32": "f", "int64": "i", "bool": "b", "complex64": "c"}


def table(others: str, **named: str) -> dict[str, str]:
    """Types by the names of functions, given by types; `others` are those of all other functions."""
    types = {function: letters for letters, functions in named.items() for function in functions.split()}
    return {**types, "": others}


FIRST_OPERAND: dict[str, str | dict[str, str]] = {
    "unary": table(
        "fc",
        f="floor ceil trunc round erf erfc gelu gelu_tanh mish hardswish hardsigmoid softplus elu leaky_relu clamp",
        c="real imag conj",
        fi="sign relu",
        ib="bitwise_not",
        fic="neg abs",
        fibc="logical_not",
    ),
    "binary": table(
        "fib",
        f="atan2 prelu",
        i="left_shift right_shift",
        fc="div",
        fi="floor_divide trunc_divide fmod remainder",
        ib="bitwise_and bitwise_or bitwise_xor",
        fic="add sub pow",
        fibc="mul eq ne",
    ),
    "reduce": table("fi", f="", fic="sum prod", fc="mean", b="any all"),
    "cumulate": "fic",
    "matmul": "fic",
    "sort": "fi",
    **dict.fromkeys(("softmax", "normalize", "pool", "resample", "convolution", "attention", "lstm", "gru"), "f"),
}
"""Letters of the types that the first operand may have, by the operation; where it has several functions, by their names."""


def obstacle(operation: str, attributes: Mapping[str, Any], dtypes: list[str]) -> str:
    """Why no kernel computes an operation of operands of these types; empty where one does."""
    letters = FIRST_OPERAND.get(operation, "fibc")
    function = str(attributes.get("operation", operation))
    if isinstance(letters, dict):
        letters = letters.get(function, letters[""])
    if operation in ("scatter", "put") and attributes["accumulate"]:
        letters, function = "fic", f"adding {operation}"
    if dtypes and LETTERS[dtypes[0]] not in letters:
        return f"{function} has no kernel for {dtypes[0]}"
    if operation in ("gather", "scatter", "put", "take") and dtypes[1:2] != ["int64"]:
        return f"positions are int64, not {dtypes[1]}"
    return ""
