"""The cheapest precision of every layer that keeps the accuracy: int8, then int16 activations, then float on the CPU.

Layers are ordered by the noise that their integers alone add to the model's results. The first few of that order are raised, as few
as keep the accuracy (galloping, then halving, so that evaluations stay few): to int16 and, where all of them at int16 do not
suffice, to float. Then every raised layer is lowered again if the accuracy allows it, the least noisy first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.fx import GraphModule, Node

from cosoc.converter import emulation, fx
from cosoc.converter.calibration import spread
from cosoc.converter.checks import Inputs
from cosoc.converter.dense import as_array
from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import Constants, Graph
from cosoc.converter.quantize import Quantized
from cosoc.converter.simulate import Values, call, rounded, rounded_weight, walk
from cosoc.converter.steps import CONVOLUTIONS, Step

PRECISIONS = ("int8", "int16", "float")
"""From the cheapest to the dearest."""

SENSITIVITY_SAMPLES = 4
"""Calibration samples on which the noise of single layers is measured."""

MOST_LOWERED = 8
"""Raised layers that are tried to be lowered again."""

Model = Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]
Evaluate = Callable[[Model], float]
"""Accuracy of a model-like; more is better."""


@dataclass(frozen=True)
class Built:
    """A graph with certain precisions, and what it was made from; `stages` are the graphs after each pass, with its name."""

    steps: list[Step]
    quantized: Quantized
    lowered: Graph
    lowered_constants: Constants
    graph: Graph
    constants: Constants
    stages: list[tuple[str, Graph]]


@dataclass
class Decision:
    """What was chosen, and why.

    Attributes:
        built: the graph.
        precision: of the raised layers, by the names of their nodes in the float graph.
        float_accuracy, int8_accuracy, accuracy: of the given model, of all in int8, and of the choice.
        evaluations: how often a model was evaluated.
        notes: sentences for the report.
    """

    built: Built
    precision: dict[str, str]
    float_accuracy: float
    int8_accuracy: float
    accuracy: float
    evaluations: int = 2
    notes: list[str] = field(default_factory=list)


class Emulated:
    """A graph as a model-like: called with tensors of whole batches, it computes the bits of the deployed model."""

    def __init__(self, graph: Graph, constants: Constants) -> None:
        self.graph, self.constants = graph, constants
        self.batch = graph.tensors[graph.inputs[0]].shape[0] if graph.tensors[graph.inputs[0]].shape else 1

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """A tensor, or a tuple where the model has several outputs.

        Raises:
            EmulationError: shape or number of the inputs.
        """
        arrays = [as_array(value) for value in inputs]
        step = self.batch if emulation.has_dense(self.graph) else max(self.batch, 64)
        pieces = [
            emulation.run_graph(self.graph, self.constants, [array[start : start + step] for array in arrays])
            for start in range(0, len(arrays[0]), step)
        ]
        found = tuple(torch.from_numpy(np.concatenate([piece[name] for piece in pieces])) for name in self.graph.outputs)
        return found[0] if len(found) == 1 else found


def sensitivities(module: GraphModule, built: Built, batches: Sequence[Inputs]) -> dict[str, float]:
    """Noise that each convolution's integers alone add to the results, relative to the results' power; by its node's name."""
    chosen = spread(batches, SENSITIVITY_SAMPLES)
    wanted = set(module.graph.output_node().all_input_nodes)
    exact = {node: values for node, values in walk(module, chosen) if node in wanted}
    found = {}
    for step in built.steps:
        if step.op not in CONVOLUTIONS:
            continue
        noisy = walk(module, chosen, alone(module, step, built.quantized))
        noise = 0.0
        for node, values in noisy:
            if node in wanted and all(isinstance(value, torch.Tensor) and value.is_floating_point() for value in values):
                signal = sum(float(value.double().square().sum()) for value in exact[node])
                power = sum(float((a - b).double().square().sum()) for a, b in zip(values, exact[node], strict=True))
                noise += power / max(signal, 1e-30)
        found[step.node.name] = noise
    return found


def alone(module: GraphModule, step: Step, quantized: Quantized) -> Callable[[Node, Values, Mapping[Node, Values]], Values]:
    """The network in float but for one layer, whose input, weights and output are those of int8."""
    (source,) = step.inputs
    weight_node = step.node.args[1]
    assert isinstance(weight_node, Node)
    weight = fx.tensor_of(module, weight_node)
    assert weight is not None
    coarse = rounded_weight(step.node, weight)

    def change(node: Node, values: Values, live: Mapping[Node, Values]) -> Values:
        if node is step.node:
            scaled = quantized.parameters(source.name, "int8")
            values = [call(module, node, {weight_node: coarse, source: rounded(value, scaled, "int8")}) for value in live[source]]
        if node is step.output:
            scaled = quantized.parameters(node.name, "int8")
            values = [rounded(value, scaled, "int8") for value in values]
        return values

    with torch.no_grad():
        return change


