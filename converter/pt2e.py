"""PyTorch's own quantized graphs (PT2E, by torchao): the int8 reference of a conversion."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.fx import GraphModule, Node

from cosoc.converter.capture import quiet
from cosoc.converter.checks import Inputs
from cosoc.converter.observe import Parameters
from cosoc.converter.quantize import Quantized
from cosoc.converter.steps import CONVOLUTIONS, MOVES, Step

with quiet():  # torchao reports on its CUDA extensions when it is imported; none is used here
    from torchao.quantization.pt2e import PerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import (
        FixedQParamsQuantizationSpec,
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
        SharedQuantizationSpec,
    )

WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
)


def activation(parameters: Parameters) -> Any:
    """An int8 activation with a given scale and zero point."""
    scale, zero_point = parameters
    return FixedQParamsQuantizationSpec(
        dtype=torch.int8, scale=scale, zero_point=zero_point, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine
    )


class StepQuantizer(Quantizer):
    """Annotates the nodes of a float graph according to its steps, clamps fused, with scales that are known."""

    def __init__(self, steps: Sequence[Step], quantized: Quantized) -> None:
        super().__init__()
        self.steps = {step.node.name: step for step in steps}
        self.quantized = quantized

    def annotate(self, model: GraphModule) -> GraphModule:
        """Marks what is quantized and how."""
        for node in model.graph.nodes:
            step = self.steps.get(node.name)
            if step is not None:
                node.meta["quantization_annotation"] = self._annotation(node, step)
            elif node.name in self.quantized.activations:
                output = activation(self.quantized.activations[node.name])
                node.meta["quantization_annotation"] = QuantizationAnnotation(output_qspec=output, _annotated=True)
        return model

    def _annotation(self, node: Node, step: Step) -> QuantizationAnnotation:
        inputs: dict[Node, Any] = {
            source: activation(self.quantized.activations[source.name]) for source in node.all_input_nodes[: len(step.inputs)]
        }
        if step.op in CONVOLUTIONS:
            inputs[node.all_input_nodes[1]] = replace(WEIGHT, ch_axis=int(step.op == "conv_transpose2d"))
        output: Any = None
        if step.op in MOVES:
            output = SharedQuantizationSpec((node.args[0], node))
        elif step.output.name == node.name:
            output = activation(self.quantized.activations[node.name])
        return QuantizationAnnotation(input_qspec_map=inputs, output_qspec=output, _annotated=True)

    def validate(self, model: GraphModule) -> None:
        """Nothing to check: the steps were made from this very graph."""


def reference(module: GraphModule, steps: Sequence[Step], quantized: Quantized, batch: Inputs) -> GraphModule:
    """PyTorch's int8 graph with the same scales and biases: quantize, dequantize and float operations in between."""
    module = copy.deepcopy(module)
    for node in module.graph.nodes:
        bias = quantized.biases.get(node.name)
        if bias is not None:
            name = f"{node.name}_corrected_bias"
            module.register_buffer(name, bias)
            with module.graph.inserting_before(node):
                constant = module.graph.get_attr(name)
            constant.meta["val"] = bias
            node.args = (*node.args[:2], constant, *node.args[3:])
    module.recompile()
    with quiet(), torch.no_grad():
        prepared = prepare_pt2e(module, StepQuantizer(steps, quantized))
        prepared(*batch)
        return convert_pt2e(prepared)  # type: ignore[no-any-return]
