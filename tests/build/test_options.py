"""Options: help, and one clear message for each mistake, with nothing written."""

from __future__ import annotations

from dataclasses import fields
from os.path import relpath
from pathlib import Path

import pytest

from cosoc.boards.platform import board_names, load_platform
from cosoc.boards.soc import FitError, SoC
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.parameters import ParameterError
from cosoc.gateware.soc import SoCConfig
from tests.build.scons import ROOT, scons

MISTAKES = {
    "unknown option": (["tagret=zcu102"], ["tagret", "board", "c2d_output_lanes"]),
    "misspelt option": (["c2d_output_lane=8"], ["c2d_output_lane=", "did you mean c2d_output_lanes=?"]),
    "unknown board": (["board=zcu104"], ["board=zcu104", "sim, zcu102"]),
    "count too high": (["c2d=17"], ["c2d=17", "0..16"]),
    "count below zero": (["fft=-1"], ["fft=-1", "0..16"]),
    "count that is no number": (["zip=two"], ["zip=two", "0..16"]),
    "empty count": (["c2d="], ["c2d=", "0..16"]),
    "parameter not allowed": (["c2d_output_lanes=7"], ["c2d_output_lanes=7", "4, 8, 16"]),
    "parameter outside its range": (["fft_max_log2=17"], ["fft_max_log2=17", "3..16"]),
    "too many interrupts": (["c2d=9", "fft=8"], ["c2d=9 fft=8 zip=1", "18 accelerators", "16 interrupt lines"]),
    "too large for the device": (["board=zcu102", "c2d=8", "c2d_output_lanes=16"], ["c2d=8", "xczu9eg", "usable are"]),
    "unknown mode": (["mode=fast"], ["mode=fast", "release, debug, asan, tsan"]),
    "unknown benchmark": (["bench=nothing"], ["bench=nothing", "all"]),
    "no such model": (["model=nowhere"], ["model=nowhere", "digits", "FILE.py:CLASS", "graph.json"]),
    "no such model file": (["model=nowhere.py:Net", "input=1x3x8x8"], ["there is no file nowhere.py"]),
    "model without its input": (["model=setup.py:Net"], ["model=setup.py:Net", "input=1x3x224x224"]),
    "input that is no shape": (["model=setup.py:Net", "input=3*8"], ["input=3*8", "1x3x224x224"]),
    "input of the default model": (["input=1x3"], ["input=", "model=digits"]),
    "output that is a file": (["output=setup.py"], ["output=setup.py", "no folder that you may write to"]),
    "no such weights": (["model=setup.py:Net", "input=1", "weights=nowhere.pt"], ["weights=nowhere.pt", "no such file"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_gives_one_message(name: str, tmp_path: Path) -> None:
    words, expected = MISTAKES[name]
    output = tmp_path / "build"
    result = scons(*words, output=output)
    assert result.returncode != 0
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for part in expected:
        assert part in result.stderr
    assert not output.exists(), "something was written before the mistake was found"


def test_model_paths_are_those_of_the_command_line(tmp_path: Path) -> None:
    """SCons reads every SConscript file in its own folder; a relative path must not be searched there."""
    model, bundle = tmp_path / "model.py", tmp_path / "bundle"
    model.write_text("")
    bundle.mkdir()
    (bundle / "graph.json").write_text("{}")
    for source in ([f"model={relpath(model, ROOT)}:Net", "input=1x3x8x8"], [f"model={relpath(bundle, ROOT)}"]):
        result = scons("-n", *source, output=tmp_path / "build")
        assert result.returncode == 0, result.stderr


def test_checks_write_their_log_in_a_new_folder(tmp_path: Path) -> None:
    output = tmp_path / "new" / "build"
    result = scons(str(output / "sim-c2d1-fft1-zip1" / "soc.json"), output=output)
    assert result.returncode == 0, result.stderr
    assert (output / "configure.log").is_file()


def test_tests_do_not_run_for_another_machine(tmp_path: Path) -> None:
    result = scons("-n", "test", "board=zcu102", "c2d=0", "fft=0", "zip=0", output=tmp_path)
    assert result.returncode != 0
    assert "tests run on this machine: board=sim" in result.stderr


def test_help_names_every_option_and_target(tmp_path: Path) -> None:
    result = scons("-h", output=tmp_path)
    assert result.returncode == 0, result.stderr
    options = ["board", "model", "input", "weights", "calibration", "mode", "bench", "output"]
    options += [a.name for a in ACCELERATORS]
    options += [f"{a.name}_{item.name}" for a in ACCELERATORS for item in fields(a.config)]
    for option in options:
        assert f"  {option}=" in result.stdout
    for target in ("test", "test-full", "lint", "tidy", "train", "bench"):
        assert f"\n  {target} " in result.stdout
    assert "(4, 8, 16; default 8)" in result.stdout


@pytest.mark.parametrize("board", board_names())
def test_default_counts_fit_their_board(board: str) -> None:
    platform = load_platform(board)
    assert SoC.place(SoCConfig.make(platform.counts, platform.parameters), platform).accelerators


def test_boards_have_default_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the board, unless the command line says otherwise; only what it says is in the name of the build."""
    monkeypatch.syspath_prepend(str(ROOT / "site_scons"))
    import options

    def lanes_and_variant(**arguments: str) -> tuple[int, str]:
        read = options.read(arguments)
        return read.soc.config.groups[0].config.pixel_lanes, read.variant

    assert lanes_and_variant() == (2, "sim-c2d1-fft1-zip1")
    assert lanes_and_variant(board="zcu102") == (4, "zcu102-c2d2-fft1-zip1")
    lanes, variant = lanes_and_variant(board="zcu102", c2d_pixel_lanes="2")
    assert lanes == 2
    assert variant.startswith("zcu102-c2d2-fft1-zip1-")
    assert "default 4)" in options.help_text("zcu102").split("c2d_pixel_lanes=")[1].split("c2d_feature_words=")[0]


def test_device_limits_count_after_count() -> None:
    """Resources grow with the count until the message says that they do not fit."""
    platform = load_platform("zcu102")
    fitting = [c for c in range(17) if _fits(c)]
    assert fitting == list(range(len(fitting)))
    assert {0, 1, 2} <= set(fitting)
    assert len(fitting) < 17
    first_too_many = SoCConfig.make({"c2d": len(fitting)}).resources()
    device = platform.device
    assert device is not None
    assert any(
        getattr(first_too_many, item.name) * 100 > getattr(device.resources, item.name) * device.usable
        for item in fields(device.resources)
    )


def _fits(count: int) -> bool:
    try:
        SoC.place(SoCConfig.make({"c2d": count}), load_platform("zcu102"))
    except FitError:
        return False
    return True


def test_unknown_names_in_python() -> None:
    with pytest.raises(ParameterError, match="no accelerator gpu; there are c2d, fft, zip"):
        SoCConfig.make({"gpu": 1})
    with pytest.raises(ParameterError, match="no parameter c2d_lanes"):
        SoCConfig.make({}, {"c2d_lanes": 1})