class Search:
    """Tries assignments, each once, and remembers the best."""

    def __init__(
        self, build: Callable[[Mapping[str, str]], Built], evaluate: Evaluate, least: float, given: Mapping[str, str]
    ) -> None:
        self.build, self.evaluate, self.least, self.given = build, evaluate, least, given
        self.tried: dict[tuple[tuple[str, str], ...], tuple[Built, float]] = {}

    def accuracy(self, raised: Mapping[str, str]) -> float:
        """Accuracy with some layers raised."""
        return self.result(raised)[1]

    def result(self, raised: Mapping[str, str]) -> tuple[Built, float]:
        """The graph with some layers raised, and its accuracy."""
        key = tuple(sorted(raised.items()))
        if key not in self.tried:
            built = self.build({**self.given, **raised})
            self.tried[key] = built, self.evaluate(Emulated(built.graph, built.constants))
        return self.tried[key]

    def suffices(self, raised: Mapping[str, str]) -> bool:
        """Whether the accuracy is kept."""
        return self.accuracy(raised) >= self.least

    def fewest(self, order: Sequence[str], precision: str, others: Mapping[str, str]) -> int | None:
        """How many of the first layers must have a precision, while the others have theirs; None when all are not enough."""

        def raised(count: int) -> dict[str, str]:
            return {**others, **dict.fromkeys(order[:count], precision)}

        low, high = 0, 1
        while high < len(order) and not self.suffices(raised(high)):
            low, high = high, 2 * high
        high = min(high, len(order))
        if not self.suffices(raised(high)):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.suffices(raised(middle)) else (middle, high)
        return high

    def lowered(self, raised: Mapping[str, str], order: Sequence[str]) -> dict[str, str]:
        """The assignment without what is not needed: the least noisy layers first, each to the cheapest precision that suffices."""
        kept = dict(raised)
        for name in [name for name in reversed(order) if name in kept][:MOST_LOWERED]:
            for cheaper in PRECISIONS[: PRECISIONS.index(kept[name])]:
                trial = {other: wanted for other, wanted in kept.items() if other != name}
                trial |= {} if cheaper == "int8" else {name: cheaper}
                if self.suffices(trial):
                    kept = trial
                    break
        return kept


def checked(evaluate: Evaluate) -> Evaluate:
    """The same; anything but a finite number is refused."""

    def number(model: Model) -> float:
        found: object = evaluate(model)
        value = float(found) if isinstance(found, int | float | np.number | torch.Tensor) else math.nan
        if not math.isfinite(value):
            raise ConversionError(
                f"evaluate returned {found!r}; expected the accuracy of the model, a number of which more is better"
            )
        return value

    return number


def choose_precisions(
    model: torch.nn.Module,
    module: GraphModule,
    built: Built,
    build: Callable[[Mapping[str, str]], Built],
    evaluate: Evaluate,
    max_accuracy_drop: float,
    precision: str | Mapping[str, str],
    batches: Sequence[Inputs],
    tell: Callable[[str], None],
) -> Decision:
    """Finds the cheapest assignment whose accuracy is at most `max_accuracy_drop` below the given model's.

    Args:
        built: the graph as the user wants it; `build` makes another one.
        precision: what the user wants; layers without a word of their own are raised.

    Raises:
        ConversionError: a drop or an accuracy that is no number.
    """
    if not isinstance(max_accuracy_drop, int | float) or not 0 <= max_accuracy_drop < math.inf:
        raise ConversionError(f"max_accuracy_drop is {max_accuracy_drop!r}; expected a number that is not negative")
    evaluate = checked(evaluate)
    tell("evaluating the float model")
    with torch.no_grad():
        expected = evaluate(model)
    given = precision if isinstance(precision, Mapping) else {}
    search = Search(build, evaluate, expected - max_accuracy_drop, given)
    first = evaluate(Emulated(built.graph, built.constants))
    search.tried[()] = built, first
    decision = Decision(built, {}, expected, first, first)
    if first >= search.least or precision == "float":
        decision.notes = [f"Accuracy {first:g}, of the float model {expected:g}: no layer had to be raised."]
        return decision
    with torch.no_grad():
        noise = sensitivities(module, built, batches)
    order = sorted(noise, key=lambda name: -noise[name])
    raised: dict[str, str] = {}
    for wanted in PRECISIONS[1:]:
        tell(f"accuracy {first:g} instead of {expected:g}: raising layers to {wanted}")
        count = search.fewest(order, wanted, raised)
        raised |= dict.fromkeys(order[: count if count is not None else len(order)], wanted)
        if count is not None:
            break
    tell("lowering what need not be raised")
    decision.precision = search.lowered(raised, order)
    decision.built, decision.accuracy = search.result(decision.precision)
    decision.evaluations = 1 + len(search.tried)
    labels = {step.node.name: fx.place(step.node) for step in built.steps}
    decision.notes = [
        f"Accuracy {decision.accuracy:g}, of the float model {expected:g}, with every layer in int8 {first:g}; "
        f"{decision.evaluations} evaluations.",
        *(
            f"{labels[name]} is {wanted}: its int8 adds noise of {noise[name]:.2g} to the results."
            for name, wanted in decision.precision.items()
        ),
    ]
    if decision.accuracy < search.least:
        decision.notes.append(f"The wanted accuracy of {search.least:g} was not reached, not even with every layer in float.")
    return decision
