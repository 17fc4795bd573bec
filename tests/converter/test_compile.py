"""A model compiled to a callable: structure of its results, batches, saving, PyTorch's own interface."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cosoc import compile
from cosoc.cli.main import app
from cosoc.converter import Bundle, ConversionError, builds, convert
from cosoc.converter.differences import differences
from cosoc.converter.ir import Graph, Tensor
from cosoc.converter.spec import SpecError, verify
from cosoc.runtime import CosocError, Session

compiled_module = importlib.import_module("cosoc.converter.compiled")


class Both(nn.Module):
    """A convolution, and results in a dictionary, of which one is there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        y = torch.relu(self.norm(self.conv(x)))
        return {"features": y, "again": [y, y.mean((2, 3))], "largest": y.flatten(1).argmax(1).to(torch.int32), "name": "both"}


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_results_have_the_structure_of_the_model(build: Path, tmp_path: Path) -> None:
    model = Both().eval()
    compiled = compile(model, images(2), soc=build, mode="cpu", precision="float")
    for count in (2, 5, 2, 1):
        batch = images(count, seed=count)
        found, expected = compiled(batch), model(batch)
        assert found["name"] == "both"
        torch.testing.assert_close(found["features"], expected["features"].detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found["again"][0], found["features"])
        torch.testing.assert_close(found["again"][1], expected["again"][1].detach(), rtol=1e-4, atol=1e-5)
        assert found["largest"].dtype == torch.int32
        assert torch.equal(found["largest"], expected["largest"])
    assert len(compiled.report()) == len(compiled.bundle.graph.nodes)
    compiled.save(tmp_path / "saved.bundle")
    assert Bundle.load(tmp_path / "saved.bundle").graph == compiled.bundle.graph
    with pytest.raises(ConversionError, match="only the first axis"):
        compiled(torch.zeros(2, 3, 9, 9))
    with pytest.raises(ConversionError, match="expected"):
        compiled()


def test_one_plan_for_any_batch(build: Path) -> None:
    """The example's plan runs over pieces, and the samples that fill the last one leave no trace."""
    model = Both().eval()
    compiled = compile(model, images(2), soc=build, mode="functional", calibration=images(16))
    for count in (1, 2, 3, 4, 5):
        batch = images(count, seed=count)
        found, alone = compiled(batch), [compiled(torch.stack([image, image])) for image in batch]
        assert found["features"].shape == (count, 4, 8, 8)
        assert torch.equal(found["features"], torch.cat([result["features"][:1] for result in alone]))
        assert torch.equal(found["again"][1], torch.cat([result["again"][1][:1] for result in alone]))
    assert compiled.plans == 1


class Means(nn.Module):
    """Has no samples in its result."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(0)


def test_a_saved_bundle_takes_any_batch(build: Path, tmp_path: Path) -> None:
    """Also by the command line; not one of a model that mixes samples."""
    model = Both().eval()
    bundle = convert(model, images(2), calibration=images(16))
    bundle.save(tmp_path / "any")
    assert Bundle.load(tmp_path / "any").graph.any_batch
    alone = convert(model, images(1), calibration=images(16))
    assert alone.graph.any_batch
    convert(Centred().eval(), images(2), precision="float").save(tmp_path / "mixed")
    with Session(soc=build, mode="functional") as session:
        loaded = session.load(tmp_path / "any")
        for count in (1, 2, 3, 5):
            batch = images(count, seed=count)
            found = dict(zip(loaded.outputs, loaded.run([batch]), strict=True))
            one_by_one = [dict(zip(loaded.outputs, loaded.run([image[None]]), strict=True)) for image in batch]
            for name in loaded.outputs:
                assert len(found[name]) == count
                assert torch.equal(found[name], torch.cat([result[name] for result in one_by_one]))
        with pytest.raises(CosocError, match=r"is float32\[2, 3, 8, 8\].*of which the first may differ"):
            loaded.run([images(3)[:, :2]])
        with pytest.raises(CosocError, match=r"given is float32\[3, 3, 8, 8\]"):
            session.load(tmp_path / "mixed").run([images(3)])
    np.save(tmp_path / "x.npy", images(5).numpy())
    run = [
        "run",
        str(tmp_path / "any"),
        "--soc",
        str(build),
        "--input",
        str(tmp_path / "x.npy"),
        "--output",
        str(tmp_path / "y.npz"),
    ]
    assert CliRunner().invoke(app, run).exit_code == 0
    assert {len(value) for value in np.load(tmp_path / "y.npz").values()} == {5}
    assert "Both, for any batch" in CliRunner().invoke(app, ["inspect", str(tmp_path / "any")]).output
    assert differences(bundle, replace(bundle, graph=replace(bundle.graph, any_batch=False))) == ["any batch: yes | no"]


class Sum(nn.Module):
    """Two inputs."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def test_inputs_of_one_batch(build: Path, tmp_path: Path) -> None:
    """Where any number of samples runs, it is the same one for all inputs."""
    convert(Sum().eval(), (images(2), images(2)), precision="float").save(tmp_path / "sum")
    with Session(soc=build, mode="cpu") as session:
        model = session.load(tmp_path / "sum")
        assert torch.equal(model(images(5), images(5, seed=1)), images(5) + images(5, seed=1))
        with pytest.raises(CosocError, match=r"batches of \[2, 5\]; give as many samples of each"):
            model(images(5), images(2))
        for wrong in (torch.zeros(()), torch.zeros(0, 3, 8, 8)):
            with pytest.raises(CosocError, match="of which the first may differ"):
                model(wrong, images(2))


