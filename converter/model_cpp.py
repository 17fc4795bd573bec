"""model.cpp: the graph of a bundle as C++ through the public API, for reading and for programs that build the model themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from cosoc.converter import dense
from cosoc.converter.ir import Graph, Node, Tensor

PREAMBLE = """\
// {name}: the model of this bundle as a sequence of operations, none of which names a device. Made by `cosoc convert`.
//
// Compile it into a program that links libcosoc, and call build_model with the directory of the bundle: its
// weights.safetensors holds the constants.
#include <cosoc/cosoc.hpp>

#include <filesystem>

namespace cosoc_model {{

/// The graph `{name}`, ready for Session::load.
cosoc::Result<cosoc::Graph> build_model(const std::filesystem::path& bundle) {{
  const auto weights = cosoc::load_weights(bundle);
  if (!weights) return tl::make_unexpected(weights.error());

  cosoc::Graph graph({quoted});
  // A constant of the bundle; one that is missing or has another type becomes the graph's error.
  const auto constant = [&](const char* name, const cosoc::TensorType& type) {{
    return graph.constant(name, type, weights->bytes(name, type));
  }};
"""

EPILOGUE = """
  if (auto good = graph.check(); !good) return tl::make_unexpected(good.error());
  return graph;
}

}  // namespace cosoc_model
"""


def quoted(text: str) -> str:
    """A C++ string literal: JSON's, but for control characters, which C++ wants in octal, and for trigraphs such as `??/`."""
    pieces = (json.dumps(piece, ensure_ascii=False)[1:-1] for piece in re.split(r"([\x00-\x1f])", text))
    escaped = "".join(f"\\{int(piece[2:], 16):03o}" if piece.startswith("\\u") else piece for piece in pieces)
    return '"' + re.sub(r"(?<=\?)\?", r"\\?", escaped) + '"'


def float_literal(value: float) -> str:
    """A float32 as C++: shortest decimal digits that give the same double, hence the same float32."""
    text = repr(float(value))
    return text + ("F" if "." in text or "e" in text else ".0F")


def braces(values: Sequence[Any]) -> str:
    """`{1, 2}`."""
    return "{" + ", ".join(float_literal(value) if isinstance(value, float) else str(value) for value in values) + "}"


def tensor_type(tensor: Tensor) -> str:
    """A `cosoc::TensorType`."""
    scaled = "" if tensor.scale is None else f", {float_literal(tensor.scale)}, {tensor.zero_point}"
    dtype = "boolean" if tensor.dtype == "bool" else tensor.dtype
    return f"{{cosoc::DType::{dtype}, {braces(tensor.shape)}{scaled}}}"


class Variables:
    """C++ names of the tensors: the tensor's name where it is an identifier, made unique."""

    KEYWORDS = frozenset(
        "alignas alignof and asm auto bool break case catch char class concept const constexpr continue decltype default delete do "
        "double else enum explicit export extern false float for friend goto if inline int long mutable namespace new not operator "
        "or private protected public register requires return short signed sizeof static struct switch template this throw true "
        "try typedef typeid typename union unsigned using virtual void volatile while xor "
        "graph weights bundle constant good cosoc tl std".split()
    )

    def __init__(self) -> None:
        self.taken = set(self.KEYWORDS)
        self.names: dict[str, str] = {}

