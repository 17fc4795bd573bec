"""Accuracy of the deployed networks beside PyTorch's, over their whole test sets, on the functional models of the accelerators."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np

from bench.support.report import Figure, Report
from cosoc.apps.demonstration import Comparison, Demonstration
from cosoc.runtime import Session

NETWORKS = ("digits", "speech", "detection")


def run(build: Path) -> Report:
    """`accuracy_drop` in points of the samples that are right; `net_lost` counts the samples lost less those gained."""
    report = Report("applications", {"soc": build.name, "networks": ", ".join(NETWORKS)})
    for name in NETWORKS:
        shown: Demonstration = import_module(f"cosoc.apps.{name}.demonstration").demonstration()
        add(report, shown, compared(shown, build))
    return report


def compared(shown: Demonstration, build: Path) -> Comparison:
    """Runs a network over its test set, sample by sample."""
    inputs = shown.inputs.numpy()
    with tempfile.TemporaryDirectory() as folder, Session(soc=build, mode="functional") as session:
        shown.build_bundle().save(Path(folder) / "bundle")
        model = session.load(Path(folder) / "bundle")
        results = [model.run([inputs[index : index + 1]]) for index in range(len(inputs))]
    outputs = [np.concatenate([result[index] for result in results]) for index in range(len(results[0]))]
    return Comparison.of(shown.right(shown.reference()), shown.right(outputs))


def add(report: Report, shown: Demonstration, count: Comparison) -> None:
    """The figures of one network."""
    deployed, pytorch = (100 * right / count.samples for right in (count.deployed_right, count.float_right))
    drop, lost, peer = pytorch - deployed, count.lost - count.gained, f"PyTorch {pytorch:.2f}"
    name, unit = shown.name, f"{shown.sample}s"
    report.add(Figure(name=f"{name}.accuracy", value=deployed, unit="%", better="higher", how="measured", peer=peer))
    report.add(Figure(name=f"{name}.accuracy_drop", value=drop, unit="points", better="lower", how="measured", goal=0.3))
    report.add(Figure(name=f"{name}.net_lost", value=lost, unit=unit, better="lower", how="measured", goal=0))
