"""Measured costs and devices that leave, from Python and from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cosoc.cli.main import main
from cosoc.runtime import CosocError, Session


def cosoc(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Status of a call of the command line."""
    monkeypatch.setattr(sys, "argv", ["cosoc", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_calibration_fills_the_file_and_the_table(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = tmp_path / "costs.json"
    assert cosoc(monkeypatch, "calibrate", costs, "--soc", build) == 0
    output = capsys.readouterr().out
    entries = json.loads(costs.read_text())["entries"]
    kernels = {entry["kernel"] for entry in entries}
    assert {"conv2d", "fft", "zip", "add", "max_pool2d", "quantize"} <= kernels
    assert len(entries) > 60
    for entry in entries:
        assert entry["device"] == "cpu"
        assert entry["samples"] >= 3
        assert entry["measured_ns"] > 0
    longest = max(entries, key=lambda entry: entry["measured_ns"])
    assert longest["kernel"] == "conv2d"
    assert f"{longest['measured_ns'] / 1000:.2f}" in output
    with Session(soc=build, mode="cpu", costs=costs) as session:
        assert len(session.measured_costs()) == len(entries)


def test_calibration_needs_the_wall_clock_and_a_good_file(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = tmp_path / "costs.json"
    assert cosoc(monkeypatch, "calibrate", costs, "--soc", build, "--mode", "functional") == 1
    assert "this session runs in simulated time: use mode cpu or board" in capsys.readouterr().err
    assert not costs.exists()
    costs.write_text("{")
    assert cosoc(monkeypatch, "run", build / "bundle", "--soc", build, "--costs", costs) == 1
    assert "it is damaged" in capsys.readouterr().err
    monkeypatch.setenv("COSOC_COSTS", str(costs))
    with pytest.raises(CosocError, match="it is damaged"):
        Session(soc=build, mode="cpu")


def test_devices_leave_and_come_back(build: Path) -> None:
    with Session(soc=build, mode="functional") as session:
        session.remove_device("zip0")
        session.add_device("zip0")
        with pytest.raises(CosocError, match="device zip0 is there and works"):
            session.add_device("zip0")
        with pytest.raises(CosocError, match="there is no device zip1; there are cpu0"):
            session.remove_device("zip1")
    with pytest.raises(CosocError, match="the session is closed"):
        session.remove_device("zip0")
