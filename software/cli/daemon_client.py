"""Questions to a daemon, over its socket: the same messages as runtime/daemon/socket.hpp."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from cosoc.cli.errors import UserError

MAX_MESSAGE = 128 << 10
"""Bytes of one message."""


def socket_path(given: Path | None) -> Path:
    """The address: what was given, COSOC_DAEMON, or the user's default."""
    if given is not None:
        return given
    if named := os.environ.get("COSOC_DAEMON"):
        return Path(named)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "cosoc.socket"
    return Path(f"/tmp/cosoc-{os.getuid()}.socket")


def ask(path: Path, message: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """Sends one message and waits for the answer, as long as it takes or at most `timeout` seconds.

    Raises:
        UserError: there is no daemon, it ended before it answered, or its answer is an error.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UserError(f"no daemon runs at {path}; start one with `cosoc daemon`, or give its --socket") from error
        except OSError as error:
            raise UserError(f"cannot reach the daemon at {path}: {error.strerror or error}") from error
        try:
            connection.sendall(json.dumps(message).encode())
            answer = connection.recv(MAX_MESSAGE)
        except OSError as error:
            raise UserError(f"the daemon at {path} broke off: {error.strerror or error}") from error
    if not answer:
        raise UserError(f"the daemon at {path} ended before it answered")
    result: dict[str, Any] = json.loads(answer)
    if "error" in result:
        raise UserError(str(result["error"]))
    return result
