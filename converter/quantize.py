"""int8 post-training quantization by torchao's PT2E flow, with a quantizer that asks for what the accelerators compute.

Activations: int8, asymmetric, per tensor. Weights: int8 in [-127, 127], symmetric, per output channel. Values that are only moved
or selected (reshapes, max pooling) share the scale of their input.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.capture import Inputs, quiet
from cosoc.converter.errors import ConversionError
from cosoc.converter.operators import Step

with quiet():  # torchao reports on its CUDA extensions when it is imported; none is used here
    from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer, SharedQuantizationSpec

ACTIVATION = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-128,
    quant_max=127,
    qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=MinMaxObserver,
)
WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
)


@dataclass(frozen=True)
class Quantized:
    """A quantized model.

    Attributes:
        reference: PyTorch's own int8 graph: quantize, dequantize and float operations in between.
        activations: (scale, zero point) of every quantized value, by the name of its node in the float graph.
        weights: of every convolution or linear layer, by the node's name: int8 in PyTorch's layout, and float32 scales (Cout,).
    """

    reference: GraphModule
    activations: dict[str, tuple[float, int]]
    weights: dict[str, tuple[NDArray[np.int8], NDArray[np.float32]]]


class StepQuantizer(Quantizer):
    """Annotates the nodes of a float graph according to its steps, clamps fused."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.steps = {step.node.name: step for step in steps}
        self.ends = {step.output.name for step in steps}

    def annotate(self, model: GraphModule) -> GraphModule:
        """Marks what is quantized and how."""
        for node in model.graph.nodes:
            step = self.steps.get(node.name)
            if node.op == "placeholder":
                node.meta["quantization_annotation"] = QuantizationAnnotation(output_qspec=ACTIVATION, _annotated=True)
            elif step is not None:
                node.meta["quantization_annotation"] = self._annotation(node, step)
            elif node.name in self.ends:
                node.meta["quantization_annotation"] = QuantizationAnnotation(output_qspec=ACTIVATION, _annotated=True)
        return model

    def _annotation(self, node: Node, step: Step) -> QuantizationAnnotation:
        inputs: dict[Node, Any] = dict.fromkeys(node.all_input_nodes[: len(step.inputs)], ACTIVATION)
        if step.op == "conv2d":
            inputs[node.all_input_nodes[1]] = WEIGHT
        if step.op in ("view", "max_pool2d"):
            output: Any = SharedQuantizationSpec((node.args[0], node))
        else:
            output = ACTIVATION if step.output.name == node.name else None
        return QuantizationAnnotation(input_qspec_map=inputs, output_qspec=output, _annotated=True)

    def validate(self, model: GraphModule) -> None:
        """Nothing to check: the steps were made from this very graph."""


def calibration_batches(calibration: object, examples: Inputs) -> list[Inputs]:
    """Calibration data as batches of the example's shapes.

    Args:
        calibration: None for the examples themselves; an array or tensor (n, ...) of samples, for a model of one input; or an
            iterable of batches, each a tensor or a tuple of one tensor for each input.

    Raises:
        ConversionError: empty, of another shape, or not finite.
    """
    if calibration is None:
        return [examples]
    if isinstance(calibration, np.ndarray | torch.Tensor):
        batches = _split(torch.as_tensor(calibration), examples)
    elif isinstance(calibration, Iterable):
        batches = [tuple(torch.as_tensor(value) for value in ([item] if _is_array(item) else item)) for item in calibration]
    else:
        raise ConversionError(
            f"calibration must be an array of samples or an iterable of batches, found {type(calibration).__name__}"
        )
    if not batches:
        raise ConversionError(
            "calibration is empty; pass some typical inputs (about 100), or leave it out to use the example inputs"
        )
    expected = [tuple(value.shape) for value in examples]
    for index, batch in enumerate(batches):
        found = [tuple(value.shape) for value in batch]
        if found != expected:
            raise ConversionError(f"calibration batch {index} has shapes {found}; the example inputs have {expected}")
        if not all(torch.isfinite(value).all() for value in batch):
            raise ConversionError(f"calibration batch {index} contains NaN or infinity; remove such inputs")
    return [tuple(value.to(torch.float32) for value in batch) for batch in batches]


def _is_array(item: object) -> bool:
    return isinstance(item, np.ndarray | torch.Tensor)


def _split(samples: torch.Tensor, examples: Inputs) -> list[Inputs]:
    """An array of samples in batches of the example's size; the last batch ends with the last sample."""
    if len(examples) != 1:
        raise ConversionError(
            f"the model has {len(examples)} inputs; pass calibration as an iterable of tuples of {len(examples)} tensors"
        )
    batch, shape = examples[0].shape[0], tuple(examples[0].shape[1:])
    if tuple(samples.shape[1:]) != shape:
        raise ConversionError(f"calibration has shape {tuple(samples.shape)}; expected (n, {', '.join(map(str, shape))})")
    if 0 < len(samples) < batch:
        raise ConversionError(f"calibration has {len(samples)} samples; the example's batch has {batch}: pass at least as many")
    starts = [min(start, len(samples) - batch) for start in range(0, len(samples), batch)]
    return [(samples[start : start + batch],) for start in starts]


def quantize(
    module: GraphModule, steps: Sequence[Step], batches: Sequence[Inputs], progress: Callable[[str], None] = lambda _: None
) -> Quantized:
    """Calibrates the graph on the batches and quantizes it. The given module stays as it is."""
    with quiet(), torch.no_grad():
        prepared = prepare_pt2e(copy.deepcopy(module), StepQuantizer(steps))
        for index, batch in enumerate(batches):
            if index % 50 == 0:
                progress(f"calibrating: batch {index + 1} of {len(batches)}")
            prepared(*batch)
        reference = convert_pt2e(prepared)
    return _read(reference)


def _read(reference: GraphModule) -> Quantized:
    """Collects scales, zero points and int8 weights from PyTorch's int8 graph."""
    decomposed = torch.ops.quantized_decomposed
    activations: dict[str, tuple[float, int]] = {}
    weights: dict[str, tuple[NDArray[np.int8], NDArray[np.float32]]] = {}
    for node in reference.graph.nodes:
        if node.target is decomposed.quantize_per_tensor.default:
            source, scale, zero_point = node.args[:3]
            previous = activations.setdefault(source.name, (float(np.float32(scale)), int(zero_point)))
            if previous != (float(np.float32(scale)), int(zero_point)):
                raise ConversionError(
                    f"{fx.place(source)} was quantized in two ways; this is a defect of the converter: please report it"
                )
        elif node.target is decomposed.dequantize_per_channel.default:
            values, scales = fx.tensor_of(reference, node.args[0]), fx.tensor_of(reference, node.args[1])
            assert values is not None
            assert scales is not None
            for user in node.users:
                weights[user.name] = (values.numpy(), scales.to(torch.float32).numpy())
    return Quantized(reference, activations, weights)
