"""The trained networks on the accelerators: no sample of a test set is lost, and the bits are the emulation's, also in RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cosoc.apps.demonstration import Comparison, Demonstration
from cosoc.apps.detection import demonstration as detection
from cosoc.apps.digits import demonstration as digits
from cosoc.apps.speech import data as speech_data
from cosoc.apps.speech import demonstration as speech
from cosoc.apps.speech import model as speech_model
from cosoc.converter import Bundle, convert, emulation
from cosoc.converter.arithmetic import Kernels, arithmetic_of
from cosoc.runtime import Session

EMULATED = 24
"""Samples whose bits are compared."""


@pytest.fixture(scope="module", params=[digits, speech, detection], ids=lambda module: module.__name__.split(".")[-2])
def shown(request: pytest.FixtureRequest) -> Demonstration:
    result: Demonstration = request.param.demonstration()
    return result


@pytest.fixture(scope="module")
def bundle(shown: Demonstration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / shown.name
    shown.build_bundle().save(path)
    return path


def test_no_sample_is_lost(shown: Demonstration, bundle: Path, build: Path, tmp_path: Path) -> None:
    """The whole test set on the functional models: as many samples right as in PyTorch; the picture shows them."""
    inputs, loaded = shown.inputs.numpy(), Bundle.load(bundle)
    with Session(soc=build, mode="functional") as session:
        model = session.load(bundle)
        results = [model.run([inputs[index : index + 1]]) for index in range(len(inputs))]
        devices = {task["device"] for task in model.report()}
    assert "c2d0" in devices
    outputs = [np.concatenate([result[i] for result in results]) for i in range(len(loaded.graph.outputs))]
    with Kernels(build) as kernels:
        emulated = emulation.run(loaded, inputs[:EMULATED], arithmetic=arithmetic_of(build, kernels))
    for name, output in zip(loaded.graph.outputs, outputs, strict=True):
        assert output[:EMULATED].tobytes() == emulated[name].tobytes(), name
    reference = shown.reference()
    count = Comparison.of(shown.right(reference), shown.right(outputs))
    assert count.samples == len(inputs)
    assert count.float_right > 0.9 * count.samples
    assert count.deployed_right >= count.float_right, count
    image = shown.picture(reference, outputs)
    assert image.width > 600
    assert len(np.unique(np.asarray(image.resize((64, 64))).reshape(-1, 3), axis=0)) > 100


def test_rtl_equals_emulation(shown: Demonstration, bundle: Path, build: Path) -> None:
    """Every tensor; those that no accelerator computes by the runtime's kernels."""
    inputs, loaded = shown.inputs[3:4].numpy(), Bundle.load(bundle)
    with Kernels(build) as kernels:
        expected = emulation.run(loaded, inputs, arithmetic=arithmetic_of(build, kernels))
    with Session(soc=build, mode="rtl", keep_tensors=True) as session:
        model = session.load(bundle)
        model.run([inputs])
        for node in loaded.graph.nodes:
            for name in node.outputs:
                assert model.tensor(name).tobytes() == expected[name].tobytes(), f"tensor {name} of node {node.name}"
        assert sum(task["cycles"] for task in model.report() if task["device"] == "c2d0") > 1000


def test_sound_goes_through_fft_zip_and_conv2d(build: Path, tmp_path: Path) -> None:
    """The speech network with its front end: window and magnitudes may run on ZIP, transforms on FFT, layers on Conv2D."""
    model, heard = (
        speech_model.load_trained(),
        speech_data.noisy(
            speech_data.words(speech_data.TEST_VOICES[:1], speech_data.TEST_SETTINGS[:1]), speech_data.TEST_SNR_DB, seed=7
        ),
    )
    bundle = convert(model, heard.clips[:1], calibration=heard.clips, name="sound")
    bundle.save(tmp_path / "sound")
    kinds = {node.op: node.devices for node in bundle.graph.nodes if node.op in ("fft", "zip", "conv2d")}
    assert kinds == {"fft": ("cpu", "fft"), "zip": ("cpu", "zip"), "conv2d": ("cpu", "c2d")}
    assert [node.attributes["operation"] for node in bundle.graph.nodes if node.op == "zip"] == ["mul", "magnitude"]
    with Session(soc=build, mode="functional", policy="RANDOM") as session:
        loaded = session.load(tmp_path / "sound")
        found, devices = [], set()
        for clip in heard.clips.numpy():
            found.append(loaded.run([clip[None]])[0])
            devices |= {task["device"].rstrip("0123456789") for task in loaded.report() if task["op"] in kinds}
    assert devices >= {"fft", "zip", "c2d"}
    with torch.no_grad():
        expected = model(heard.clips).numpy()
    scores = np.concatenate(found)
    assert (scores.argmax(1) == expected.argmax(1)).all()
    assert np.abs(scores - expected).max() < 0.1 * np.abs(expected).max()
