"""Integers of 8 to 32 bits, which are computed as int64: results that may leave their range wrap around as PyTorch's do."""

from __future__ import annotations

import torch

from cosoc.converter.dense.call import Call, Value, View

RANGES = {torch.uint8: (0, 255), torch.int8: (-128, 127), torch.int16: (-32768, 32767), torch.int32: (-(2**31), 2**31 - 1)}

LEAVING = frozenset(
    "add sub rsub mul neg abs square pow bitwise_not bitwise_left_shift __lshift__ div floor_divide _to_copy to type_as".split()
)
"""Operations whose results may be outside of the range that holds their operands."""


def wrapped(call: Call, value: Value) -> Value:
    """The value of a call with its integers brought into the range of PyTorch's dtype, where they may be outside."""
    fake = call.node.meta["val"]
    name = str(call.node.target).split(".")[1]
    if not isinstance(value, View) or not isinstance(fake, torch.Tensor) or fake.dtype not in RANGES or name not in LEAVING:
        return value
    if "self" in call.arguments and name in ("_to_copy", "to", "type_as") and call.fake_argument("self").dtype == torch.bool:
        return value
    least, largest = RANGES[fake.dtype]
    steps = [("bitwise_and", largest - least)]
    if least:
        steps = [("sub", least), *steps, ("add", least)]
    for operation, number in steps:
        value = call.step(
            "binary", [call.dense(value), call.operand(number, "int64")], {"operation": operation}, call.shape, "int64"
        )
    return value
