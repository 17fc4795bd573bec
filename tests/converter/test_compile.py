"""A model compiled to a callable: structure of its results, batches, saving, PyTorch's own interface."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cosoc import compile
from cosoc.converter import Bundle, ConversionError
from cosoc.converter.compiled import find_build


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


class Centred(nn.Module):
    """Mixes the samples of its batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def test_a_model_that_mixes_samples_is_converted_for_each_batch(build: Path) -> None:
    compiled = compile(Centred().eval(), images(2), soc=build, mode="cpu", precision="float")
    for count in (2, 1, 3):
        torch.testing.assert_close(compiled(images(count)), images(count) - images(count).mean(0))
    assert compiled.plans == 3


def test_an_exported_program(build: Path) -> None:
    model = Both().eval()
    program = torch.export.export(model, (images(1),))
    compiled = compile(program, soc=build, mode="cpu", precision="float")
    assert compiled.bundle.graph.name == "Both"
    found, expected = compiled(images(1)), model(images(1))
    assert found["name"] == "both"
    torch.testing.assert_close(found["features"], expected["features"].detach(), rtol=1e-4, atol=1e-5)
    keywords = torch.export.export(Centred().eval(), (), {"x": images(2)})
    with pytest.raises(ConversionError, match="no example inputs that are given by position"):
        compile(keywords, soc=build, mode="cpu")


def test_int8_on_the_functional_accelerator(build: Path) -> None:
    model = Both().eval()
    compiled = compile(model, images(1), soc=build, mode="functional", calibration=images(16))
    found, expected = compiled(images(1))["features"], model(images(1))["features"].detach()
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()
    assert {"c2d0"} <= {task["device"] for task in compiled.report()}


def test_backend_of_torch_compile(build: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(144, 5), nn.Softmax(1)).eval()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="cosoc", options={"soc": str(build)})
    with torch.no_grad():
        for count in (2, 3, 5):
            torch.testing.assert_close(compiled(images(count)), model(images(count)), rtol=1e-4, atol=1e-5)


def test_builds_that_cannot_be() -> None:
    with pytest.raises(ConversionError, match="is no build"):
        find_build("no/such/folder", "cpu", print)
    with pytest.raises(ConversionError, match="refuses"):
        find_build("c2d=many", "cpu", print)
