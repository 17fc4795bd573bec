"""Starting, finding and ending a daemon; jobs."""

from __future__ import annotations

import math
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cosoc.cli.daemon_client import ask
from cosoc.cli.errors import UserError
from cosoc.cli.main import app
from cosoc.cli.trace import read_tasks
from tests.daemon.support import TIMEOUT, Daemon, command_line, has_loaded, running, wait_until, wakes
from tests.runtime.test_bindings import write_bundle


def refusal(line: list[str]) -> str:
    """What a daemon that does not start says."""
    done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode != 0
    return done.stderr


def test_a_second_daemon_is_refused_and_the_first_goes_on(daemon: Daemon) -> None:
    assert "a daemon runs at" in refusal(command_line(daemon.build, daemon.socket))
    daemon.check()


def test_only_the_user_may_connect(daemon: Daemon) -> None:
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600


def test_what_a_killed_daemon_left_is_no_obstacle(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path, mode="cpu") as first:
        first.process.kill()
        first.process.wait(TIMEOUT)
        assert first.socket.exists()
        with pytest.raises(UserError, match="no daemon runs at"):
            first.state()
        with running(build, tmp_path, mode="cpu") as second:
            second.check()


def test_an_application_goes_on_without_its_daemon(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path) as daemon:
        # Calls before, while and after the daemon is killed.
        application = daemon.start("cpu", "500", str(tmp_path / "killed"))
        wait_until(lambda: application.pid in [client["process"] for client in daemon.clients(0)])
        daemon.process.kill()
        daemon.process.wait(TIMEOUT)
        (tmp_path / "killed").touch()
        assert application.wait(TIMEOUT) == 0


def test_mistakes_at_the_start(build: Path, tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    assert "1..64 CPU cores, not 0" in refusal(command_line(build, socket, "--cores", "0"))
    assert "FASTEST" in refusal(command_line(build, socket, "--policy", "FASTEST"))
    (tmp_path / "soc.json").write_text("{ broken")
    assert "not valid JSON" in refusal([*command_line(build, socket)[:2], str(tmp_path), *command_line(build, socket)[3:]])
    assert "mode cpu, functional, rtl or board" in refusal(command_line(build, socket, mode="model"))
    # As a session of its own on a machine that is no board.
    assert "UIO" in refusal(command_line(build, socket, mode="board"))
    assert "no group" in refusal(command_line(build, socket, "--group", "no-such-group"))
    assert not socket.exists()


def test_many_tiny_instances_at_once(daemon: Daemon) -> None:
    result = daemon.run("tiny", count=600)
    assert (result["done"], result["failed"]) == (600, 0)


def test_a_job_that_is_ended(daemon: Daemon) -> None:
    job = daemon.submit("sleep", "60", count=1000)
    ask(daemon.socket, {"type": "end", "job": job})
    result = daemon.wait(job)
    assert (result["done"], result["failed"], result["running"]) == (0, 1000, 0)
    daemon.check()


def test_arrivals(daemon: Daemon) -> None:
    begin = time.monotonic()
    jobs = [daemon.submit("nothing", count=5, period=0.05), daemon.submit("nothing", count=20, rate=200.0)]
    assert [daemon.wait(job)["done"] for job in jobs] == [5, 20]
    assert time.monotonic() - begin >= 4 * 0.05


def test_a_process_that_waits_has_no_core_and_becomes_the_application(daemon: Daemon) -> None:
    job = daemon.submit("sleep", "600", priority=3, weight=2.0)

    def known(of: int) -> list[tuple[str, int, float, bool]]:
        keys = ("name", "priority", "weight")
        return [(*(client[key] for key in keys), client["cores"] > 0) for client in daemon.clients(of)]

    wait_until(lambda: known(job) == [("test_application.so", 3, 2.0, True)])
    wait_until(lambda: known(0) == [("ready", 0, 1.0, False)] * 2)
    daemon.check()
    ask(daemon.socket, {"type": "end", "job": job})


def test_applications_are_loaded_in_advance_unless_that_would_show(daemon: Daemon, tmp_path: Path) -> None:
    def build_shared(name: str, *lines: str) -> str:
        source, made = tmp_path / f"{name}.c", tmp_path / f"{name}.new"
        source.write_text("\n".join(["#include <stdio.h>", "#include <stdlib.h>", *lines]))
        subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source], check=True, timeout=TIMEOUT)
        return str(made.replace(tmp_path / f"{name}.so"))

    def waiting_with(program: str) -> bool:
        waiting = [client["process"] for client in daemon.clients(0)]
        return len(waiting) == 2 and any(has_loaded(process, program) for process in waiting)

    def run(program: str) -> str:
        job: int = ask(daemon.socket, {"type": "submit", "kind": "so", "program": program, "arguments": ["", "b"]})["job"]
        assert daemon.wait(job)["done"] == 1
        return daemon.log(job)

    main = 'int main(int count, char** words) { printf("%d %s%s\\n", count, words[1], words[2]); return 0; }'
    silent = build_shared("silent", main)
    # The second time in a row it takes the place of what is loaded.
    assert [run(silent), run(silent)] == ["3 b\n"] * 2
    wait_until(lambda: waiting_with(silent))
    assert [run(silent), run(silent)] == ["3 b\n"] * 2
    # The file changes while processes wait that have the old one.
    build_shared("silent", main.replace("%d", "new %d"))
    assert [run(silent), run(silent)] == ["new 3 b\n"] * 2
    # A constructor tells who runs it, and where.
    begin = 'static void begin(void) { printf("%s, ", getenv("COSOC_NAME")); }'
    loud = build_shared("loud", f"__attribute__((constructor)) {begin}", main)
    for _ in range(4):
        assert run(loud) == "loud.so, 3 b\n"
        time.sleep(0.05)
        assert not waiting_with(loud)


