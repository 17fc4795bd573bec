"""int8 post-training quantization: ranges of the activations, integers of the weights, corrections of the biases.

Activations: int8, asymmetric, per tensor; of several candidate ranges the one that disturbs the convolutions that read the tensor
least. Weights: int8 in [-127, 127], symmetric, per output channel. Values that are only moved or selected (reshapes, max pooling)
share the scale of their input. Rounding shifts the mean of a channel; where the calibration data show it clearly, the bias takes
the shift back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.calibration import spread
from cosoc.converter.checks import Inputs
from cosoc.converter.errors import ConversionError
from cosoc.converter.observe import Histogram, Parameters, Range, candidates, parameters, squared_error
from cosoc.converter.prequantized import Given
from cosoc.converter.simulate import Readers, Values, call, quantized_weight, rounded, rounded_weight, walk
from cosoc.converter.steps import CONVOLUTIONS, MOVES, Step, output_first

WALK_SAMPLES, CHOICE_SAMPLES = 32, 8
"""Calibration samples that go through the network layer by layer, for the biases; those of them on which ranges are compared."""

CORRECTION_SAMPLES = 8
"""Fewest samples from which a bias is corrected."""

SIGNIFICANT = 2.0
"""A bias is corrected where the mean error is more than so many times its standard error."""


@dataclass(frozen=True)
class Quantized:
    """How a model is quantized.

    Attributes:
        activations: (scale, zero point) of every quantized value, by the name of its node in the float graph.
        weights: of every convolution or linear layer, by the node's name: int8 with its output channels first, and float32 scales
            (Cout,).
        wide: the same for int16, symmetric.
        biases: float32 (Cout,) of the layers whose bias was corrected, by the node's name.
        observers: what the range of a value stands for, by its node's name: see `observe.candidates`.
    """

    activations: dict[str, Parameters]
    weights: dict[str, tuple[NDArray[np.int8], NDArray[np.float32]]]
    wide: dict[str, Parameters] = field(default_factory=dict)
    biases: dict[str, torch.Tensor] = field(default_factory=dict)
    observers: dict[str, str] = field(default_factory=dict)

    def parameters(self, name: str, precision: str) -> Parameters:
        """Scale and zero point of a value in a precision."""
        return (self.wide if precision == "int16" else self.activations)[name]

    @staticmethod
    def empty() -> Quantized:
        """Of a model without int8 parts."""
        return Quantized({}, {})


def observe(
    module: GraphModule, names: Iterable[str], batches: Sequence[Inputs], progress: Callable[[str], None]
) -> dict[str, Histogram]:
    """Histograms of the named values over all batches.

    Raises:
        ConversionError: a value is infinite or no number.
    """
    histograms = {name: Histogram() for name in names}
    for index, batch in enumerate(batches):
        if index % 50 == 0:
            progress(f"calibrating: batch {index + 1} of {len(batches)}")
        for node, (value,) in walk(module, [batch]):
            histogram = histograms.get(node.name)
            if histogram is None:
                continue
            if not torch.isfinite(value).all():
                raise ConversionError(
                    f"{fx.place(node)} computes infinity or NaN for calibration batch {index}; no integer stands for it"
                )
            histogram.add(value)
    return histograms


@dataclass
class Calibration:
    """Takes the quantized network along beside the float network, layer by layer, and decides as it goes.

    Attributes:
        observed: names of the values that need a scale.
        made: those that a step makes, with its precision.
        choice: samples on which ranges are compared.
        given: what the model itself fixes.
        shared: values that take the scale of another one.
        real: what the float network has for the node that comes next.
    """

    module: GraphModule
    steps: dict[str, Step]
    histograms: dict[str, Histogram]
    observed: Collection[str]
    made: Mapping[str, str]
    readers: Readers
    choice: int
    given: Given
    quantized: Quantized = field(default_factory=lambda: Quantized({}, {}))
    shared: dict[str, str] = field(default_factory=dict)
    real: Values = field(default_factory=list)

    def visit(self, node: Node, values: Values, live: Mapping[Node, Values]) -> Values:
        """What the quantized network has for a node, given what it would compute with float weights from its own inputs."""
        step = self.steps.get(node.name)
        if step is not None and step.op in CONVOLUTIONS:
            values = self.convolve(step, values, live)
        source = self.shared.get(node.name)
        if source is not None:
            self.quantized.activations[node.name] = self.quantized.activations[source]
            self.quantized.wide[node.name] = self.quantized.wide[source]
        elif node.name in self.observed:
            histogram = self.histograms[node.name]
            if node.name in self.given.activations:
                name, scaled = "given", self.given.activations[node.name]
            else:
                name, chosen = self.choose(node)
                scaled = parameters(chosen, "int8")
            self.quantized.observers[node.name] = name
            self.quantized.activations[node.name] = scaled
            self.quantized.wide[node.name] = parameters((histogram.low, histogram.high), "int16")
            if node.name in self.made:
                values = self.rounded(node, values, self.made[node.name])
        return values

    def rounded(self, node: Node, values: Values, precision: str) -> Values:
        """Values as a feature map of a precision holds them."""
        scaled = self.quantized.parameters(node.name, precision)
        return [rounded(value, scaled, precision) for value in values]

    def choose(self, node: Node) -> tuple[str, Range]:
        """The range after which the readers' results are nearest to the float network's; without readers, the values themselves."""
        found = candidates(self.histograms[node.name], "int8")
        samples = self.real[: self.choice]
        exact = [list(self.readers.convolved(node, value)) for value in samples]
        if not exact or not exact[0]:
            name = min(found, key=lambda name: squared_error(self.histograms[node.name], found[name], "int8"))
            return name, found[name]
        errors = {}
        for name, values in found.items():
            scaled = parameters(values, "int8")
            disturbed = (self.readers.convolved(node, rounded(value, scaled, "int8")) for value in samples)
            errors[name] = sum(
                float((a - b).square().sum() / b.square().sum().clamp(min=1e-30))
                for outputs, expected in zip(disturbed, exact, strict=True)
                for a, b in zip(outputs, expected, strict=True)
            )
        best = min(errors, key=lambda name: errors[name])
        return best, found[best]

    def convolve(self, step: Step, values: Values, live: Mapping[Node, Values]) -> Values:
        """Results of a layer with integer weights, its bias corrected."""
        assert step.weight is not None
        weight = fx.tensor_of(self.module, step.node.args[1])
        assert weight is not None
        weight_node = step.node.args[1]
        assert isinstance(weight_node, Node)
        fixed = self.given.weights.get(weight_node.name)
        self.quantized.weights[step.node.name] = fixed or quantized_weight(output_first(step.node, weight))
        coarse = weight if fixed else rounded_weight(step.node, weight)
        (source,) = step.inputs
        read = self.rounded(source, live[source], step.precision)
        results = [call(self.module, step.node, {weight_node: coarse, source: value}) for value in read]
        axis = -1 if step.node.target is torch.ops.aten.linear.default else 1
        shift = None if fixed else mean_error(self.real, results, axis)
        if shift is None:
            return results
        bias = torch.zeros(len(shift)) if step.bias is None else step.bias
        self.quantized.biases[step.node.name] = (bias.double() + shift).float()
        return [(result.movedim(axis, -1) + shift.float()).movedim(-1, axis) for result in results]


def mean_error(expected: Values, found: Values, axis: int) -> torch.Tensor | None:
    """What has to be added to each channel to give it its mean back: float64 (C,); zero where it is not clear, None if nowhere.

    Args:
        axis: of the channels.
    """
    difference = torch.cat([(a - b).double() for a, b in zip(expected, found, strict=True)]).movedim(axis, 1)
    samples = difference.reshape(*difference.shape[:2], -1).mean(2)
    if len(samples) < CORRECTION_SAMPLES:
        return None
    mean, deviation = samples.mean(0), samples.std(0)
    clear = mean.abs() > SIGNIFICANT * deviation / len(samples) ** 0.5
    return torch.where(clear, mean, 0.0) if clear.any() else None


def quantize(
    module: GraphModule,
    steps: Sequence[Step],
    batches: Sequence[Inputs],
    progress: Callable[[str], None] = lambda _: None,
    histograms: dict[str, Histogram] | None = None,
    given: Given | None = None,
) -> Quantized:
    """Decides scales, integers and biases from calibration data. The graph and its steps stay as they are.

    Args:
        histograms: what was observed of the same graph and batches before; what is missing is added.
        given: scales and weights that the model itself fixes; such layers keep their biases.

    Raises:
        ConversionError: the data are all zero, or a value is infinite or no number.
    """
    if not steps:
        return Quantized.empty()
    given = given or Given()
    if not given.activations and not any(value.any() for batch in batches for value in batch):
        raise ConversionError(
            "the example inputs are all zero, and there is no calibration data, so no scale can be found; pass calibration: some "
            "typical inputs (about 100)"
        )
    moved = {step.output.name: step.inputs[0].name for step in steps if step.op in MOVES}
    for name, source in reversed(moved.items()):
        if name in given.activations:
            given.activations.setdefault(source, given.activations[name])
    read = [node.name for step in steps for node in (*step.inputs, step.output) if node.name not in moved]
    with torch.no_grad():
        histograms = {} if histograms is None else histograms
        if missing := [name for name in dict.fromkeys(read) if name not in histograms]:
            histograms |= observe(module, missing, batches, progress)
        chosen = spread(batches, WALK_SAMPLES)
        by_name = {step.node.name: step for step in steps}
        choice = max(1, CHOICE_SAMPLES // len(batches[0][0]))
        made = {step.output.name: step.precision for step in steps}
        readers = Readers.of(module, steps)
        calibration = Calibration(module, by_name, histograms, set(read), made, readers, choice, given, shared=moved)
        simulated = walk(module, chosen, calibration.visit)
        progress("choosing ranges and correcting biases")
        for _, calibration.real in walk(module, chosen):
            next(simulated)
    return calibration.quantized
