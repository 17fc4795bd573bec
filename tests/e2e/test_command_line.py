"""The `cosoc` command as a user calls it: its output, and one message with a non-zero status for a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cosoc.apps.digits import data
from tests.runtime.test_bindings import write_bundle


def cosoc(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cosoc.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def refused(*arguments: object) -> str:
    """The message of a call that must fail without a stack trace."""
    result = cosoc(*arguments)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr
    return result.stderr


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.npy"
    np.save(path, data.load().test_images[:1].numpy())
    return path


@pytest.mark.parametrize("mode", ["functional", "rtl"])
def test_run_writes_outputs_and_trace(build: Path, image: Path, tmp_path: Path, mode: str) -> None:
    output, trace = tmp_path / "out.npz", tmp_path / "trace.json"
    result = cosoc("run", build / "bundle", "--soc", build, "--mode", mode, "--input", image, "--output", output, "--trace", trace)
    assert result.returncode == 0, result.stderr
    assert "c2d0" in result.stdout
    (logits,) = np.load(output).values()
    assert int(logits.argmax()) == int(data.load().test_labels[0])
    assert any(event["ph"] == "X" for event in json.loads(trace.read_text()))


def test_deadline_and_seed_of_a_run(build: Path, tmp_path: Path) -> None:
    bundle, trace = write_bundle(tmp_path, 8), tmp_path / "trace.json"

    def run(*options: object) -> str:
        result = cosoc("run", bundle, "--soc", build, "--mode", "model", "--trace", trace, *options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    # The product takes less energy on a core, and less time on the accelerator.
    assert "zip0" not in run("--policy", "ENERGY")
    assert "zip0" in run("--policy", "ENERGY", "--deadline", 1e-6)
    assert "zip0" not in run("--policy", "ENERGY", "--deadline", 1)
    assert "a deadline is a number of seconds above 0" in refused("run", bundle, "--soc", build, "--deadline", -1)
    texts = []
    for seed in (1, 1, *range(2, 8)):
        run("--policy", "RANDOM", "--seed", seed)
        texts.append(trace.read_text())
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_a_corrupted_bundle_is_refused(build: Path, tmp_path: Path) -> None:
    for file in (build / "bundle").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((tmp_path / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(weights)
    message = refused("run", tmp_path, "--soc", build)
    assert "weights.safetensors" in message
    assert len(message.strip().splitlines()) == 1


def test_a_missing_build_is_named_with_the_remedy(build: Path, tmp_path: Path) -> None:
    assert "./dev scons" in refused("run", build / "bundle", "--soc", tmp_path / "nowhere")


def test_an_unknown_policy_lists_the_known_ones(build: Path) -> None:
    message = refused("run", build / "bundle", "--soc", build, "--policy", "FASTEST")
    assert "FASTEST" in message
    assert "HEFT_RT" in message


def test_a_missing_input_is_named(build: Path, tmp_path: Path) -> None:
    assert "absent.npy" in refused("run", build / "bundle", "--soc", build, "--input", tmp_path / "absent.npy")


def test_an_input_of_the_wrong_shape_names_both_shapes(build: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.zeros((1, 1, 8, 8), np.float32))
    message = refused("run", build / "bundle", "--soc", build, "--input", tmp_path / "small.npy")
    assert "[1, 1, 32, 32]" in message
    assert "[1, 1, 8, 8]" in message
