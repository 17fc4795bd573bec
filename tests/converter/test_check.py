"""`cosoc check`, `cosoc diff` and `--emit`: what they print, and when they fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

from cosoc.cli.main import app
from cosoc.converter import Bundle
from cosoc.converter.differences import differences
from cosoc.converter.emit import dag, layers
from tests.converter.models import Chain, Residual, converted

MODEL = """
import torch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(2, 4, 3)
        self.head = torch.nn.Linear(4 * 36, 3)
    def forward(self, x):
        return self.head(torch.flatten(torch.relu(self.layer(x)), 1))
def accuracy(model):
    torch.manual_seed(1)
    with torch.no_grad():
        data = torch.randn(16, 2, 8, 8)
        found = torch.cat([model(sample[None]) for sample in data])
        return -float((found - Model()(data)).abs().max())
class Other(Model):
    def forward(self, x):
        return self.layer(x) * 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, data and a bundle made by the command line."""
    path = tmp_path_factory.mktemp("check")
    (path / "model.py").write_text(MODEL)
    np.save(path / "data.npy", np.random.default_rng(0).normal(size=(20, 2, 8, 8)).astype(np.float32))
    run("convert", f"{path}/model.py:Model", "--input", "1x2x8x8", "--calibration", f"{path}/data.npy", "-o", f"{path}/m.bundle",
        "--emit", "layers,dag")  # fmt: skip
    return path


def run(*words: str, status: int = 0) -> str:
    """Output of a command."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == status, result.output
    return result.output


def test_check_names_layers_and_the_worst(folder: Path) -> None:
    text = run("check", f"{folder}/m.bundle", f"{folder}/model.py:Model", "--data", f"{folder}/data.npy")
    assert "model.py:10" in text
    worst = text.splitlines()[-1]
    assert worst.startswith("worst layers: ")
    assert "layer " in worst
    assert "dB (model.py:10)" in worst
    assert "random" not in text
    assert "inputs were random" in run("check", f"{folder}/m.bundle", f"{folder}/model.py:Model")


def test_check_fails_below_the_least_signal_to_noise(folder: Path) -> None:
    text = run(
        "check", f"{folder}/m.bundle", f"{folder}/model.py:Model", "--data", f"{folder}/data.npy", "--least-snr", "90", status=1
    )
    assert "less than 90 dB" in text


def test_check_of_another_model(folder: Path) -> None:
    assert "was not made from this model" in run("check", f"{folder}/m.bundle", f"{folder}/model.py:Other", status=1)


def test_emitted_forms(folder: Path) -> None:
    graph = Bundle.load(folder / "m.bundle").graph
    listed = json.loads((folder / "m.layers.json").read_text())
    assert listed == json.loads(json.dumps(layers(graph)))
    assert [(entry["name"], entry["op"]) for entry in listed] == [(node.name, node.op) for node in graph.nodes]
    assert listed[1]["parameters"][0]["shape"] == [4, 3, 3, 2]
    assert listed[1]["macs"] == 36 * 4 * 18
    chain = json.loads((folder / "m.dag.json").read_text())
    assert [entry["next"] for entry in chain] == [["layer"], ["head"], [graph.nodes[3].name], []]
    assert chain[1]["input"] == [graph.nodes[0].outputs[0]]


def test_unknown_form(folder: Path) -> None:
    words = ("convert", f"{folder}/model.py:Model", "--input", "1x2x8x8", "-o", f"{folder}/n.bundle", "--emit", "layers,tree")
    assert "--emit tree is not possible; expected layers, dag" in run(*words, status=1)
    assert not (folder / "n.bundle").exists()


def test_followers_of_a_branch() -> None:
    graph = converted(Chain(Residual(4), nn.AvgPool2d(2)), (1, 4, 8, 8))[0].bundle.graph
    chain = {entry["name"]: entry["next"] for entry in dag(graph)}
    assert len(chain[graph.nodes[0].name]) == 2


def test_differences(folder: Path) -> None:
    bundle = Bundle.load(folder / "m.bundle")
    assert differences(bundle, bundle) == []
    assert "the same" in run("diff", f"{folder}/m.bundle", f"{folder}/m.bundle")
    nodes = list(bundle.graph.nodes)
    node = nodes[1]
    nodes[1] = replace(node, devices=("cpu",), attributes=node.attributes | {"clamp": [-5, 5]})
    weight = bundle.constants[node.inputs[1]].copy()
    weight.ravel()[3] += 2
    other = Bundle(replace(bundle.graph, nodes=tuple(nodes)), bundle.constants | {node.inputs[1]: weight}, "")
    assert differences(bundle, other) == [
        "layer: devices cpu c2d | cpu",
        f"layer: clamp {node.attributes['clamp']} | [-5, 5]",
        f"layer: {node.inputs[1]} differs in 1 of 72 values, by at most 2",
    ]
    fewer = Bundle(replace(bundle.graph, nodes=bundle.graph.nodes[:-1], outputs=(nodes[2].outputs[0],)), bundle.constants, "")
    assert differences(bundle, fewer)[-1] == f"{bundle.graph.nodes[-1].name}: dequantize | absent"
    other.save(folder / "other.bundle")
    assert run("diff", f"{folder}/m.bundle", f"{folder}/other.bundle", status=1).count("\n") == 3


def test_evaluation_and_precision_on_the_command_line(folder: Path) -> None:
    """A wanted accuracy widens layers; a precision can be given to modules."""
    words = ("convert", f"{folder}/model.py:Model", "--input", "1x2x8x8", "--calibration", f"{folder}/data.npy", "-o")
    run(*words, f"{folder}/e.bundle", "--evaluate", f"{folder}/model.py:accuracy", "--max-accuracy-drop", "1e-4")
    assert "was not reached" not in Bundle.load(folder / "e.bundle").report
    assert any(node.op not in ("quantize", "dequantize", "conv2d") for node in Bundle.load(folder / "e.bundle").graph.nodes)
    run(*words, f"{folder}/p.bundle", "--precision", "head=int16")
    graph = Bundle.load(folder / "p.bundle").graph
    dtypes = {node.name: graph.tensors[node.outputs[0]].dtype for node in graph.nodes}
    assert (dtypes["layer"], dtypes["head"]) == ("int8", "int16")
    assert "has no function named nothing" in run(*words, f"{folder}/x", "--evaluate", f"{folder}/model.py:nothing", status=1)
    assert "not possible beside others" in run(*words, f"{folder}/x", "--precision", "float", "--precision", "head=int8", status=1)
