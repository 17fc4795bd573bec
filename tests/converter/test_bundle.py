"""Bundles on disk: round trip, determinism, and every way in which files can be wrong."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from cosoc.converter import Bundle, BundleError
from tests.converter.models import Chain, converted


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    layers = Chain(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3))
    return converted(layers, (1, 2, 8, 8))[0].bundle


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "model.bundle")
    return tmp_path / "model.bundle"


def test_round_trip(bundle: Bundle, saved: Path) -> None:
    loaded = Bundle.load(saved)
    assert loaded.graph == bundle.graph
    assert loaded.report == bundle.report
    assert loaded.constants.keys() == bundle.constants.keys()
    for name, data in bundle.constants.items():
        assert loaded.constants[name].dtype == data.dtype
        np.testing.assert_array_equal(loaded.constants[name], data)
    assert sorted(path.name for path in saved.iterdir()) == ["graph.json", "model.cpp", "report.html", "weights.safetensors"]


def test_report_is_self_contained(bundle: Bundle) -> None:
    for node in bundle.graph.nodes:
        assert f'<td class="name">{node.name}</td>' in bundle.report
    assert "http" not in bundle.report
    assert "src=" not in bundle.report
    assert "no accelerator computes quantize" in bundle.report


def test_two_conversions_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        converted(Chain(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), (1, 2, 8, 8))[0].bundle.save(tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]


def test_saving_replaces_a_bundle_and_nothing_else(bundle: Bundle, saved: Path, tmp_path: Path) -> None:
    (saved / "report.html").write_text("old")
    bundle.save(saved)
    assert Bundle.load(saved).report == bundle.report
    (tmp_path / "empty").mkdir()
    bundle.save(tmp_path / "empty")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    for path in (precious, precious / "thesis.tex"):
        with pytest.raises(BundleError, match="exists and is no bundle"):
            bundle.save(path)
    assert (precious / "thesis.tex").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "model.bundle", "precious"]


def test_failed_saving_leaves_nothing(bundle: Bundle, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    for path in (saved, tmp_path / "new.bundle"):
        with pytest.raises(BundleError, match="No space left"):
            bundle.save(path)
    monkeypatch.undo()
    assert Bundle.load(saved).graph == bundle.graph
    assert [path.name for path in tmp_path.iterdir()] == ["model.bundle"]


@pytest.mark.parametrize("part", [0, 1, 8, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", ["graph.json", "weights.safetensors"])
def test_truncated(saved: Path, name: str, part: float) -> None:
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: int(part * len(data)) if isinstance(part, float) else part])
    with pytest.raises(BundleError, match=name):
        Bundle.load(saved)


@pytest.mark.parametrize("place", [0.0, 0.01, 0.5, 0.999])
def test_corrupted_weights(saved: Path, place: float) -> None:
    data = bytearray((saved / "weights.safetensors").read_bytes())
    data[int(place * len(data))] ^= 0x10
    (saved / "weights.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match="CRC-32"):
        Bundle.load(saved)


@pytest.mark.parametrize("name", ["graph.json", "weights.safetensors", "model.cpp", "report.html"])
def test_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(BundleError, match=f"{name}.*convert the model again"):
        Bundle.load(saved)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        Bundle.load(tmp_path / "nothing")


def edit(saved: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Changes graph.json and returns the message with which it is refused."""
    file = saved / "graph.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(BundleError) as caught:
        Bundle.load(saved)
    return str(caught.value)


def test_newer_schema(saved: Path) -> None:
    text = edit(saved, lambda document: document.update(schema=2, novelty=True))
    assert "schema 2" in text
    assert "update cosoc" in text


def _attribute(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["nodes"][1]["attributes"].update({name: value})


def _node(index: int, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["nodes"][index].update(values)


def _tensor(index: int, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["tensors"][index].update(values)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda document: document.pop("nodes"), "'nodes' is a required property"),
        (lambda document: document.update(extra=1), "extra"),
        (lambda document: document.update(schema="1"), "schema"),
        (lambda document: document.update(inputs=["absent"]), "no tensor absent"),
        (lambda document: document["weights"].update(file="../../etc/passwd"), "weights.file"),
        (lambda document: document["tensors"].append(document["tensors"][0]), "same name"),
        (lambda document: document["nodes"].reverse(), "before it is made"),
        (lambda document: document["nodes"].append(document["nodes"][-1]), "two nodes are named"),
        (lambda document: document["nodes"].pop(), "nothing makes"),
        (_tensor(0, shape=[1, 2, 0, 8]), "tensors[0].shape[2]"),
        (_tensor(0, shape=[1, 2, 9, 8]), "does not fit"),
        (_tensor(1, scale=0), "scale"),
        (_tensor(1, dtype="float64"), "dtype"),
        (_tensor(1, zero_point=128), "zero_point"),
        (_node(1, op="conv3d"), "unknown operation; known are quantize"),
        (_node(1, devices=["gpu"]), "unknown device gpu"),
        (_node(1, devices=[]), "devices"),
        (_node(1, inputs=["x"]), "inputs, expected 4"),
        (_node(1, outputs=["input_1"]), "made twice"),
        (_attribute("stride", [0, 1]), "attribute stride = [0, 1]"),
        (_attribute("stride", [2, 2]), "shape"),
        (_attribute("padding", [0, 0, -1, 0]), "attribute padding"),
        (_attribute("clamp", [5, -5]), "attribute clamp"),
        (_attribute("groups", 3), "groups"),
        (_attribute("bias", 1), "attributes"),
    ],
)
def test_wrong_graph(saved: Path, change: Callable[[dict[str, Any]], object], part: str) -> None:
    assert part in edit(saved, change)


def test_weights_of_another_model(saved: Path, bundle: Bundle) -> None:
    """A file with a right checksum, but without the constants that the graph needs."""
    import safetensors.numpy

    constants = dict(bundle.constants)
    name = next(iter(constants))
    for wrong, part in (({}, "is missing"), ({name: constants[name].astype(np.int16)}, "int16")):
        data = safetensors.numpy.save({key: value for key, value in constants.items() if key != name} | wrong)
        (saved / "weights.safetensors").write_bytes(data)
        document = json.loads((saved / "graph.json").read_text())
        document["weights"].update(bytes=len(data), crc32=zlib.crc32(data))
        (saved / "graph.json").write_text(json.dumps(document))
        with pytest.raises(BundleError, match=part):
            Bundle.load(saved)
