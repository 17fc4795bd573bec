"""Who may use a daemon, and for what."""

from __future__ import annotations

import grp
import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.support import TIMEOUT, Daemon, running

NOBODY = 65534
"""A user and group of their own."""


@pytest.fixture(scope="module")
def group() -> grp.struct_group:
    """One that this user may give files to, and that is not his own."""
    groups = os.getgroups() if os.getuid() else [entry.gr_gid for entry in grp.getgrall()]
    found = [number for number in groups if number not in (os.getgid(), NOBODY)]
    if not found:
        pytest.skip("this user is in one group only")
    return grp.getgrgid(found[0])


@pytest.fixture(scope="module")
def daemon(build: Path, group: grp.struct_group) -> Iterator[Daemon]:
    """For a group, in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="cosoc-access-") as folder:
        Path(folder).chmod(0o755)
        with running(build, Path(folder), "--group", group.gr_name) as result:
            yield result


def ask_as(user: int, group: int, path: Path, message: dict[str, Any]) -> dict[str, Any]:
    """The answer to a message of another user; `refused` instead when he cannot connect."""
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    ours, theirs = socket.socketpair()
    if (child := os.fork()) == 0:
        answer = b'{"refused": true}'
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.settimeout(TIMEOUT)
                peer.connect(str(path))
                peer.send(json.dumps(message).encode())
                answer = peer.recv(1 << 17)
        except PermissionError:
            pass
        finally:
            theirs.sendall(answer)
            os._exit(0)
    theirs.close()
    with ours:
        text = b"".join(iter(lambda: ours.recv(1 << 17), b""))
    os.waitpid(child, 0)
    result: dict[str, Any] = json.loads(text)
    return result


def test_the_socket_is_the_user_s_and_the_group_s(daemon: Daemon, group: grp.struct_group) -> None:
    status = daemon.socket.stat()
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert (status.st_uid, status.st_gid) == (os.getuid(), group.gr_gid)
    daemon.check()


def test_a_member_of_the_group_may_use_the_soc_and_look(daemon: Daemon, group: grp.struct_group) -> None:
    hello = {"type": "hello", "protocol": 1, "name": "guest", "memory": 1 << 20}
    assert "soc" in ask_as(NOBODY, group.gr_gid, daemon.socket, hello)
    assert "clients" in ask_as(NOBODY, group.gr_gid, daemon.socket, {"type": "ps"})


@pytest.mark.parametrize("order", ["submit", "end", "stop", "remove", "add"])
def test_a_member_of_the_group_starts_and_ends_nothing(daemon: Daemon, group: grp.struct_group, order: str) -> None:
    message = {"type": order, "kind": "so", "program": str(daemon.application), "job": 1, "device": "fft0"}
    assert ask_as(NOBODY, group.gr_gid, daemon.socket, message) == {"error": f"only the user that runs the daemon may {order}"}
    daemon.check()


def test_others_cannot_connect(daemon: Daemon) -> None:
    assert ask_as(NOBODY, NOBODY, daemon.socket, {"type": "ps"}) == {"refused": True}
