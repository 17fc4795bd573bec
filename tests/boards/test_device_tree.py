"""The device-tree overlay: dtc compiles it without a warning, and it says what soc.json says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cosoc.boards.zcu102.device_tree import overlay
from tests.boards.socs import soc_of


def compile_overlay(text: str, folder: Path) -> tuple[str, str]:
    """The compiled overlay, decompiled, and the compiler's messages."""
    source, binary = folder / "x.dtso", folder / "x.dtbo"
    source.write_text(text)
    command = ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(binary), str(source)]
    compiled = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if compiled.returncode != 0:
        return "", compiled.stderr
    back = ["dtc", "-q", "-I", "dtb", "-O", "dts", str(binary)]
    return subprocess.run(back, capture_output=True, text=True, timeout=60, check=True).stdout, compiled.stderr


@pytest.mark.parametrize("counts", [{"c2d": 2, "fft": 1, "zip": 1}, {"c2d": 8, "fft": 4, "zip": 4}, {}], ids=str)
def test_compiles_and_agrees_with_soc_json(counts: dict[str, int], tmp_path: Path) -> None:
    soc = soc_of(**counts)
    tree, messages = compile_overlay(overlay(soc), tmp_path)
    assert messages == ""
    found = {}
    for name, body in re.findall(r"(\w+)@[0-9a-f]{8} \{(.*?)\};", tree, re.DOTALL):
        assert 'compatible = "generic-uio"' in body
        assert f'linux,uio-name = "{name}"' in body
        reg = [int(word, 16) for word in re.search(r"reg = <(.*?)>", body)[1].split()]  # type: ignore[index]
        interrupts = [int(word, 16) for word in re.search(r"interrupts = <(.*?)>", body)[1].split()]  # type: ignore[index]
        assert (interrupts[0], interrupts[2]) == (0, 4), "shared peripheral interrupt, level high"
        found[name] = (reg[0] << 32 | reg[1], reg[2] << 32 | reg[3], interrupts[1])
    assert found == {placed.name: (placed.base, 0x10000, placed.interrupt) for placed in soc.accelerators}
    assert f"assigned-clock-rates = <{soc.platform.clock_hz:#04x}>" in tree
    assert f"size = <{soc.platform.memory_bytes:#x}>" in tree


def test_symbols_that_the_board_must_have(tmp_path: Path) -> None:
    tree, _ = compile_overlay(overlay(soc_of(c2d=1)), tmp_path)
    fixups = re.search(r"__fixups__ \{(.*?)\};", tree, re.DOTALL)
    assert fixups is not None
    assert set(re.findall(r"^\s*(\w+) =", fixups[1], re.MULTILINE)) == {"fpga_full", "amba", "gic", "zynqmp_reset", "zynqmp_clk"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("interrupts =", "interrupts <"), ("0x10000>;", "0x10000;"), ("/plugin/;", "")],
    ids=["syntax", "bracket", "no plugin"],
)
def test_mutants_do_not_compile(old: str, new: str, tmp_path: Path) -> None:
    text = overlay(soc_of(c2d=1))
    assert old in text
    tree, messages = compile_overlay(text.replace(old, new), tmp_path)
    assert tree == ""
    assert "rror" in messages
