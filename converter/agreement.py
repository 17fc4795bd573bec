"""How often the deployed model decides as the given one does, or how alike they are, on data without labels; and who is told."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.fx import GraphModule

from cosoc.converter.calibration import spread
from cosoc.converter.checks import Inputs
from cosoc.converter.errors import ConversionError
from cosoc.converter.figures import macs
from cosoc.converter.ir import Graph
from cosoc.converter.lower import output_nodes
from cosoc.converter.search import Built, Emulated, Evaluate, Model

MEASURED_MACS = 10**10
"""Multiply-accumulates that a measure of agreement may take where nobody asked for one; some seconds."""

MOST_MEASURED = 1000
"""Calibration samples for it."""

TOLD_DROP = 0.003
"""Share of the samples that may get another largest result before the user is told."""


TOLD_COSINE = 0.99
"""Between results that are no scores, below which the user is told."""


class AccuracyWarning(UserWarning):
    """The deployed model decides differently from the given one more often than rounding should make it."""


def agreement(model: torch.nn.Module, batches: Sequence[Inputs]) -> Evaluate:
    """A measure without labels: how often the largest value of each sample's first result is where the given model has it.

    Raises:
        ConversionError: the first result has one value for each sample, or none.
    """
    inputs = tuple(torch.cat([batch[index] for batch in batches]) for index in range(len(batches[0])))

    def first(result: object) -> torch.Tensor:
        value = result if isinstance(result, torch.Tensor) else torch.utils._pytree.tree_leaves(result)[0]
        assert isinstance(value, torch.Tensor)
        if value.dim() < 2 or value[0].numel() < 2:
            raise ConversionError(
                "max_accuracy_drop without evaluate compares where the largest of several results is, and the first result of this "
                f"model has shape {tuple(value.shape)}: pass evaluate=, the accuracy of a model (--evaluate)"
            )
        return value.flatten(1).argmax(1)

    # The example's batch is part of the graph, so the given model sees the same batches.
    with torch.no_grad():
        expected = torch.cat([first(model(*batch)) for batch in batches])

    def measure(candidate: Model) -> float:
        with torch.no_grad():
            found = expected if candidate is model else first(candidate(*inputs))
        return float((found == expected).float().mean())

    return measure


def measured_agreement(model: torch.nn.Module, built: Built, batches: Sequence[Inputs]) -> tuple[float, int] | None:
    """On which share of how many calibration samples both models have the largest result at the same place.

    None where the first result is no score for each of several classes, (N, classes).
    """
    graph = built.graph
    output, batch = graph.tensors[graph.outputs[0]], batch_size(batches)
    if output.dtype != "float32" or len(output.shape) != 2 or output.shape[0] != batch or output.shape[1] < 2:
        return None
    chosen = affordable(graph, batches)
    return agreement(model, chosen)(Emulated(graph, built.constants)), len(chosen) * batch


@dataclass(frozen=True)
class Likeness:
    """How far the results of both models are apart.

    Attributes:
        error: largest difference of a result, relative to the largest value of its output.
        cosine: of the angle between all values of an output; that of the worst output.
        samples: on which both ran.
    """

    error: float
    cosine: float
    samples: int


def measured_likeness(module: GraphModule, built: Built, batches: Sequence[Inputs]) -> Likeness | None:
    """How alike all outputs of the float graph and of the deployed one are; None where none is of real numbers."""
    graph, emulated = built.graph, Emulated(built.graph, built.constants)
    chosen = affordable(graph, batches)
    error, cosine, compared = 0.0, 1.0, False
    with torch.no_grad():
        pairs = [(unique_outputs(module, batch), emulated(*batch)) for batch in chosen]
    for index, name in enumerate(graph.outputs):
        if graph.tensors[name].dtype != "float32":
            continue
        compared = True
        expected = torch.cat([values[index].flatten() for values, _ in pairs]).double()
        found = torch.cat([(values if isinstance(values, tuple) else (values,))[index].flatten() for _, values in pairs]).double()
        finite = expected.isfinite()
        expected, found = expected[finite], found[finite]
        largest = float(expected.abs().max()) if len(expected) else 0.0
        error = max(error, float((found - expected).abs().max()) / max(largest, 1e-30) if largest else 0.0)
        norms = float(found.norm() * expected.norm())
        cosine = min(cosine, float(found @ expected) / norms if norms else float(torch.equal(found, expected)))
    return Likeness(error, cosine, len(chosen) * batch_size(batches)) if compared else None


def unique_outputs(module: GraphModule, batch: Inputs) -> list[torch.Tensor]:
    """The results of a float graph, each once, in the order of the deployed graph's outputs."""
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(module(*batch)) if isinstance(leaf, torch.Tensor)]
    return list({node: value.detach() for node, value in zip(output_nodes(module), leaves, strict=True)}.values())


def batch_size(batches: Sequence[Inputs]) -> int:
    """Samples of a batch."""
    return len(batches[0][0]) if batches[0][0].dim() else 1


def affordable(graph: Graph, batches: Sequence[Inputs]) -> list[Inputs]:
    """As many of the batches as take seconds."""
    work = sum(macs(graph, node) for node in graph.nodes) // batch_size(batches)
    return spread(batches, min(MOST_MEASURED, max(1, MEASURED_MACS // max(1, work))))


def checked_agreement(
    model: torch.nn.Module, module: GraphModule, built: Built, batches: Sequence[Inputs], progress: Callable[[str], None] | None
) -> list[str]:
    """How often both models decide the same, or how alike their results are, a sentence for the report; where that is too little,
    the user is told at once."""
    found = measured_agreement(model, built, batches)
    if found is None:
        return checked_likeness(measured_likeness(module, built, batches), progress)
    share, count = found
    note = f"The largest result is where the float model has it for {round(share * count)} of {count} calibration samples."
    if 1 - share > TOLD_DROP:
        note += (
            f" The accuracy may drop by up to {100 * (1 - share):.1f} points: pass max_accuracy_drop=0 (--max-accuracy-drop 0), or "
            "evaluate=, to widen the layers that lose."
        )
        warn(note, progress)
    return [note]


def checked_likeness(found: Likeness | None, progress: Callable[[str], None] | None) -> list[str]:
    """The sentence for results that are no scores."""
    if found is None:
        return []
    note = (
        f"On {found.samples} calibration samples the results differ from the float model's by at most "
        f"{100 * found.error:.2g} % of the largest; the cosine between them is {found.cosine:.5f}."
    )
    if found.cosine < TOLD_COSINE:
        note += " The accuracy may drop: pass evaluate= (--evaluate) to widen the layers that lose."
        warn(note, progress)
    return [note]


def warn(text: str, progress: Callable[[str], None] | None) -> None:
    """Tells the user about a loss: as a line where lines are wanted, else as a warning."""
    if progress is None:
        own = (str(Path(__file__).parent), contextlib.__file__)
        frame, level = sys._getframe(), 1
        while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
            frame, level = frame.f_back, level + 1
        warnings.warn(text, AccuracyWarning, stacklevel=level)  # at the user's line
    else:
        progress(f"warning: {text}")
