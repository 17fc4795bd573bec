"""`cosoc demo`: a trained network and a radar on the accelerators' RTL.

The digits network runs over its whole test set on the functional models of the accelerators and over some images on their RTL;
all bits are compared, with each other and with the converter's emulation. Then the radar application uses the FFT and ZIP.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track

from cosoc.apps.digits import data
from cosoc.apps.digits.model import load_trained
from cosoc.cli.errors import UserError
from cosoc.cli.run import DEFAULT_SOC, POLICY_HELP, SoCOption
from cosoc.cli.tables import console, layer_table
from cosoc.converter import Bundle, compare, emulation
from cosoc.runtime import Session, TaskRecord

Array = NDArray[Any]


def command(
    soc: SoCOption = DEFAULT_SOC,
    images: Annotated[int, typer.Option(min=1, max=data.TEST_IMAGES, help="test images to run in RTL")] = 20,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "EFT",
) -> None:
    """Runs a trained network and a radar on the RTL of a SoC, and compares with PyTorch."""
    if not (soc / "soc.json").is_file():
        raise UserError(f"no SoC in {soc}; build it with ./dev scons board=sim c2d=1 fft=1 zip=1")
    traces = soc / "demo"
    traces.mkdir(exist_ok=True)
    run_digits(soc, images, policy, traces / "digits.trace.json")
    run_radar(soc, policy, traces / "radar.trace.json")
    console.print(f"\ntraces (open in ui.perfetto.dev)  {traces}/digits.trace.json", soft_wrap=True)
    console.print(f"                                  {traces}/radar.trace.json", soft_wrap=True)
    console.print(f"bundle                            {soc}/bundle (graph.json, model.cpp, report.html)", soft_wrap=True)


@dataclass(frozen=True)
class Deployed:
    """Results of the deployed model, over some images.

    Attributes:
        logits: float32 (images, 10).
        tensors: outputs of all nodes for the last image, by name.
        report: what happened to each node in the last run.
    """

    logits: Array
    tensors: dict[str, Array]
    report: list[TaskRecord]


def run_digits(soc: Path, rtl_images: int, policy: str, trace: Path) -> None:
    """Accuracy, bits and layers of the digits network.

    Raises:
        UserError: RTL, functional models and emulation differ in a bit.
    """
    digits = data.load()
    bundle = Bundle.load(soc / "bundle")
    images, labels = digits.test_images.numpy(), digits.test_labels.numpy()
    console.rule("handwritten digits: a VGG-style CNN, int8 on the accelerators")

    model = load_trained()
    with torch.no_grad():
        reference = model(digits.test_images).numpy()
    emulated = emulation.run(bundle, images)
    functional = deploy(soc, bundle, "functional", policy, images, None)
    require_equal("functional models", functional.logits, emulated[bundle.graph.outputs[0]])
    rtl = deploy(soc, bundle, "rtl", policy, images[:rtl_images], trace)
    require_equal("RTL", rtl.logits, functional.logits[:rtl_images])
    for name, tensor in rtl.tensors.items():
        require_equal(f"RTL, tensor {name}", tensor, emulated[name][rtl_images - 1 : rtl_images])

    console.print(layer_table(rtl.report, compare(bundle, model, [digits.test_images[:rtl_images]])))
    console.print(f"accuracy over {len(labels)} test images: PyTorch float32 {percent(reference, labels)}, ", end="")
    console.print(f"deployed int8 {percent(functional.logits, labels)} (functional models)")
    console.print(
        f"accuracy over the first {rtl_images}: PyTorch float32 {percent(reference[:rtl_images], labels[:rtl_images])}, ", end=""
    )
    console.print(f"deployed int8 {percent(rtl.logits, labels[:rtl_images])} (RTL)")
    console.print(
        f"identical bits: functional models = emulation over {len(labels)} images, RTL = functional models over {rtl_images}"
    )


def deploy(soc: Path, bundle: Bundle, mode: str, policy: str, images: Array, trace: Path | None) -> Deployed:
    """Runs images one by one, as a camera would bring them."""
    with Session(soc=soc, mode=mode, policy=policy, trace=trace, keep_tensors=True) as session:
        model = session.load(soc / "bundle")
        logits = [
            model.run([images[index : index + 1]])[0]
            for index in track(range(len(images)), description=f"{mode:>10}, {len(images):>3} images", console=console)
        ]
        if failed := model.summary()["quarantined"]:
            raise UserError(f"accelerators failed in mode {mode}: {'; '.join(failed)}; this is a defect of cosoc")
        tensors = {name: model.tensor(name) for node in bundle.graph.nodes for name in node.outputs}
        return Deployed(np.concatenate(logits), tensors, model.report())


def require_equal(what: str, found: Array, expected: Array) -> None:
    """Compares bits."""
    different = int(np.count_nonzero(found.view(np.uint8) != expected.view(np.uint8)))
    if different:
        raise UserError(f"{what}: {different} of {found.nbytes} bytes differ from the reference; this is a defect of cosoc")


def percent(logits: Array, labels: Array) -> str:
    """`98.9% (534/540)`."""
    right = int(np.count_nonzero(logits.argmax(axis=1) == labels))
    return f"{100 * right / len(labels):.2f}% ({right}/{len(labels)})"


def run_radar(soc: Path, policy: str, trace: Path) -> None:
    """The radar application, which checks its own result."""
    console.rule("pulse-Doppler radar on FFT and ZIP")
    program = soc / "bin/cosoc-radar"
    result = subprocess.run(
        [program, "--soc", soc, "--mode", "rtl", "--policy", policy, "--trace", trace], check=False, text=True, capture_output=True
    )
    console.print(result.stdout, end="", highlight=False)
    if result.returncode != 0:
        raise UserError(result.stderr.strip() or f"{program} failed with status {result.returncode}")
