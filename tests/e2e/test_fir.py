"""The accelerator that docs/add-an-accelerator.md adds: in RTL, scheduled, traced, on a board; and nothing else names it."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from cosoc.gateware.fir.golden import apply
from cosoc.runtime import Session, TaskRecord
from tests.build.scons import ROOT, scons

Array = np.ndarray[Any, Any]

OUTPUT = ROOT / "build" / "tests"
DECIMATION = 4


def built(board: str, *files: str) -> Path:
    """The folder of a configuration with one FIR and nothing else, in which these files are made."""
    variant = f"{board}-c2d0-fft0-zip0-fir1"
    paths = (str(OUTPUT / variant / file) for file in files)
    result = scons(f"board={board}", "c2d=0", "fft=0", "zip=0", "fir=1", *paths, output=OUTPUT, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    return OUTPUT / variant


@pytest.fixture(scope="module")
def soc() -> Path:
    """The RTL of the FIR, kept between runs; the runtime is that of the build under test, which knows all kinds."""
    return built("sim", "soc.json", "lib/libcosoc_soc.so")


def noise(seed: int, *shape: int) -> Array:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def write_bundle(folder: Path, frames: int, length: int, taps: int) -> tuple[Path, list[Array]]:
    """Two filters, the second of which decimates: of up to 7 taps, and of `taps`."""
    h = [noise(1, min(taps, 7)), noise(2, taps)]
    weights = save({"h0": h[0], "h1": h[1]})
    shapes = {"x": [frames, length], "y0": [frames, length], "y1": [frames, -(-length // DECIMATION)]}
    tensors: list[dict[str, Any]] = [{"name": n, "dtype": "complex64", "shape": shape} for n, shape in shapes.items()]
    tensors += [{"name": f"h{i}", "dtype": "complex64", "shape": [len(h[i])], "constant": True} for i in (0, 1)]
    nodes = [
        {"name": f"fir{i}", "op": "fir", "inputs": [source, f"h{i}"], "outputs": [f"y{i}"], "devices": ["fir", "cpu"]}
        | {"attributes": {"decimation": decimation}}
        for i, (source, decimation) in enumerate((("x", 1), ("y0", DECIMATION)))
    ]
    graph = {"schema": 1, "name": "filters", "inputs": ["x"], "outputs": ["y1"], "tensors": tensors, "nodes": nodes}
    graph["weights"] = {"file": "weights.safetensors", "bytes": len(weights), "crc32": zlib.crc32(weights)}
    (folder / "graph.json").write_text(json.dumps(graph))
    (folder / "weights.safetensors").write_bytes(weights)
    return folder, h


def run(soc: Path, build: Path, bundle: Path, x: Array, mode: str, trace: Path | None = None) -> tuple[Array, list[TaskRecord]]:
    with Session(soc=soc, library=build / "lib" / "libcosoc.so", mode=mode, policy="EFT", trace=trace) as session:
        model = session.load(bundle)
        (result,) = model.run([x])
        return result, model.report()


@pytest.mark.timeout(1000)
def test_the_same_bits_everywhere(build: Path, soc: Path, tmp_path: Path) -> None:
    """RTL, functional model, CPU and golden model; the long filter has more taps than the accelerator has multipliers."""
    bundle, (h0, h1) = write_bundle(tmp_path, frames=3, length=101, taps=19)
    x = noise(3, 3, 101)
    cycles = {}
    expected = np.stack([apply(apply(frame, h0), h1)[::DECIMATION] for frame in x])
    for mode in ("cpu", "functional", "rtl"):
        trace = tmp_path / f"{mode}.json"
        result, report = run(soc, build, bundle, x, mode, trace)
        assert (result.view(np.uint64) == expected.view(np.uint64)).all()
        if mode != "cpu":
            assert [task["device"] for task in report] == ["fir0", "fir0"]
            assert [task["commands"] for task in report] == [2, 5]
            cycles[mode] = np.array([task["cycles"] for task in report])
            assert '"fir0"' in trace.read_text()
    assert (cycles["rtl"] >= [2 * 303, 5 * 303]).all(), "more than a sample per cycle"
    assert (np.abs(cycles["functional"] / cycles["rtl"] - 1) <= 0.05).all()


@pytest.mark.timeout(1000)
def test_the_policy_chooses(build: Path, soc: Path, tmp_path: Path) -> None:
    """A short signal is not worth the way to the accelerator, and a filter that is too long cannot take it."""
    for length, taps, device, reason in ((3, 20, "cpu", ""), (2000, 40, "fir0", ""), (600, 300, "cpu", "up to 256 taps, not 300")):
        bundle, _ = write_bundle(tmp_path, frames=1, length=length, taps=taps)
        _, report = run(soc, build, bundle, noise(4, 1, length), "functional")
        assert report[1]["device"].startswith(device)
        assert reason in report[1]["reason"]


@pytest.mark.timeout(1000)
def test_the_board_gets_it_too() -> None:
    folder = built("zcu102", "soc.json", "vivado/design.tcl", "firmware/cosoc.dtso")
    (accelerator,) = json.loads((folder / "soc.json").read_text())["accelerators"]
    assert (accelerator["name"], accelerator["kind"]) == ("fir0", "fir")
    assert "cosoc_fir_block" in (folder / "vivado" / "design.tcl").read_text()
    assert "fir0" in (folder / "firmware" / "cosoc.dtso").read_text()


ITS_OWN = (
    r"gateware/(fir/|accelerators\.py)",
    r"software/(drivers/fir/|kernels/fir\.)",
    r"tests/(.+/)?(fir/|test_fir\.)",
    r"(docs/)?[\w-]+\.md",
)
"""Where the accelerator may be named: its folders, its line in the list, its kernel, its tests, and documents."""


def test_no_other_file_names_it() -> None:
    command = ["git", "grep", "-lwE", "-I", "fir[0-9]?|FIR([A-Z][a-z][a-zA-Z]*)?|fir_[a-z_]+"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()
    assert any(name.startswith("gateware/fir/") for name in found)
    assert [name for name in found if not any(re.match(own, name) for own in ITS_OWN)] == []
