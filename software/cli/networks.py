"""A trained network on the accelerators: accuracy beside PyTorch's, bits, layers, and a picture of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table

from cosoc.apps import pictures
from cosoc.apps.demonstration import Comparison, Demonstration
from cosoc.cli.errors import UserError
from cosoc.cli.tables import console, layer_table
from cosoc.converter import Bundle, compare, emulation
from cosoc.converter.arithmetic import Kernels, arithmetic_of
from cosoc.runtime import Session, TaskRecord

Array = NDArray[Any]

NEAR = 0.05
"""Largest difference of results behind transforms on the CPU, relative to the largest result."""


@dataclass(frozen=True)
class Deployed:
    """Results of the deployed model, over some inputs.

    Attributes:
        outputs: an array for each output of the network, samples first.
        tensors: outputs of all nodes for the last input, by name.
        report: what happened to each node in the last run.
        moved_transforms: whether transforms ran on the CPU that FFT can run.
    """

    outputs: list[Array]
    tensors: dict[str, Array]
    report: list[TaskRecord]
    moved_transforms: bool


def run_network(soc: Path, shown: Demonstration, path: Path, rtl_samples: int, policy: str, folder: Path) -> None:
    """Runs a network over its whole test set on the functional models and over some inputs in RTL, and prints how it does.

    Args:
        path: of the bundle.
        folder: receives the trace of the RTL run and the picture.

    Raises:
        UserError: RTL, functional models and emulation differ; by more than rounding where a policy left transforms to the CPU.
    """
    bundle = Bundle.load(path)
    inputs = shown.inputs.numpy()
    rtl_samples = min(rtl_samples, len(inputs))
    console.rule(shown.title)
    reference = shown.reference()
    with Kernels(soc) as kernels:
        emulated = emulation.run(bundle, inputs, arithmetic=arithmetic_of(soc, kernels))
    functional = deploy(soc, path, bundle, "functional", policy, shown, len(inputs), None)
    expected = [emulated[name] for name in bundle.graph.outputs]
    # The emulation has FFT's bits of the transforms that it may run; the CPU's are others.
    exact = not functional.moved_transforms
    (require_equal if exact else require_near)("functional models", functional.outputs, expected)
    rtl = deploy(soc, path, bundle, "rtl", policy, shown, rtl_samples, folder / f"{shown.name}.trace.json")
    require_equal("RTL", rtl.outputs, [output[:rtl_samples] for output in functional.outputs])
    for name, tensor in rtl.tensors.items() if exact else ():
        require_equal(f"RTL, tensor {name}", [tensor], [emulated[name][rtl_samples - 1 : rtl_samples]])

    console.print(layer_table(rtl.report, compare(bundle, shown.model, [shown.inputs[:rtl_samples]])))
    console.print(accuracy_table(shown, reference, functional.outputs, rtl.outputs))
    same = "functional models = emulation" if exact else "functional models, near the emulation's,"
    console.print(f"identical bits: {same} over {len(inputs)} {shown.sample}s, RTL over {rtl_samples}")
    picture = folder / f"{shown.name}.png"
    pictures.save(shown.picture(reference, functional.outputs), picture)
    console.print(f"picture of what it found: {picture}", soft_wrap=True)


def deploy(
    soc: Path, path: Path, bundle: Bundle, mode: str, policy: str, shown: Demonstration, count: int, trace: Path | None
) -> Deployed:
    """Runs the first inputs one by one, as a camera or a microphone would bring them."""
    inputs = shown.inputs.numpy()
    label = f"{mode:>10}, {count:>3} {shown.sample}s"
    with Session(soc=soc, mode=mode, policy=policy, trace=trace, keep_tensors=True) as session:
        model = session.load(path)
        transforms = {node.name for node in bundle.graph.nodes if "fft" in node.devices}
        results, moved = [], False
        for index in track(range(count), description=label, console=console):
            results.append(model.run([inputs[index : index + 1]]))
            moved |= any(task["name"] in transforms and task["device"].startswith("cpu") for task in model.report())
        if failed := model.summary()["quarantined"]:
            raise UserError(f"accelerators failed in mode {mode}: {'; '.join(failed)}; this is a defect of cosoc")
        tensors = {name: model.tensor(name) for node in bundle.graph.nodes for name in node.outputs}
        outputs = [np.concatenate([result[index] for result in results]) for index in range(len(results[0]))]
        return Deployed(outputs, tensors, model.report(), moved)


def require_equal(what: str, found: Sequence[Array], expected: Sequence[Array]) -> None:
    """Compares bits."""
    for one, other in zip(found, expected, strict=True):
        different = int(np.count_nonzero(one.view(np.uint8) != other.view(np.uint8)))
        if different:
            raise UserError(f"{what}: {different} of {one.nbytes} bytes differ from the reference; this is a defect of cosoc")


def require_near(what: str, found: Sequence[Array], expected: Sequence[Array]) -> None:
    """Compares numbers that differ by the rounding of a few values to integers."""
    for one, other in zip(found, expected, strict=True):
        error = float(np.abs(one - other).max() / np.abs(other).max())
        if not error <= NEAR:
            raise UserError(f"{what}: a result differs by {error:g} of the largest from the reference; this is a defect of cosoc")


def accuracy_table(shown: Demonstration, reference: Sequence[Array], functional: Sequence[Array], rtl: Sequence[Array]) -> Table:
    """Accuracy of PyTorch and of the deployed model, and what lies between them."""
    table = Table(title=f"accuracy in {shown.sample}s")
    for column in ("run", "PyTorch float32", "deployed int8", "lost", "gained"):
        table.add_column(column, justify="left" if column == "run" else "right")
    expected = shown.right(reference)
    for name, outputs in (("functional models, whole test set", functional), ("RTL", rtl)):
        count = Comparison.of(expected, shown.right(outputs))
        cells = (percent(number, count.samples) for number in (count.float_right, count.deployed_right))
        table.add_row(name, *cells, str(count.lost), str(count.gained))
    if text := shown.summary(functional):
        table.caption = f"PyTorch: {shown.summary(reference)}; deployed: {text}"
    return table


def percent(right: int, count: int) -> str:
    """`98.89% (534/540)`."""
    return f"{100 * right / count:.2f}% ({right}/{count})"
