"""The programs cosoc-run and cosoc-radar of the build under test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cosoc.runtime import Session
from tests.runtime.test_bindings import write_bundle


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(item) for item in arguments], capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("policy", ["RR", "EFT", "HEFT_RT"])
def test_radar_finds_its_targets(build: Path, tmp_path: Path, policy: str) -> None:
    results = tmp_path / "radar.json"
    done = call(build / "bin" / "cosoc-radar", "--soc", build, "--mode", "functional", "--policy", policy, "--json", results)
    assert done.returncode == 0, done.stderr
    found = json.loads(results.read_text())
    assert len(found["targets"]) == found["detections"] == 4
    for target in found["targets"]:
        assert abs(target["found_range_m"] - target["range_m"]) <= 18.8
        assert abs(target["found_velocity_m_s"] - target["velocity_m_s"]) <= 4.6
    assert [task["op"] for task in found["tasks"]] == ["fft", "zip", "fft", "transpose", "fft", "magnitude_squared"]


def test_radar_uses_the_accelerators(build: Path, tmp_path: Path) -> None:
    results = tmp_path / "radar.json"
    call(build / "bin" / "cosoc-radar", "--soc", build, "--json", results)
    tasks = json.loads(results.read_text())["tasks"]
    assert [task["device"] for task in tasks][:3] == ["fft0", "zip0", "fft0"]
    assert all(task["cycles"] > 0 for task in tasks if not task["device"].startswith("cpu"))


def test_run_gives_what_the_bindings_give(build: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    x = np.random.default_rng(1).standard_normal((2, 128)).astype(np.float32).view(np.complex64)
    source, target = tmp_path / "x.npy", tmp_path / "power.npy"
    np.save(source, x)
    done = call(build / "bin" / "cosoc-run", bundle, "--soc", build, "--input", source, "--output", target)
    assert done.returncode == 0, done.stderr
    with Session(soc=build) as session:
        (expected,) = session.load(bundle).run([x])
    np.testing.assert_array_equal(np.load(target), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.json", "power.npy", "weights.safetensors", "x.npy"]


def test_run_refuses_wrong_input_with_one_message(build: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    program, source, target = build / "bin" / "cosoc-run", tmp_path / "x.npy", tmp_path / "y.npy"
    good = np.zeros((2, 64), np.complex64)
    cases: list[tuple[bytes | np.ndarray, str]] = [
        (good[:1], "input x is complex64[2, 64], the file has complex64[1, 64]"),
        (good.astype(np.complex128), "dtype <c16; expected"),
        (np.asfortranarray(good), "Fortran order"),
        (b"", "not a .npy file"),
        (b"\x93NUMPY\x01\x00\xff\xffxx", "truncated in its header"),
    ]
    for content, message in cases:
        if isinstance(content, bytes):
            source.write_bytes(content)
        else:
            np.save(source, content)
        done = call(program, bundle, "--soc", build, "--input", source, "--output", target)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    np.save(source, good)
    source.write_bytes(source.read_bytes()[:-1])
    assert "truncated or damaged" in call(program, bundle, "--soc", build, "--input", source).stderr
    assert "has 1 inputs; give --input once for each" in call(program, bundle, "--soc", build, "--input", source, source).stderr
    assert "no mode" in call(program, bundle, "--mode", "fast").stderr
    assert not target.exists()
