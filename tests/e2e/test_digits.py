"""From a PyTorch model to the accelerators' RTL and back: every way to run the digits network gives the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cosoc.apps.digits import data
from cosoc.converter import Bundle, emulation
from cosoc.runtime import CosocError, Session

Array = NDArray[Any]


@pytest.fixture(scope="module")
def bundle(build: Path) -> Bundle:
    return Bundle.load(build / "bundle")


@pytest.fixture(scope="module")
def images() -> Array:
    return data.load().test_images.numpy()


def run(soc: Path, bundle: Path, images: Array, *, library: Path, mode: str, policy: str = "HEFT_RT") -> tuple[Array, set[str]]:
    """Logits of images run one by one, and the devices that worked."""
    with Session(soc=soc, mode=mode, policy=policy, library=library) as session:
        model = session.load(bundle)
        logits = np.concatenate([model.run([image[None]])[0] for image in images])
        return logits, {task["device"].rstrip("0123456789") for task in model.report()}


def without(build: Path, kinds: set[str], folder: Path) -> Path:
    """A soc.json that lacks some kinds of accelerators."""
    soc = json.loads((build / "soc.json").read_text())
    soc["accelerators"] = [entry for entry in soc["accelerators"] if entry["kind"] not in kinds]
    soc.pop("rtl", None)
    path = folder / "soc.json"
    path.write_text(json.dumps(soc))
    return path


@pytest.mark.parametrize("policy", ["RR", "EFT", "HEFT_RT"])
def test_functional_models_equal_emulation(build: Path, bundle: Bundle, images: Array, policy: str) -> None:
    chosen = images[:60]
    expected = emulation.run(bundle, chosen)[bundle.graph.outputs[0]]
    found, devices = run(build, build / "bundle", chosen, library=build / "lib/libcosoc.so", mode="functional", policy=policy)
    assert found.tobytes() == expected.tobytes()
    assert "c2d" in devices


def test_rtl_equals_emulation_in_every_tensor(build: Path, bundle: Bundle, images: Array) -> None:
    expected = emulation.run(bundle, images[7:8])
    with Session(soc=build, mode="rtl", policy="HEFT_RT", keep_tensors=True) as session:
        model = session.load(build / "bundle")
        model.run([images[7:8]])
        for node in bundle.graph.nodes:
            for name in node.outputs:
                assert model.tensor(name).tobytes() == expected[name].tobytes(), f"tensor {name} of node {node.name}"
        on_accelerator = [task for task in model.report() if task["device"] == "c2d0"]
    assert len(on_accelerator) == sum(node.op == "conv2d" for node in bundle.graph.nodes)
    assert all(task["cycles"] > 0 for task in on_accelerator)


@pytest.mark.parametrize("absent", [{"c2d"}, {"c2d", "fft", "zip"}])
def test_absent_accelerators_change_no_bit(build: Path, bundle: Bundle, images: Array, absent: set[str], tmp_path: Path) -> None:
    expected = emulation.run(bundle, images[:5])[bundle.graph.outputs[0]]
    soc = without(build, absent, tmp_path)
    found, devices = run(soc, build / "bundle", images[:5], library=build / "lib/libcosoc.so", mode="functional")
    assert found.tobytes() == expected.tobytes()
    assert devices == {"cpu"}


def test_cpu_mode_on_the_wall_clock_gives_the_same_bits(build: Path, bundle: Bundle, images: Array) -> None:
    expected = emulation.run(bundle, images[:5])[bundle.graph.outputs[0]]
    found, devices = run(build, build / "bundle", images[:5], library=build / "lib/libcosoc.so", mode="cpu")
    assert found.tobytes() == expected.tobytes()
    assert devices == {"cpu"}


def test_rtl_of_a_build_without_one_is_refused(build: Path, tmp_path: Path) -> None:
    with pytest.raises(CosocError, match=r"mode rtl needs the Verilated SoC.*scons board=sim"):
        Session(soc=without(build, {"c2d"}, tmp_path), mode="rtl", library=build / "lib/libcosoc.so")


def test_a_model_for_other_accelerators_is_refused(build: Path, tmp_path: Path) -> None:
    soc = json.loads((build / "soc.json").read_text())
    soc["accelerators"].reverse()
    soc["rtl"]["library"] = str((build / "lib/libcosoc_soc.so").resolve())
    (tmp_path / "soc.json").write_text(json.dumps(soc))
    with pytest.raises(CosocError, match=r"accelerator 0 .* 'c2d0', soc.json says 'zip0'"):
        Session(soc=tmp_path, mode="rtl", library=build / "lib/libcosoc.so")


def test_software_for_another_register_layout_is_refused(build: Path, tmp_path: Path) -> None:
    soc = json.loads((build / "soc.json").read_text())
    soc["accelerators"][0]["layout_hash"] ^= 1
    (tmp_path / "soc.json").write_text(json.dumps(soc))
    with pytest.raises(CosocError, match=r"layout"):
        Session(soc=tmp_path, mode="functional", library=build / "lib/libcosoc.so")