def test_nobody_polls(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path) as daemon:
        assert daemon.run("accelerator", "3")["done"] == 1
        job = daemon.submit("sleep", "600")
        wait_until(lambda: len(daemon.clients(job)) == 1 and len(daemon.clients(0)) == 2)

        def wakes_a_second() -> float:
            processes = [daemon.process.pid, *(client["process"] for client in daemon.state()["clients"])]
            if len(processes) != 4:
                return math.inf
            begin, before = time.monotonic(), wakes(processes)
            time.sleep(1)
            return sum(count - before.get(thread, 0) for thread, count in wakes(processes).items()) / (time.monotonic() - begin)

        # Logs are looked at five times a second while something runs that may print; what was begun before may go on first,
        # as a process that waits and gives way to one that has the application loaded.
        wait_until(lambda: wakes_a_second() < 10)


def test_a_process_wakes_while_a_submission_is_read(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path) as daemon:
        wait_until(lambda: len(daemon.clients(0)) == 2)
        waiting = [client["process"] for client in daemon.clients(0)]

        def sleep_on() -> bool:
            before = wakes(waiting)
            daemon.state()
            time.sleep(0.2)
            return wakes(waiting) == before

        wait_until(sleep_on)
        before = wakes(waiting)
        # It is refused, so no process gets any work.
        with pytest.raises(UserError, match="there is no application"):
            ask(daemon.socket, {"type": "submit", "kind": "so", "program": str(tmp_path / "none.so")})
        wait_until(lambda: wakes(waiting) != before)
        wait_until(sleep_on)
        assert daemon.run("tiny")["done"] == 1


def test_programs_and_what_they_print(daemon: Daemon) -> None:
    message = {"type": "submit", "kind": "program", "program": str(daemon.program), "arguments": ["print", "5"], "count": 3}
    job: int = ask(daemon.socket, message)["job"]
    assert daemon.wait(job)["done"] == 3
    assert daemon.log(job) == "printed 5\n" * 3


def test_long_arguments_reach_the_process_or_are_refused(daemon: Daemon) -> None:
    assert daemon.run("tiny", "x" * 120_000)["done"] == 1
    with pytest.raises(UserError, match="122880 bytes together, not 12"):
        daemon.submit("tiny", "x" * 125_000)
    daemon.check()


def test_the_zygote_is_replaced(daemon: Daemon) -> None:
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    # One that a process of the old zygote had taken just then ends with a report; the next ones work.
    result = daemon.run("cpu", "1")
    assert result["done"] == 1 or "starts others died" in result["report"]
    daemon.check()


def test_the_command_line(daemon: Daemon, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_bundle(bundle)
    x = (rng.standard_normal((2, 64)) + 1j * rng.standard_normal((2, 64))).astype(np.complex64)
    np.save(tmp_path / "x.npy", x)
    here = ["--socket", str(daemon.socket)]

    def cosoc(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    job = cosoc("submit", *here, "--wait", str(bundle), str(tmp_path / "x.npy")).strip()
    assert "zip" in cosoc("logs", *here, job)
    cosoc("wait", *here, job)
    assert "fft0" in cosoc("ps", *here)
    failing = cosoc("submit", *here, str(daemon.application), "exit", "2").strip()
    assert CliRunner().invoke(app, ["wait", *here, failing]).exit_code == 1
    for words in (["wait", *here, "9999"], ["ps", "--socket", str(tmp_path / "none")], ["submit", *here, "/none.so"]):
        assert isinstance(CliRunner().invoke(app, words).exception, UserError)


def test_stop_ends_applications_and_daemon(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path, mode="cpu") as daemon:
        daemon.submit("sleep", "600", count=3)
        wait_until(lambda: daemon.state()["jobs"][0]["running"])
        assert CliRunner().invoke(app, ["stop", "--socket", str(daemon.socket)]).exit_code == 0
        assert daemon.process.wait(TIMEOUT) == 0
        assert not daemon.socket.exists()


def test_a_signal_ends_applications_and_daemon(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path) as daemon:
        daemon.submit("sleep", "600", count=3)
        wait_until(lambda: daemon.state()["jobs"][0]["running"])
        os.kill(daemon.process.pid, signal.SIGINT)
        assert daemon.process.wait(TIMEOUT) == 0
        assert not daemon.socket.exists()


def test_the_rtl_behind_a_daemon(build: Path, tmp_path: Path) -> None:
    with running(build, tmp_path, mode="rtl") as daemon:
        jobs = [daemon.submit("accelerator", "2", count=2), daemon.submit("tiny", "5")]
        assert [daemon.wait(job)["failed"] for job in jobs] == [0, 0]
        daemon.check()


def test_a_trace_survives_the_kill_of_the_daemon(build: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    with running(build, tmp_path, "--trace", str(path)) as daemon:
        assert daemon.run("accelerator", "5")["done"] == 1
        time.sleep(0.2)  # events are written after 0.1 s at the latest, with the next one
        assert daemon.run("accelerator", "5")["done"] == 1
        daemon.process.kill()
        daemon.process.wait(TIMEOUT)
    assert len(list(read_tasks(path))) >= 5