def test_a_bundle_that_cannot_be_for_any_batch(build: Path, tmp_path: Path) -> None:
    """Python and the session refuse one whose batches do not fit; C++ what is no truth value."""
    bundle = convert(Centred().eval(), images(2), precision="float")
    with pytest.raises(SpecError, match="any_batch: inputs and outputs have batches of one size"):
        verify(replace(Graph("g", ("x",), ("x",), {"x": Tensor("x", "float32", ())}, ()), any_batch=True))
    bundle.save(tmp_path / "bundle")
    file, means = tmp_path / "bundle" / "graph.json", tmp_path / "means" / "graph.json"
    convert(Means().eval(), images(2), precision="float").save(means.parent)
    means.write_text(json.dumps({**json.loads(means.read_text()), "any_batch": True}))
    with Session(soc=build, mode="cpu") as session, pytest.raises(CosocError, match=r"for any batch, but .*\[3, 8, 8\]"):
        session.load(means.parent)
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "any_batch": 1}))
    with Session(soc=build, mode="cpu") as session, pytest.raises(CosocError, match="any_batch: expected true or false, found 1"):
        session.load(tmp_path / "bundle")


class Centred(nn.Module):
    """Mixes the samples of its batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def test_a_model_that_mixes_samples_is_converted_for_each_batch(build: Path) -> None:
    compiled = compile(Centred().eval(), images(2), soc=build, mode="cpu", precision="float")
    for count in (2, 1, 3):
        torch.testing.assert_close(compiled(images(count)), images(count) - images(count).mean(0))
    assert compiled.plans == 3
    assert not compiled.bundle.graph.any_batch


def test_an_exported_program(build: Path) -> None:
    model = Both().eval()
    program = torch.export.export(model, (images(1),))
    compiled = compile(program, soc=build, mode="cpu", precision="float")
    assert compiled.bundle.graph.name == "Both"
    found, expected = compiled(images(1)), model(images(1))
    assert found["name"] == "both"
    torch.testing.assert_close(found["features"], expected["features"].detach(), rtol=1e-4, atol=1e-5)
    # Of a dynamic batch the example's is in the bundle; what is called adapts.
    dynamic = torch.export.export(model, (images(2),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
    compiled = compile(dynamic, soc=build, mode="cpu", precision="float")
    assert compiled(images(5))["features"].shape[0] == 5
    for bundle, batch in ((compiled.bundle, 2), (convert(dynamic, images(3)), 3)):
        assert [bundle.graph.tensors[name].shape[0] for name in bundle.graph.inputs] == [batch]
    keywords = torch.export.export(Centred().eval(), (), {"x": images(2)})
    with pytest.raises(ConversionError, match="no example inputs that are given by position"):
        compile(keywords, soc=build, mode="cpu")


def test_int8_on_the_functional_accelerator(build: Path) -> None:
    model = Both().eval()
    compiled = compile(model, images(1), soc=build, mode="functional", calibration=images(16))
    found, expected = compiled(images(1))["features"], model(images(1))["features"].detach()
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()
    assert {"c2d0"} <= {task["device"] for task in compiled.report()}


def test_the_report_has_times_of_the_build_that_was_made(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_module, "find_build", lambda soc, mode, tell: build)
    report = compile(Both().eval(), images(1), mode="cpu", calibration=images(4)).bundle.report
    assert "peak device memory" in report
    assert f"one input on {build.resolve().name}, by the cost model" in report


def test_backend_of_torch_compile(build: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(144, 5), nn.Softmax(1)).eval()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="cosoc", options={"soc": str(build)})
    with torch.no_grad():
        for count in (2, 3, 5):
            torch.testing.assert_close(compiled(images(count)), model(images(count)), rtol=1e-4, atol=1e-5)


def snippet() -> str:
    """The first block of Python in the README."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    return text.partition("```python\n")[2].partition("```")[0]


def test_the_readme_as_printed(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that it takes for granted are there; the default SoC is the one under test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builds, "DEFAULT_SOC", str(build))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    names: dict[str, Any] = {"model": model, "example": images(1), "images": images(8), "image": images(1, 3)}
    exec(snippet(), names)
    with torch.no_grad():
        expected = model(names["image"])
    assert (names["logits"] - expected).abs().max() < 0.1 * expected.abs().max()
    assert Bundle.load(tmp_path / "build" / "my.bundle").graph == names["module"].bundle.graph
