"""Builds by their options: made once, and again when sources have changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from cosoc import compile
from cosoc.converter import ConversionError, builds
from cosoc.converter.builds import find_build
from tests.converter.test_compile import images

FAKE_SCONS = """
import pathlib, sys
if "c2d_output_lanes=4" in sys.argv:
    print("scons: error: Verilator is missing")
    sys.exit(2)
for file in sys.argv:
    if file.startswith("/"):
        pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(file).touch()
print("done")
"""


def test_a_missing_build_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build tool is a stand-in that makes the files which it is asked for."""
    (tmp_path / "SCons").mkdir()
    (tmp_path / "SCons" / "__main__.py").write_text(FAKE_SCONS)
    (tmp_path / "SCons" / "__init__.py").touch()
    run = subprocess.Popen

    def with_stand_in(command: list[str], **options: Any) -> Any:
        replaced = [command[0], str(tmp_path / "SCons"), *command[3:]] if command[1:3] == ["-m", "SCons"] else command
        return run(replaced, **options)

    monkeypatch.setattr(subprocess, "Popen", with_stand_in)
    told: list[str] = []
    options = f"c2d=2 fft=0 zip=1 output={tmp_path / 'out'}"
    folder = find_build(options, "functional", told.append)
    assert folder == tmp_path / "out" / "sim-c2d2-fft0-zip1"
    assert told == ["building sim-c2d2-fft0-zip1, once", "done"]
    assert (folder / "lib" / "libcosoc.so").is_file()
    assert not (folder / "lib" / "libcosoc_soc.so").exists()
    assert find_build(options, "functional", told.append) == folder
    assert len(told) == 2, "nothing is built again"
    assert find_build(options, "rtl", told.append) == folder
    assert (folder / "lib" / "libcosoc_soc.so").is_file(), "the mode rtl needs the simulator besides"
    assert told[2] == "building sim-c2d2-fft0-zip1, once"
    monkeypatch.setattr(builds, "sources_digest", lambda root: "changed")
    for mode in ("functional", "functional", "rtl", "rtl"):
        assert find_build(options, mode, told.append) == folder
    assert told[4:] == ["bringing sim-c2d2-fft0-zip1 up to date", "done"] * 2, "once for the runtime, once for the simulator"
    with pytest.raises(ConversionError, match=r"the build of c2d=1 .* fails: scons: error: Verilator is missing"):
        find_build(f"c2d=1 c2d_output_lanes=4 output={tmp_path / 'out'}", "cpu", told.append)


def test_changed_sources_are_noticed(tmp_path: Path) -> None:
    """Any file of theirs, by its time or size; not what Python keeps beside them, nor other folders."""
    for file in ("gateware/a.py", "runtime/deep/b.cpp", "sim/c.cpp", "SConstruct", "tests/t.py", "gateware/__pycache__/a.pyc"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("1")
    for name in builds.SOURCES[1:]:
        (tmp_path / name).mkdir(exist_ok=True)
    digests = [builds.sources_digest(tmp_path)]
    for file in ("runtime/deep/b.cpp", "SConstruct", "gateware/a.py"):
        (tmp_path / file).write_text("22")
        digests.append(builds.sources_digest(tmp_path))
    os.utime(tmp_path / "sim" / "c.cpp", ns=(1, 1))
    digests.append(builds.sources_digest(tmp_path))
    (tmp_path / "sim" / "c.cpp").unlink()
    digests.append(builds.sources_digest(tmp_path))
    assert len(set(digests)) == 6
    for file in ("tests/t.py", "gateware/__pycache__/a.pyc"):
        (tmp_path / file).write_text("333")
    assert builds.sources_digest(tmp_path) == digests[-1]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_real_build_of_a_simulator(tmp_path: Path) -> None:
    """SCons makes a small SoC once; a model runs on its RTL; when a source is newer, SCons decides that nothing is to be done."""
    small = "c2d_input_lanes=4 c2d_output_lanes=4 c2d_pixel_lanes=1 c2d_feature_words=1024 c2d_weight_steps=64"
    soc = f"c2d=1 fft=0 zip=0 {small} output={builds.ROOT / 'build' / 'tests' / 'simulator'}"
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    told: list[str] = []
    compiled = compile(model, images(1), soc=soc, mode="rtl", calibration=images(8), force={"0": "c2d"}, progress=told.append)
    found, expected = compiled(images(1)), model(images(1))
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()
    assert {task["device"] for task in compiled.report()} >= {"c2d0"}
    folder = Path(str(compiled.bundle and find_build(soc, "rtl", told.append)))
    library = folder / "lib" / "libcosoc_soc.so"
    made = library.stat().st_mtime_ns
    source = builds.ROOT / "sim" / "rtl" / "soc_model.cpp"
    status = source.stat()
    try:
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        told.clear()
        assert find_build(soc, "rtl", told.append) == folder
    finally:
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert told[0] == f"bringing {folder.name} up to date"
    assert library.stat().st_mtime_ns == made


def test_builds_that_cannot_be() -> None:
    with pytest.raises(ConversionError, match="is no build"):
        find_build("no/such/folder", "cpu", print)
    with pytest.raises(ConversionError, match="refuses"):
        find_build("c2d=many", "cpu", print)
