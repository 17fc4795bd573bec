"""Element-wise operations: functions of one element, of two with broadcasting and type promotion, choice and conversion."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.fx import Node
from torch.nn import functional

from cosoc.converter.dense.call import Call, View, lowers
from cosoc.converter.dense.operation import TORCH_DTYPES, dense_dtype, is_numbers, one_of, operation
from cosoc.converter.steps import UnsupportedError

UNARY: dict[str, Callable[..., torch.Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in (
            "neg abs sign floor ceil trunc round exp exp2 expm1 log log1p log2 log10 sqrt rsqrt reciprocal sin cos tan asin acos "
            "atan sinh cosh tanh asinh acosh atanh erf erfc sigmoid relu logical_not bitwise_not isnan isinf angle"
        ).split()
    },
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "softplus": functional.softplus,
    "elu": torch.ops.aten.elu.default,
    "leaky_relu": functional.leaky_relu,
    "clamp": torch.clamp,
    "real": lambda x: torch.real(x).clone(),
    "imag": lambda x: torch.imag(x).clone(),
    "conj": lambda x: torch.conj_physical(x),
}

BINARY: dict[str, Callable[..., torch.Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in (
            "add sub mul div fmod remainder pow maximum minimum atan2 eq ne lt le gt ge logical_and logical_or logical_xor "
            "bitwise_and bitwise_or bitwise_xor"
        ).split()
    },
    "floor_divide": partial(torch.div, rounding_mode="floor"),
    "trunc_divide": partial(torch.div, rounding_mode="trunc"),
    "left_shift": torch.bitwise_left_shift,
    "right_shift": torch.bitwise_right_shift,
    "prelu": torch.ops.aten._prelu_kernel.default,
}
TESTS = ("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor")
"""Those with a bool result."""


@operation("unary", operation=one_of(UNARY), parameters=is_numbers)
def unary(x: torch.Tensor, operation: str, parameters: list[float]) -> torch.Tensor:
    """A function of every element, with the parameters that it has besides."""
    return UNARY[operation](x, *parameters)


@operation("binary", operation=one_of(BINARY))
def binary(a: torch.Tensor, b: torch.Tensor, operation: str) -> torch.Tensor:
    """A function of two elements of one dtype."""
    if a.dtype != b.dtype:
        raise TypeError(f"operands of {a.dtype} and {b.dtype}")
    return BINARY[operation](a, b)


@operation("where")
def where(condition: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Elements of a where the condition holds, of b elsewhere."""
    if a.dtype != b.dtype or condition.dtype != torch.bool:
        raise TypeError(f"a condition of {condition.dtype}, operands of {a.dtype} and {b.dtype}")
    return torch.where(condition, a, b)


@operation("cast", dtype=one_of(TORCH_DTYPES))
def cast(x: torch.Tensor, dtype: str) -> torch.Tensor:
    """Conversion to another element type: of complex numbers the real part, or whether they are not zero."""
    return (torch.real(x) if x.is_complex() and dtype in ("float32", "int64") else x).to(TORCH_DTYPES[dtype])


def map_element(call: Call, operation: str, *parameters: float, argument: str = "self") -> View:
    """One function of every element; integers are converted first where the function has a real result."""
    dtype = call.dtype
    operand = call.fake_argument(argument)
    tests = operation in ("logical_not", "isnan", "isinf")
    source = dense_dtype(operand.dtype) if tests or operand.dtype.is_complex else dtype
    if operation in ("isnan", "isinf") and source != "float32":
        source = "float32" if source != "complex64" else source
    inputs = [call.tensor(argument, source)]
    return call.emit("unary", inputs, {"operation": operation, "parameters": [float(value) for value in parameters]})


SAME_NAME = (
    "neg abs sign floor ceil trunc exp exp2 expm1 log log1p log2 log10 sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh "
    "tanh asinh acosh atanh erf erfc sigmoid relu silu mish hardswish hardsigmoid logical_not bitwise_not isnan isinf angle"
).split()


@lowers(
    *(f"{name}.default" for name in SAME_NAME),
    "conj_physical.default",
    "_conj_physical.default",
    "_conj.default",
    "real.default",
    "imag.default",
)
def unary_call(call: Call) -> View:
    """Functions whose names are those of ATen."""
    name = str(call.node.target).split(".")[1]
    name = {"conj_physical": "conj", "_conj_physical": "conj", "_conj": "conj"}.get(name, name)
    real = not call.fake_argument("self").is_complex()
    integer = dense_dtype(call.fake_argument("self").dtype) in ("int64", "bool")
    unchanged = (name in ("conj", "real") and real) or (name in ("floor", "ceil", "trunc", "round") and integer)
    return call.view("self") if unchanged else map_element(call, name)


@lowers("round.default", "round.decimals")
def round_call(call: Call) -> View:
    """Rounding half to even, to integers only."""
    if call.arguments.get("decimals"):
        raise UnsupportedError("round to decimals", "scale before and after rounding")
    return call.view("self") if call.dtype == "int64" else map_element(call, "round")


@lowers("square.default")
def square(call: Call) -> View:
    """A product with itself."""
    operand = call.tensor("self", call.dtype)
    return call.emit("binary", [operand, operand], {"operation": "mul"})


@lowers("gelu.default")
def gelu(call: Call) -> View:
    """By the error function, or by tanh."""
    return map_element(call, "gelu_tanh" if call.arguments["approximate"] == "tanh" else "gelu")


@lowers("elu.default")
def elu(call: Call) -> View:
    """Also celu and selu, which decompose into it."""
    return map_element(call, "elu", *(call.arguments[name] for name in ("alpha", "scale", "input_scale")))


@lowers("leaky_relu.default")
def leaky_relu(call: Call) -> View:
    """A slope for numbers below zero."""
    return map_element(call, "leaky_relu", call.arguments["negative_slope"])


