"""What is rebuilt, and what not: a second build does nothing, a change rebuilds what depends on it and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.build.scons import ROOT, scons

SMALL = ["soc.json", "include"]


def small_build(output: Path, *options: str, variant: str = "sim-c2d1-fft1-zip1") -> str:
    """Builds what is quick to build; what SCons printed."""
    result = scons(*options, *(str(output / variant / name) for name in SMALL), output=output)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_second_build_does_nothing(tmp_path: Path) -> None:
    assert "generate" in small_build(tmp_path)
    assert all("is up to date" in line for line in small_build(tmp_path).splitlines())


def test_equal_builds_are_equal(tmp_path: Path) -> None:
    for name in ("a", "b"):
        small_build(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a" / "sim-c2d1-fft1-zip1").rglob("*.[hj]*"))
    assert len(files) >= 5
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_configurations_coexist(tmp_path: Path) -> None:
    small_build(tmp_path, "c2d=2", "fft=0", variant="sim-c2d2-fft0-zip1")
    variants = {path.name for path in tmp_path.glob("sim-*")}
    result = scons("c2d_output_lanes=16", "-n", output=tmp_path)
    assert variants == {"sim-c2d2-fft0-zip1"}
    assert "sim-c2d1-fft1-zip1-" in result.stdout, "other parameters than the defaults have a folder with a hash"
    names = [a["name"] for a in json.loads((tmp_path / "sim-c2d2-fft0-zip1" / "soc.json").read_text())["accelerators"]]
    assert names == ["c2d0", "c2d1", "zip0"]


def test_default_given_explicitly_is_the_same_configuration(tmp_path: Path) -> None:
    small_build(tmp_path)
    assert "generate" not in small_build(tmp_path, "c2d_output_lanes=8", "board=sim", "mode=release")


def test_no_accelerators(tmp_path: Path) -> None:
    small_build(tmp_path, "c2d=0", "fft=0", "zip=0", variant="sim-c2d0-fft0-zip0")
    soc = json.loads((tmp_path / "sim-c2d0-fft0-zip0" / "soc.json").read_text())
    assert soc["accelerators"] == []
    assert "rtl" not in soc


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources, in which a test may change files."""
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns("build", ".git", "__pycache__", "*.egg-info", ".*_cache", "results", "sim_build")
    )
    return copy


@pytest.mark.parametrize(
    ("changed", "modules"),
    [
        ("gateware/conv2d/config.py", {"conv2d"}),
        ("gateware/conv2d/core.py", {"conv2d"}),
        ("gateware/fft/core.py", {"fft"}),
        ("gateware/bus/axi.py", {"conv2d", "fft", "zip"}),
        ("gateware/peripheral/ring.py", {"conv2d", "fft", "zip"}),
        ("gateware/verilog.py", {"conv2d", "fft", "zip"}),
        ("boards/zcu102/block_design.py", set()),
        ("converter/bundle.py", set()),
    ],
)
def test_dependencies_of_verilog(changed: str, modules: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`conv2d/config.py` also makes the others again: the list of accelerators imports it."""
    monkeypatch.syspath_prepend(str(ROOT / "site_scons"))
    from python_sources import python_sources

    dependent = {
        module
        for module in ("conv2d", "fft", "zip")
        if changed in python_sources("cosoc.gateware.__main__", "cosoc.gateware.peripheral", f"cosoc.gateware.{module}")
    }
    assert modules <= dependent
    if "config" not in changed:
        assert dependent == modules


def test_changed_layout_makes_headers_again(checkout: Path) -> None:
    """SCons does not see Python imports; the headers depend on a file that only other modules import."""
    from subprocess import run
    from sys import executable

    def build() -> str:
        headers = "build/sim-c2d1-fft1-zip1/include"
        result = run(
            [executable, "-m", "SCons", "-Q", headers], cwd=checkout, capture_output=True, text=True, timeout=500, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    build()
    assert "up to date" in build()
    with (checkout / "gateware" / "layout" / "registers.py").open("a") as file:
        file.write("\n# A change.\n")
    assert "generate build/sim-c2d1-fft1-zip1/include/cosoc/generated/conv2d.hpp" in build()
