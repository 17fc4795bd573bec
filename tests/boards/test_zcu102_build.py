"""Builds for the ZCU102: the hardware, and (slow) the whole archive with its programs under an emulated processor."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cosoc.converter import Bundle, emulation
from tests.boards.design import Design, run_tcl
from tests.boards.socs import shape_of_wrapper
from tests.build.scons import ROOT, scons

OUTPUT = ROOT / "build" / "tests"
SOC = ("board=zcu102", "c2d=0", "fft=0", "zip=1")
"""One ZIP and no other accelerator."""


@pytest.fixture(scope="module")
def hardware() -> Path:
    """What Vivado needs, and the description of the SoC."""
    folder = OUTPUT / "zcu102-c2d0-fft0-zip1"
    result = scons(*SOC, *(str(folder / part) for part in ("verilog", "vivado", "soc.json")), output=OUTPUT)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def board_build(build: Path) -> Path:
    """Everything; the bundle is that of the build under test. Kept between runs: all of the runtime is compiled for aarch64."""
    result = scons(*SOC, f"model={build / 'bundle'}", output=OUTPUT, timeout=1500)
    assert result.returncode == 0, result.stdout + result.stderr
    (folder,) = OUTPUT.glob("zcu102-c2d0-fft0-zip1-*")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_archive_is_complete(board_build: Path) -> None:
    with tarfile.open(board_build / "deploy.tar.gz") as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert names >= {
        "README.md",
        "soc.json",
        "bin/cosoc-run",
        "bin/cosoc-radar",
        "lib/libcosoc.so",
        "bundle/graph.json",
        "bundle/weights.safetensors",
        "verilog/zip.v",
        "vivado/zip_block.v",
        "vivado/design.tcl",
        "vivado/project.tcl",
        "firmware/cosoc.dtso",
        "firmware/cosoc.dtbo",
        "include/cosoc/generated/page.hpp",
        "include/cosoc/generated/conv2d.hpp",
    }
    assert not [name for name in names if "conv2d.v" in name or "fft.v" in name]


def test_design_fits_the_real_wrapper(hardware: Path) -> None:
    wrapper = shape_of_wrapper((hardware / "vivado" / "zip_block.v").read_text())
    design = Design.of(run_tcl(hardware / "vivado" / "design.tcl"))
    assert design.problems({"cosoc_zip_block": wrapper}) == []
    (accelerator,) = json.loads((hardware / "soc.json").read_text())["accelerators"]
    assert design.interrupts() == {"zip0": accelerator["interrupt"]}


def test_wrapper_and_accelerator_compile_together(hardware: Path, tmp_path: Path) -> None:
    sources = [hardware / "verilog" / "zip.v", hardware / "vivado" / "zip_block.v"]
    command = ["iverilog", "-s", "cosoc_zip_block", "-o", str(tmp_path / "out"), *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_programs_run_on_aarch64(board_build: Path) -> None:
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(board_build / "bin" / "cosoc-run"), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert "--mode" in result.stdout


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_bundle_gives_the_same_bits_on_aarch64(board_build: Path, tmp_path: Path) -> None:
    """Without accelerators: on the CPU, with the kernels as they are compiled for the board."""
    bundle = Bundle.load(board_build / "bundle")
    (name,), (output,) = bundle.graph.inputs, bundle.graph.outputs
    image = np.random.default_rng(5).uniform(-1, 1, bundle.graph.tensors[name].shape).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    program = [
        "qemu-aarch64",
        "-L",
        "/usr/aarch64-linux-gnu",
        board_build / "bin" / "cosoc-run",
        board_build / "bundle",
        "--mode",
        "cpu",
    ]
    command = [*program, "--input", tmp_path / "image.npy", "--output", tmp_path / "logits.npy"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert np.load(tmp_path / "logits.npy").tobytes() == emulation.run(bundle, image)[output].tobytes()
