"""A whole build for the ZCU102: everything that the archive must contain, and its programs under an emulated processor."""

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


@pytest.fixture(scope="module")
def board_build(build: Path) -> Path:
    """One ZIP and no other accelerator; the bundle is that of the build under test. Kept between runs: it takes minutes."""
    output = ROOT / "build" / "tests"
    options = ["board=zcu102", "c2d=0", "fft=0", "zip=1", f"model={build / 'bundle'}"]
    result = scons(*options, output=output, timeout=1500)
    assert result.returncode == 0, result.stdout + result.stderr
    (folder,) = output.glob("zcu102-c2d0-fft0-zip1-*")
    return folder


pytestmark = pytest.mark.timeout(1600)


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


def test_design_fits_the_real_wrapper(board_build: Path) -> None:
    wrapper = shape_of_wrapper((board_build / "vivado" / "zip_block.v").read_text())
    design = Design.of(run_tcl(board_build / "vivado" / "design.tcl"))
    assert design.problems({"cosoc_zip_block": wrapper}) == []
    (accelerator,) = json.loads((board_build / "soc.json").read_text())["accelerators"]
    assert design.interrupts() == {"zip0": accelerator["interrupt"]}


def test_wrapper_and_accelerator_compile_together(board_build: Path, tmp_path: Path) -> None:
    sources = [board_build / "verilog" / "zip.v", board_build / "vivado" / "zip_block.v"]
    command = ["iverilog", "-s", "cosoc_zip_block", "-o", str(tmp_path / "out"), *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


def test_programs_run_on_aarch64(board_build: Path) -> None:
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(board_build / "bin" / "cosoc-run"), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "--mode" in result.stdout


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