    def __getitem__(self, tensor: str) -> str:
        if tensor not in self.names:
            base = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]", "_", tensor)).strip("_") or "value"
            base = f"t{base}" if base[0].isdigit() else base
            name, number = base, 1
            while name in self.taken:
                number += 1
                name = f"{base}_{number}"
            self.taken.add(name)
            self.names[tensor] = name
        return self.names[tensor]


ATTRIBUTES = {
    "conv2d": ("stride", "padding", "dilation", "groups", "clamp"),
    "conv_transpose2d": ("stride", "padding", "output_padding", "dilation", "groups", "clamp"),
    "max_pool2d": ("kernel", "stride", "padding"),
    "average_pool2d": ("kernel", "stride", "padding", "multiplier", "clamp"),
    "add": ("multipliers", "clamp"),
}
"""Operations whose helper takes a struct of attributes, with its members in the order of their declaration."""

ENUMERATIONS = {"fft": ("direction", "cosoc::FFTDirection"), "zip": ("operation", "cosoc::ZIPOperator")}
"""Operations whose helper takes an enumerator."""


def attribute(value: Any) -> str:
    """The value of a member: a list, an integer or a float."""
    return braces(value) if isinstance(value, list) else float_literal(value) if isinstance(value, float) else str(value)


def fused_members(node: Node, variables: Variables) -> list[str]:
    """The members of what was fused into a convolution."""
    members = []
    if "residual_multiplier" in node.attributes:
        tensor, multiplier = variables[node.inputs[4]], node.attributes["residual_multiplier"]
        members.append(f".residual = cosoc::Conv2DResidual{{{tensor}, {multiplier}}}")
    if "pool_kernel" in node.attributes:
        op = "average_pool2d" if "pool_multiplier" in node.attributes else "max_pool2d"
        values = ", ".join(f".{name} = {attribute(node.attributes[f'pool_{name}'])}" for name in ATTRIBUTES[op])
        if op == "max_pool2d":
            members.append(f".pool = cosoc::MaxPool2DOptions{{{values}}}")
        else:
            zero_point = node.attributes["pool_zero_point"]
            members.append(f".average = cosoc::Conv2DAverage{{{{{values}}}, {zero_point}}}")
    return members


def call(graph: Graph, node: Node, variables: Variables) -> str:
    """The statement that adds one node."""
    if node.op in dense.OPERATIONS or "channels_last" in node.attributes:
        return dense_call(graph, node, variables)
    operands = node.inputs[:4]
    arguments = ["graph", quoted(node.name), *(variables[name] for name in operands)]
    if node.op in ATTRIBUTES:
        members = [f".{name} = {attribute(node.attributes[name])}" for name in ATTRIBUTES[node.op]]
        arguments.append("{" + ", ".join(members + fused_members(node, variables)) + "}")
    elif "factor" in node.attributes:
        arguments.append("{" + ", ".join(map(float_literal, node.attributes["factor"])) + "}")
    elif node.op in ENUMERATIONS:
        name, enumeration = ENUMERATIONS[node.op]
        arguments.append(f"{enumeration}::{node.attributes[name]}")
    output = graph.tensors[node.outputs[0]]
    if node.op not in ("fft", "zip", "transpose", "magnitude_squared"):
        arguments.append(tensor_type(output))
    if "axis" in node.attributes:
        arguments.append(str(node.attributes["axis"]))
    arguments.append(options(node, output.name))
    helper = "scale" if "factor" in node.attributes else node.op
    head = f"  const auto {variables[output.name]} = cosoc::{helper}("
    return head + (",\n" + " " * 6).join([", ".join(arguments[: 2 + len(operands)]), *arguments[2 + len(operands) :]]) + ");"


def options(node: Node, output: str = "") -> str:
    """The `cosoc::NodeOptions` of a node."""
    devices = ", ".join(quoted(device) for device in node.devices)
    source = f", .source = {quoted(node.source)}" if node.source else ""
    named = f", .output = {quoted(output)}" if output else ""
    return f"{{.devices = {{{devices}}}{source}{named}}}"


def dense_call(graph: Graph, node: Node, variables: Variables) -> str:
    """The statement that adds one node on dense tensors: its attributes are JSON."""
    attributes = f'R"json({json.dumps(node.attributes)})json"'
    inputs = ", ".join(variables[name] for name in node.inputs)
    outputs = ", ".join(f"{{{quoted(name)}, {tensor_type(graph.tensors[name])}}}" for name in node.outputs)
    head = (
        f"cosoc::operation(graph, {quoted(node.name)}, {quoted(node.op)}, {attributes},\n      {{{inputs}}}, {{{outputs}}},\n      "
    )
    if len(node.outputs) == 1:
        return f"  const auto {variables[node.outputs[0]]} = {head}{options(node)})[0];"
    made = variables[f"outputs of {node.name}"]
    # A variable that nobody reads is a warning of the compiler.
    read = {name for reader in graph.nodes for name in reader.inputs} | set(graph.outputs)
    parts = [f"  const auto {variables[name]} = {made}[{index}];" for index, name in enumerate(node.outputs) if name in read]
    return "\n".join([f"  const auto {made} = {head}{options(node)});", *parts])


def model_cpp(graph: Graph) -> str:
    """The text of model.cpp."""
    variables = Variables()
    lines = [PREAMBLE.format(name=re.sub(r"[^\x20-\x7e]|[\\?]", "_", graph.name), quoted=quoted(graph.name))]
    for name in graph.inputs:
        lines.append(f"  const auto {variables[name]} = graph.input({quoted(name)}, {tensor_type(graph.tensors[name])});")
    for node in graph.nodes:
        lines.append("")
        for name in node.inputs:
            tensor = graph.tensors[name]
            if tensor.constant and name not in variables.names:
                lines.append(f"  const auto {variables[name]} = constant({quoted(name)}, {tensor_type(tensor)});")
        lines.append(call(graph, node, variables))
    lines += ["", *(f"  graph.output({variables[name]});" for name in graph.outputs)]
    if graph.any_batch:
        lines.append("  graph.allow_any_batch();")
    return "\n".join(lines) + EPILOGUE
