"""The archive for the board: deterministic, complete, and its README says the same as soc.json."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from cosoc.boards.zcu102.deploy import archive, readme
from tests.boards.socs import with_pairs


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A program and a text, in no particular order."""
    contents = {"soc.json": b"{}\n", "bin/cosoc-run": b"\x7fELF"}
    for index, content in enumerate(contents.values()):
        (tmp_path / str(index)).write_bytes(content)
    return {name: tmp_path / str(index) for index, name in enumerate(contents)}


def test_equal_content_gives_equal_bytes(files: dict[str, Path]) -> None:
    first = archive("cosoc", files)
    for path in files.values():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert archive("cosoc", dict(reversed(files.items()))) == first
    next(iter(files.values())).write_bytes(b"other")
    assert archive("cosoc", files) != first


def test_members(files: dict[str, Path]) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive("cosoc", files))) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["cosoc/bin/cosoc-run", "cosoc/soc.json"]
        assert [member.mode for member in members] == [0o755, 0o644]
        assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, 0)}
        content = tar.extractfile(members[0])
        assert content is not None
        assert content.read() == b"\x7fELF"


def test_readme_lists_every_accelerator() -> None:
    soc = with_pairs(1, c2d=2, fft=1, zip=1)
    text = readme(soc, ["cosoc-radar", "cosoc-run"])
    for placed in soc.accelerators:
        ports = ", ".join(placed.memory_ports)
        assert f"| {placed.name} | {placed.base:#x} | {placed.interrupt} | {ports} |" in text
    assert "| HP0, HP3 |" in text
    assert "bin/cosoc-run bundle --soc soc.json --mode board" in text
    assert "bin/cosoc-radar --soc soc.json --mode board" in text
    assert "No part of this archive was run on a physical board" in text
    assert "@" not in text.replace("root@board", "").replace("dtc -@", "")
