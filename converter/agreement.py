"""How often the deployed model decides as the given one does, on data without labels; and who is told when it is too rarely."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from cosoc.converter.calibration import spread
from cosoc.converter.capture import Inputs
from cosoc.converter.figures import macs
from cosoc.converter.search import Built, Emulated, Evaluate, Model

MEASURED_MACS = 10**10
"""Multiply-accumulates that a measure of agreement may take where nobody asked for one; some seconds."""

MOST_MEASURED = 1000
"""Calibration samples for it."""

TOLD_DROP = 0.003
"""Share of the samples that may get another largest result before the user is told."""


class AccuracyWarning(UserWarning):
    """The deployed model decides differently from the given one more often than rounding should make it."""


def agreement(model: torch.nn.Module, batches: Sequence[Inputs]) -> Evaluate:
    """A measure without labels: how often the largest value of each sample's first result is where the given model has it."""
    inputs = tuple(torch.cat([batch[index] for batch in batches]) for index in range(len(batches[0])))

    def first(result: object) -> torch.Tensor:
        value = result if isinstance(result, torch.Tensor) else torch.utils._pytree.tree_leaves(result)[0]
        assert isinstance(value, torch.Tensor)
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
    output, batch = graph.tensors[graph.outputs[0]], len(batches[0][0]) if batches[0][0].dim() else 1
    if output.dtype != "float32" or len(output.shape) != 2 or output.shape[0] != batch or output.shape[1] < 2:
        return None
    work = sum(macs(graph, node) for node in graph.nodes) // batch
    chosen = spread(batches, min(MOST_MEASURED, max(1, MEASURED_MACS // max(1, work))))
    return agreement(model, chosen)(Emulated(graph, built.constants)), len(chosen) * batch


def checked_agreement(
    model: torch.nn.Module, built: Built, batches: Sequence[Inputs], progress: Callable[[str], None] | None
) -> list[str]:
    """How often both models decide the same, a sentence for the report; where that is too rarely, the user is told at once."""
    found = measured_agreement(model, built, batches)
    if found is None:
        return []
    share, count = found
    note = f"The largest result is where the float model has it for {round(share * count)} of {count} calibration samples."
    if 1 - share > TOLD_DROP:
        note += (
            f" The accuracy may drop by up to {100 * (1 - share):.1f} points: pass max_accuracy_drop=0 (--max-accuracy-drop 0), or "
            "evaluate=, to widen the layers that lose."
        )
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
