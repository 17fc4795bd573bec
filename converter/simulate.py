"""The float graph as its integers will compute it: values rounded to what a precision can hold, in float arithmetic.

It serves to choose between ranges and to measure layers before anything is lowered; the bits are the emulation's business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from cosoc.converter.checks import Inputs
from cosoc.converter.observe import LIMITS, Parameters
from cosoc.converter.steps import CONVOLUTIONS, MOVES, Step, output_first

Values = list[torch.Tensor]
"""The value of a node for each batch."""

WEIGHT_LIMIT = 127


def quantized_weight(weight: torch.Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 in [-127, 127] and float32 scales (Cout,) of a float weight (Cout, ..): symmetric, a scale for each output channel."""
    largest = weight.detach().float().abs().reshape(len(weight), -1).amax(1)
    scale = (largest / WEIGHT_LIMIT).clamp(min=torch.finfo(torch.float32).eps)
    shaped = (1.0 / scale).reshape(-1, *[1] * (weight.dim() - 1))
    stored = torch.clamp(torch.round(weight.detach() * shaped), -WEIGHT_LIMIT, WEIGHT_LIMIT).to(torch.int8)
    return stored.numpy(), scale.numpy()


def rounded(value: torch.Tensor, parameters: Parameters, precision: str) -> torch.Tensor:
    """A value as its integers hold it."""
    scale, zero_point = parameters
    least, largest = LIMITS[precision]
    return torch.fake_quantize_per_tensor_affine(value, scale, zero_point, least, largest)


def rounded_weight(node: Node, weight: torch.Tensor) -> torch.Tensor:
    """The weight of a layer as its integers hold it, in PyTorch's layout."""
    stored, scale = quantized_weight(output_first(node, weight))
    return output_first(node, torch.from_numpy(stored).float() * torch.from_numpy(scale).reshape(-1, *[1] * (weight.dim() - 1)))


def call(module: GraphModule, node: Node, given: Mapping[Node, Any]) -> Any:
    """The value of one node from those of its operands; `get_attr` operands are looked up."""

    def operand(other: Node) -> Any:
        if other in given:
            return given[other]
        value: Any = module
        for part in str(other.target).split("."):
            value = getattr(value, part)
        return value

    assert callable(node.target)
    return node.target(*map_arg(node.args, operand), **map_arg(node.kwargs, operand))


def walk(
    module: GraphModule, batches: Sequence[Inputs], change: Callable[[Node, Values, Mapping[Node, Values]], Values] | None = None
) -> Iterator[tuple[Node, Values]]:
    """Every computed node in order with its values for all batches; values that nobody needs any more are let go.

    Args:
        change: is given a node, its values and those of the nodes before it, and returns the values that later nodes read.
    """
    last: dict[Node, Node] = {operand: node for node in module.graph.nodes for operand in node.all_input_nodes}
    live: dict[Node, Values] = {}
    inputs = iter(range(len(batches[0])))
    for node in module.graph.nodes:
        if node.op == "placeholder":
            index = next(inputs)
            values: list[Any] = [batch[index] for batch in batches]
        elif node.op == "call_function":
            operands = [operand for operand in node.all_input_nodes if operand in live]
            values = [call(module, node, {operand: live[operand][i] for operand in operands}) for i in range(len(batches))]
        else:
            continue
        if change is not None:
            values = change(node, values, live)
        live[node] = values
        yield node, values
        for operand in [*node.all_input_nodes, node]:
            if last.get(operand, node) is node:
                live.pop(operand, None)


@dataclass(frozen=True)
class Readers:
    """Who reads the integers of a value: its convolutions, also behind operations that only move or select."""

    module: GraphModule
    steps: Mapping[Node, list[Step]]

    @staticmethod
    def of(module: GraphModule, steps: Collection[Step]) -> Readers:
        """The readers in a graph."""
        readers: dict[Node, list[Step]] = {}
        for step in steps:
            for node in dict.fromkeys(step.inputs):
                readers.setdefault(node, []).append(step)
        return Readers(module, readers)

    def convolved(self, node: Node, value: torch.Tensor) -> Iterator[torch.Tensor]:
        """What the convolutions that read this value make of it, with their float weights."""
        for step in self.steps.get(node, []):
            if step.op in CONVOLUTIONS:
                yield call(self.module, step.node, {node: value})
            elif step.op in MOVES:
                yield from self.convolved(step.node, call(self.module, step.node, {node: value}))
