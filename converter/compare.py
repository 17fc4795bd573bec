"""How far the deployed model is from PyTorch's float model, layer by layer.

The name of a feature map in a bundle is the name of the node of the exported float graph whose value it holds, so the two can
be compared without any further map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from cosoc.converter import emulation, fx, ir
from cosoc.converter.arithmetic import Arithmetic
from cosoc.converter.bundle import Bundle
from cosoc.converter.checks import Inputs, check_model
from cosoc.converter.dense import as_array
from cosoc.converter.errors import ConversionError
from cosoc.converter.exported import opened
from cosoc.converter.ir import Constants, Graph
from cosoc.converter.rewrite import prepared
from cosoc.converter.steps import is_tokens

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class LayerError:
    """Difference of one node's output from PyTorch's, over all samples.

    Attributes:
        node, op, source: of the bundle's node.
        tensor: its output.
        max_error: largest absolute difference, in the layer's real units.
        output_range: largest minus least value of PyTorch's output.
        snr_db: power of PyTorch's output over the power of the difference; infinite where they are equal.
    """

    node: str
    op: str
    source: str
    tensor: str
    max_error: float
    output_range: float
    snr_db: float

    @property
    def relative_error(self) -> float:
        """The largest difference relative to the range of PyTorch's output."""
        return self.max_error / self.output_range if self.output_range > 0 else (0.0 if self.max_error == 0 else math.inf)


class _Recorder(Interpreter):
    """Runs a float graph and keeps the value of every node."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.values[n.name] = value
        return value


def float_values(module: GraphModule, inputs: Inputs) -> dict[str, torch.Tensor]:
    """The value of every node of a float graph."""
    recorder = _Recorder(module)
    with torch.no_grad():
        recorder.run(*inputs)
    return recorder.values


def comparable(graph: Graph, module: GraphModule) -> list[ir.Node]:
    """Nodes whose first output is the value of a node of the float graph: feature maps, and dense float32 tensors."""
    sizes = {node.name: math.prod(fx.shape(node)) for node in module.graph.nodes}
    kept = []
    for node in graph.nodes:
        tensor = graph.tensors[node.outputs[0]]
        size = sizes.get(tensor.value if tensor.scale is not None else tensor.name)
        if (tensor.scale is not None or tensor.dtype == "float32") and size == math.prod(tensor.shape):
            kept.append(node)
    return kept


def disagreement(found: NDArray[Any], expected: torch.Tensor) -> float:
    """Largest difference relative to the largest finite magnitude of what was expected; infinite where only one is not finite."""
    reference = expected.detach().cpu().resolve_conj().to(torch.complex128 if expected.is_complex() else torch.float64).numpy()
    value = found.astype(reference.dtype)
    finite = np.isfinite(reference)
    if value.shape != reference.shape or not np.array_equal(np.isfinite(value), finite):
        return math.inf
    if not np.array_equal(value[~finite], reference[~finite], equal_nan=True):
        return math.inf
    largest = float(np.abs(reference[finite]).max(initial=0))
    return float(np.abs(value[finite] - reference[finite]).max(initial=0)) / max(largest, 1e-6)


def compare_module(
    graph: Graph, constants: Constants, module: GraphModule, batches: Sequence[Inputs], arithmetic: Arithmetic | None = None
) -> list[LayerError]:
    """Compares the emulated graph with the float graph that it came from. Nodes whose
    values PyTorch does not have, such as dequantize, are left out."""
    compared = comparable(graph, module)
    worst = dict.fromkeys((node.name for node in compared), 0.0)
    low = dict.fromkeys(worst, math.inf)
    high = dict.fromkeys(worst, -math.inf)
    signal = dict.fromkeys(worst, 0.0)
    noise = dict.fromkeys(worst, 0.0)
    for batch in batches:
        expected = float_values(module, batch)
        found = emulation.run_graph(graph, constants, [as_array(value) for value in batch], arithmetic)
        for node in compared:
            tensor = graph.tensors[node.outputs[0]]
            real = found[tensor.name]
            if tensor.scale is not None:
                scale, zero_point = emulation.parameters(tensor)
                real = emulation.real_values(real, scale, zero_point).transpose(0, 3, 1, 2)
            value = tensor.value if tensor.scale is not None else tensor.name
            if is_tokens(tuple(expected[value].shape), real.shape):
                real = real[:, :, 0].transpose(0, 2, 1)
            reference = expected[value].float().numpy().reshape(real.shape)
            with np.errstate(invalid="ignore"):  # equal infinities, of masks, have no difference
                difference = np.where(real == reference, 0.0, np.abs(real.astype(np.float64) - reference))
            name = node.name
            worst[name] = max(worst[name], float(difference.max()))
            low[name], high[name] = min(low[name], float(reference.min())), max(high[name], float(reference.max()))
            signal[name] += float(np.square(reference.astype(np.float64)).sum())
            noise[name] += float(np.square(difference).sum())
    return [
        LayerError(
            node.name,
            node.function,
            node.source,
            node.outputs[0],
            worst[node.name],
            high[node.name] - low[node.name],
            10 * math.log10(signal[node.name] / noise[node.name]) if signal[node.name] > 0 and noise[node.name] > 0 else math.inf,
        )
        for node in compared
    ]


def compare(
    bundle: Bundle,
    model: torch.nn.Module | ExportedProgram,
    inputs: NDArray[Any] | torch.Tensor | Sequence[NDArray[Any] | torch.Tensor],
    arithmetic: Arithmetic | None = None,
) -> list[LayerError]:
    """Compares a bundle with the model that it was converted from.

    Args:
        inputs: one for each input of the model (alone, it is the only one); any number of samples that is a multiple of
            the bundle's batch.
        arithmetic: whose floats the emulation has; see `emulation.run`.

    Raises:
        ConversionError: the model is not the one that the bundle was made from, or the inputs do not fit.
    """
    given = [inputs] if isinstance(inputs, np.ndarray | torch.Tensor) else inputs
    tensors = [bundle.graph.tensors[name] for name in bundle.graph.inputs]
    shapes = [tensor.shape for tensor in tensors]
    dtypes = [getattr(torch, tensor.dtype) for tensor in tensors]
    values = tuple(torch.as_tensor(value, dtype=dtype) for value, dtype in zip(given, dtypes, strict=False))
    if len(given) != len(shapes) or any(value.shape[1:] != shape[1:] for value, shape in zip(values, shapes, strict=True)):
        raise ConversionError(f"inputs of shapes {[tuple(value.shape) for value in given]}; the bundle's have {shapes}")
    samples, batch = len(values[0]), shapes[0][0]
    if samples == 0 or samples % batch:
        raise ConversionError(f"{samples} samples are no multiple of the bundle's batch of {batch}")
    batches = [tuple(value[start : start + batch] for value in values) for start in range(0, samples, batch)]
    made = [bundle.graph.tensors[node.outputs[0]] for node in bundle.graph.nodes]
    wanted = {tensor.value for tensor in made if tensor.scale is not None}
    module, _ = prepared(check_model(opened(model, batches[0])[0]), batches[0], integers=bool(wanted))
    known = {node.name for node in module.graph.nodes}
    if not wanted <= known:
        raise ConversionError(f"the bundle {bundle.graph.name} was not made from this model: it has no {min(wanted - known)}")
    return compare_module(bundle.graph, bundle.constants, module, batches, arithmetic)
