"""Applications written for CEDR, submitted as the shared objects that CEDR's daemon takes: linked with nothing of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosoc.cli.daemon_client import ask
from tests.daemon.support import Daemon
from tests.runtime.test_cedr import Applications, assert_close, complexes


@pytest.fixture(scope="module")
def applications(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Applications:
    return Applications(build, tmp_path_factory.mktemp("cedr"))


def submit(daemon: Daemon, application: Path, *arguments: str, count: int = 1) -> int:
    message = {"type": "submit", "kind": "so", "program": str(application), "arguments": list(arguments), "count": count}
    job: int = ask(daemon.socket, message)["job"]
    return job


@pytest.mark.parametrize("count", [1, 4])
def test_a_batch_and_a_correlator_side_by_side(daemon: Daemon, applications: Applications, tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    x, sent = complexes(rng, 200, 16), complexes(rng, 256)
    (tmp_path / "x").write_bytes(x.tobytes())
    (tmp_path / "echo").write_bytes(sent.tobytes() + np.roll(sent, 77).tobytes())
    batch = applications.compile(["batch.c"], shared=True)
    correlator = applications.compile(["correlator.c"], shared=True)
    jobs = [
        submit(daemon, batch, str(tmp_path / "x"), str(tmp_path / "y"), "16", "200", "1"),
        submit(daemon, correlator, str(tmp_path / "echo"), str(tmp_path / "lag"), "256", count=count),
    ]
    assert [daemon.wait(job)["done"] for job in jobs] == [1, count], [daemon.log(job) for job in jobs]
    y = np.frombuffer((tmp_path / "y").read_bytes(), np.complex64).reshape(x.shape)
    assert_close(y, np.fft.fft(x.astype(complex), axis=1))
    assert (tmp_path / "lag").read_text() == "77\n"
    assert [daemon.log(job) for job in jobs] == ["", ""]


@pytest.mark.parametrize("source", ["barriers.c", "forks.c"])
def test_barriers_and_forks(daemon: Daemon, applications: Applications, source: str) -> None:
    job = submit(daemon, applications.compile([source], shared=True))
    assert daemon.wait(job)["done"] == 1, daemon.log(job)
    assert daemon.log(job) == "done\n"


def test_calls_while_the_process_ends(daemon: Daemon, applications: Applications) -> None:
    job = submit(daemon, applications.compile(["at_exit.cpp"], shared=True))
    assert "ended with status 7" in daemon.wait(job)["report"]
    lines = dict(line.split() for line in daemon.log(job).splitlines())
    assert lines == {"main": "8", "handler": "8", "destructor": "8"}