@lowers("_prelu_kernel.default")
def prelu(call: Call) -> View:
    """A slope for numbers below zero, which repeats over them."""
    return call.emit("binary", [call.tensor("self", "float32"), call.tensor("weight", "float32")], {"operation": "prelu"})


@lowers("softplus.default")
def softplus(call: Call) -> View:
    """log(1 + exp(beta x)) / beta, linear above the threshold."""
    return map_element(call, "softplus", call.arguments["beta"], call.arguments["threshold"])


@lowers(
    "clamp.default",
    "clamp.Tensor",
    "clamp_min.default",
    "clamp_max.default",
    "clamp_min.Tensor",
    "clamp_max.Tensor",
    "hardtanh.default",
    "relu6.default",
)
def clamp(call: Call) -> View:
    """An interval of finite numbers at once; else by a maximum and a minimum."""
    low = call.arguments.get("min", call.arguments.get("min_val"))
    high = call.arguments.get("max", call.arguments.get("max_val"))
    if call.node.target is torch.ops.aten.relu6.default:
        low, high = 0.0, 6.0
    limits = [float(limit) for limit in (low, high) if isinstance(limit, int | float) and math.isfinite(limit)]
    if call.dtype == "float32" and len(limits) == 2:
        return map_element(call, "clamp", *limits)
    view = call.view("self")
    for limit, name in ((low, "maximum"), (high, "minimum")):
        if limit is not None:
            operands = [call.dense(view, call.dtype), call.operand(limit, call.dtype)]
            view = call.step("binary", operands, {"operation": name}, call.shape, call.dtype)
    return view


ARITHMETIC = "add sub mul div fmod remainder pow maximum minimum atan2 bitwise_and bitwise_or bitwise_xor floor_divide".split()
OVERLOADS = ("Tensor", "Scalar", "default", "Tensor_Tensor", "Tensor_Scalar", "Tensor_mode", "Scalar_mode", "Scalar_Tensor")
SHIFTS = {
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "__lshift__": "left_shift",
    "__rshift__": "right_shift",
}


POWERS = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
"""Powers that are functions of their own, as in PyTorch."""


@lowers(*(f"{name}.{overload}" for name in (*ARITHMETIC, *TESTS, *SHIFTS) for overload in OVERLOADS))
def binary_call(call: Call) -> View:
    """Two operands, converted to one type as PyTorch promotes them; either may be a number."""
    name = str(call.node.target).split(".")[1]
    first, second = list(call.arguments.values())[:2]
    dtype = call.dtype
    operation = SHIFTS.get(name, name)
    if name in TESTS:
        dtype = dense_dtype(promoted(first, second))
        if name.startswith("logical") and dtype == "complex64":
            dtype = "bool"
    elif name == "div" and (mode := call.arguments.get("rounding_mode")) is not None:
        operation = {"floor": "floor_divide", "trunc": "trunc_divide"}[mode]
    elif dtype == "bool" and name in ("add", "mul"):
        operation = "bitwise_or" if name == "add" else "bitwise_and"
    elif name == "pow" and dtype == "float32" and isinstance(second, int | float):
        if second in POWERS:
            return call.emit("unary", [call.operand(first, dtype)], {"operation": POWERS[second], "parameters": []})
        if second == 3:
            base = call.operand(first, dtype)
            square = call.step("binary", [base, base], {"operation": "mul"}, call.shape, dtype)
            return call.emit("binary", [square.base, base], {"operation": "mul"})
    operands = [call.operand(value, dtype) for value in (first, second)]
    alpha = call.arguments.get("alpha", 1)
    if alpha != 1:
        operands[1] = call.scaled(operands[1], alpha, dtype)
    return call.emit("binary", operands, {"operation": operation})


def promoted(*operands: Any) -> torch.dtype:
    """The dtype to which PyTorch converts operands."""
    values = [operand.meta["val"] if isinstance(operand, Node) else operand for operand in operands]
    return torch.result_type(*values)


@lowers("rsub.Tensor", "rsub.Scalar")
def rsub(call: Call) -> View:
    """other - alpha * self."""
    taken = call.tensor("self", call.dtype)
    if call.arguments["alpha"] != 1:
        taken = call.scaled(taken, call.arguments["alpha"], call.dtype)
    return call.emit("binary", [call.tensor("other", call.dtype), taken], {"operation": "sub"})


@lowers("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where_call(call: Call) -> View:
    """A choice; operands are converted to the result's type."""
    operands = [call.tensor(name, call.dtype) for name in ("self", "other")]
    return call.emit("where", [call.tensor("condition", "bool"), *operands])


@lowers("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(call: Call) -> View:
    """A choice between a value and what was there."""
    return call.emit("where", [call.tensor("mask", "bool"), call.tensor("value", call.dtype), call.tensor("self", call.dtype)])


@lowers(
    *(f"{name}.default" for name in ("full_like", "zeros_like", "ones_like", "empty_like", "new_full", "new_zeros", "new_ones"))
)
def filled(call: Call) -> View:
    """One number everywhere: a constant that repeats."""
    name = str(call.node.target).split(".")[1]
    value = call.arguments.get("fill_value", 1 if "ones" in name else 0)
    number = call.operand(value, call.dtype)
    return View(number, call.shape, (0,) * len(call.shape))


@lowers("_to_copy.default", "to.dtype", "to.device", "to.dtype_layout", "to.other", "type_as.default")
def convert_dtype(call: Call) -> View:
    """Another dtype; those that one element type computes are the same."""
    view = call.view("self")
    if call.builder.tensors[view.base].dtype == call.dtype:
        return view
    return call.builder.whole(call.dense(view, call.dtype, call.node.name))
