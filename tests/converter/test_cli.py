"""`cosoc convert` and `cosoc inspect`: what they write, and one message with status 1 for every mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import typer
from typer.testing import CliRunner

from cosoc.converter import Bundle, cli, convert

MODEL = """
import torch
from torch import nn
from widths import CHANNELS

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, CHANNELS, 3)
        self.head = nn.Linear(CHANNELS, 2)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))

class Digamma(nn.Module):
    def forward(self, x):
        return torch.special.digamma(x)

class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        y = self.conv(x)
        return y if y.sum() > 0 else -y

class Sized(nn.Conv2d):
    def __init__(self, channels):
        super().__init__(1, channels, 3)

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(30, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.table(x))

def failing():
    raise RuntimeError("no weights today")

def never(model):
    return 1 / 0

value = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small_model.py").write_text(MODEL)
    (tmp_path / "widths.py").write_text("CHANNELS = 4\n")
    np.savez(tmp_path / "data.npz", images=np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype(np.float32))
    return tmp_path


def cosoc(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command line."""
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_convert_and_inspect(folder: Path) -> None:
    weights = {
        "conv.weight": torch.full((4, 1, 3, 3), 0.25),
        "conv.bias": torch.zeros(4),
        "head.weight": torch.ones(2, 4),
        "head.bias": torch.zeros(2),
    }
    safetensors.torch.save_file(weights, folder / "weights.safetensors")
    line = "convert small_model.py:Model --input 1x1x8x8 --weights weights.safetensors --calibration data.npz --name tiny "
    status, output, errors = cosoc(*line.split(), "--force", "head=cpu", "-o", "tiny.bundle")
    assert status == 0, errors
    assert output.startswith("wrote tiny.bundle: 4 nodes")
    bundle = Bundle.load(folder / "tiny.bundle")
    assert bundle.graph.name == "tiny"
    assert {node.name: node.devices for node in bundle.graph.nodes}["head"] == ("cpu",)
    assert (bundle.constants["conv.weight"] == 127).all()
    status, output, _ = cosoc("inspect", "tiny.bundle")
    assert status == 0
    for part in ("conv", "cpu c2d", "no accelerator computes quantize", "small_model.py:"):
        assert part in output


def test_weights_left_to_chance_are_the_same_in_every_command(folder: Path) -> None:
    """So that `check` compares with the model that `convert` has seen."""
    line = "small_model.py:Model --input 1x1x8x8 --calibration data.npz -o"
    for name in ("first.bundle", "second.bundle"):
        torch.manual_seed(len(name))
        assert cosoc("convert", *line.split(), name)[0] == 0
    first, second = (Bundle.load(folder / name) for name in ("first.bundle", "second.bundle"))
    assert all((data == second.constants[name]).all() for name, data in first.constants.items())
    status, output, _ = cosoc("check", "first.bundle", "small_model.py:Model", "--data", "data.npz", "--least-snr", "20")
    assert status == 0, output


def test_a_model_of_words(folder: Path) -> None:
    """Its input is integers: by the name of the type, or as the calibration data are; a check takes them from the bundle."""
    words = np.random.default_rng(0).integers(0, 30, (6, 5))
    np.save(folder / "words.npy", words)
    np.save(folder / "narrow.npy", words.astype(np.int32))
    lines = {
        "named": "2x5:int64",
        "calibrated": "2x5 --calibration words.npy",
        "narrow": "2x5 --calibration narrow.npy",
        "both": "2x5:int64 --calibration narrow.npy",
    }
    for name, line in lines.items():
        status, _, errors = cosoc("convert", "small_model.py:Words", "--input", *line.split(), "-o", name)
        assert status == 0, errors
        assert Bundle.load(folder / name).graph.tensors["x"].dtype == "int64"
    for data in ([], ["--data", "words.npy"], ["--data", "narrow.npy"]):
        status, output, errors = cosoc("check", "calibrated", "small_model.py:Words", *data, "--least-snr", "30" if data else "0")
        assert (status, "worst layers: " in output) == (0, True), errors
    for dtype in ("", "integer"):
        status, _, errors = cosoc("convert", "small_model.py:Words", "--input", f"2x5:{dtype}", "-o", "no")
        assert (status, f"has the unknown type '{dtype}'; known are float32, " in errors) == (1, True)
    status, _, errors = cosoc("convert", "small_model.py:Words", "--input", "2x5", "-o", "no")
    assert (status, "does not run on example inputs" in errors) == (1, True)


def test_an_exported_program(folder: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
    program = torch.export.export(model, (torch.randn(1, 1, 8, 8),))
    torch.export.save(program, folder / "small.pt2")
    status, output, errors = cosoc("convert", "small.pt2", "--calibration", "data.npz", "-o", "small.bundle", "--dump", "steps")
    assert (status, output.startswith("wrote small.bundle")) == (0, True), errors
    bundle = Bundle.load(folder / "small.bundle")
    assert bundle.graph.name == "small"
    assert [node.name for node in bundle.graph.nodes] == ["quantize.input_1", "0", "dequantize.relu"]
    images = np.load(folder / "data.npz")["images"]
    direct = convert(model, torch.zeros(1, 1, 8, 8), calibration=images)
    assert all((data == bundle.constants[name]).all() for name, data in direct.constants.items()), "the same as without the file"
    assert convert(program, calibration=images).graph.name == "Sequential"
    assert cosoc("check", "small.bundle", "small.pt2", "--data", "data.npz")[0] == 0
    first = {path.name: path.read_text() for path in (folder / "steps").iterdir()}
    assert {"00-captured.txt", "04-fold_batch_norms.txt", "09-lowered.txt"} <= first.keys()
    assert max(first).endswith("-apply_force.txt")
    assert "_native_batch_norm_legit_no_training" in first["00-captured.txt"]
    assert "batch_norm" not in first["04-fold_batch_norms.txt"]
    assert "= conv2d(input_1.int8, 0.weight: constant int8[4, 3, 3, 1]," in first["09-lowered.txt"]
    assert "on cpu  # 0" in first["09-lowered.txt"]
    assert "on cpu|c2d  # 0" in first[max(first)]
    assert cosoc("convert", "small.pt2", "--calibration", "data.npz", "-o", "small.bundle", "--dump", "steps")[0] == 0
    assert {path.name: path.read_text() for path in (folder / "steps").iterdir()} == first, "the same text each time"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("absent.pt2", "there is no file absent.pt2"),
        (
            "broken.pt2",
            "broken.pt2 is no exported program, or is damaged, or of another PyTorch; expected a file that torch.export.save",
        ),
        ("state.pt2", "state.pt2 is no exported program"),
        ("training.pt2", "exported in training mode"),
        ("small_model.py:Model", "--input is missing"),
        ("small_model.py:Model --input 1x1x8x8 --dump .", "has other files"),
        ("absent.py:Model --input 1x1x8x8", "there is no file absent.py"),
        ("small_model.py --input 1x1x8x8", "expected path.py:Name"),
        ("small_model.py:Modle --input 1x1x8x8", "no torch.nn.Module named Modle; it has Branch, Digamma, Model, Sized, Words"),
        ("small_model.py:value --input 1x1x8x8", "no torch.nn.Module named value"),
        ("small_model.py:failing --input 1x1x8x8", "no weights today"),
        ("small_model.py:Sized --input 1x1x8x8", "expected a class or function that needs no arguments"),
        ("small_model.py:Branch --input 1x1x8x8", "control flow depends on the values of a tensor"),
        ("small_model.py:Model --input 999999999x1x8x8", "at most 268,435,456 are possible"),
        ("small_model.py:Model --input 1xAx8", "--input 1xAx8 is no shape"),
        ("small_model.py:Model --input 1x3x8x8", "does not run on example inputs of shape (1, 3, 8, 8)"),
        ("small_model.py:Model --input 1x1x8x8 --force conv", "expected NODE=cpu or NODE=c2d"),
        ("small_model.py:Model --input 1x1x8x8 --weights data.npz", "the weights data.npz cannot be read"),
        ("small_model.py:Model --input 1x1x8x8 --weights other.safetensors", "missing conv.weight"),
        ("small_model.py:Model --input 1x1x8x8 --calibration widths.py", "the calibration data widths.py cannot be read"),
        ("small_model.py:Model --input 1x1x9x9 --calibration data.npz", "expected (n, 1, 9, 9)"),
        (
            "small_model.py:Model --input 1x1x8x8 --evaluate small_model.py:never",
            "never fails: ZeroDivisionError: division by zero",
        ),
        ("small_model.py:Digamma --input 1x1x8x8", "1 operation of the model cannot be converted"),
    ],
)
def test_mistakes(folder: Path, line: str, part: str) -> None:
    safetensors.torch.save_file({"other": torch.zeros(1)}, folder / "other.safetensors")
    (folder / "broken.pt2").write_bytes(b"PK\x03\x04 is how such a file starts")
    torch.save({"weight": torch.zeros(2)}, folder / "state.pt2")
    if line.startswith("training"):
        torch.export.save(torch.export.export(torch.nn.Dropout().train(), (torch.ones(2, 2),)), folder / "training.pt2")
    before = sorted(folder.iterdir())
    status, output, errors = cosoc("convert", *line.split(), "-o", "out.bundle")
    assert status == 1
    assert output == ""
    assert part in errors
    assert "Traceback" not in errors
    assert "def forward" not in errors, "a graph that torch.export prints is no message"
    assert sorted(path for path in folder.iterdir() if path.name != "__pycache__") == before, "nothing is left behind"


def test_inspect_of_something_else(folder: Path) -> None:
    status, _, errors = cosoc("inspect", "widths.py")
    assert status == 1
    assert errors.startswith("cosoc: widths.py is no bundle")


def test_an_output_that_is_no_bundle_is_refused_before_the_work(folder: Path) -> None:
    status, output, errors = cosoc("convert", "small_model.py:Model", "--input", "1x1x8x8", "-o", "widths.py")
    assert (status, output) == (1, "")
    assert errors == "cosoc: widths.py exists and is no bundle; remove it, or choose another name\n"
