"""Every command and option of the daemon as a user types them, against one daemon that a user started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cosoc.cli.main import app
from cosoc.cli.trace import read_events, read_tasks
from tests.daemon.support import TIMEOUT, Daemon, has_loaded, serving, wait_until
from tests.runtime.trace_format import check_format


def cosoc(*words: object, status: int = 0) -> str:
    """Output of a command that ends with this status."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trace") / "trace.json"


@pytest.fixture(scope="module")
def daemon(build: Path, trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Started by `cosoc daemon` in the folder of its policy, which applications in other folders have to find too."""
    socket, lines = tmp_path_factory.mktemp("daemon") / "socket", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "execv", lambda program, words: lines.append([program, *words[1:]]))
        patch.setenv("COSOC_DAEMON", str(socket))
        patch.chdir(build / "lib")
        cosoc("daemon", "--soc", build, "--policy", "./test_policy.so", "--trace", trace, "--processes", 3, "--call-limit", 2)
        line = [str(word) for word in lines[0]]
        with serving(line, build, socket) as result:
            patch.chdir(trace.parent)
            yield result


def submit(daemon: Daemon, *behaviour: object, options: Sequence[object] = ()) -> str:
    """The job."""
    return cosoc("submit", *options, daemon.application, *behaviour).strip()


@pytest.mark.parametrize("command", [[], ["submit"], ["device"], ["trace"], ["trace", "convert"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    assert cosoc(*command, "-h") == cosoc(*command, "--help")
    assert "Usage" in cosoc(*command, "-h")


def test_options_of_a_job_reach_its_processes(daemon: Daemon) -> None:
    job = submit(daemon, "sleep", 600, options=["-n", 2, "--priority", 3, "--weight", 2.5, "--memory", 3 << 20])

    def wishes() -> list[tuple[int, float, int]]:
        return [(client["priority"], client["weight"], client["memory"]) for client in daemon.clients(int(job))]

    # Each process lets go of the session first that it had while it waited, whose memory is of the usual size.
    wait_until(lambda: wishes() == [(3, 2.5, 3 << 20)] * 2)
    policy = str((daemon.build / "lib" / "test_policy.so").resolve())
    # The daemon knows a client before that has opened what it was told.
    processes = [client["process"] for client in daemon.clients(int(job))]
    assert len(processes) == 2
    wait_until(lambda: all(has_loaded(process, policy) for process in processes))
    cosoc("stop", job)
    assert "was ended on request" in cosoc("wait", job, status=1)
    assert daemon.state_of(int(job))["failed"] == 2


def test_seed_and_deadline_of_a_job_are_those_of_its_session(daemon: Daemon) -> None:
    for options, said in (
        ([], "seed 1, deadline 0 ns\n"),
        (["--deadline", 0.25], "seed 1, deadline 250000000 ns\n"),
        (["--seed", 7, "--deadline", 2], "seed 7, deadline 2000000000 ns\n"),
    ):
        job = submit(daemon, "session", options=options)
        cosoc("wait", job)
        assert cosoc("logs", job) == said


def test_what_broke_the_protocol_is_told(daemon: Daemon) -> None:
    job = submit(daemon, "scribble", 50_000)
    told = cosoc("wait", job, status=1)
    assert "broke the protocol" in told
    assert f"`cosoc logs {job}`" in told
    assert "broke the protocol" in cosoc("logs", job)
    assert "ended: test_application.so, process" in cosoc("ps")


def test_limits_of_a_job(daemon: Daemon) -> None:
    late = submit(daemon, "sleep", 600, options=["--time-limit", 0.2])
    large = submit(daemon, "host-memory", 1e9, options=["--host-memory", 500_000_000])
    assert "time limit" in cosoc("wait", late, status=1)
    assert "status 5" in cosoc("wait", large, status=1)


@pytest.mark.parametrize(("option", "mean"), [("--period", 1e4), ("--poisson", 1e-4)])
def test_arrivals_of_a_job(daemon: Daemon, option: str, mean: float) -> None:
    job = submit(daemon, "nothing", options=["-n", 3, option, mean])
    wait_until(lambda: daemon.state_of(int(job))["done"] == 1)
    state = daemon.state_of(int(job))
    assert (state["count"], state["waiting"], state["running"]) == (3, 2, 0)
    cosoc("stop", job)


def test_a_log_is_followed_until_its_job_ends(daemon: Daemon) -> None:
    job = submit(daemon, "print", 5, options=["-n", 2, "--period", 0.3])
    assert cosoc("logs", "-f", job) == "printed 5\n" * 2


def test_all_jobs_are_waited_for(daemon: Daemon) -> None:
    jobs = [submit(daemon, "sleep", 0.7), submit(daemon, "exit", 2)]
    assert f"job {jobs[1]} " in cosoc("wait", status=1)
    assert [daemon.state_of(int(job))["ended"] for job in jobs] == [True, True]


def test_an_accelerator_leaves_and_comes_back_while_an_application_runs(daemon: Daemon, tmp_path: Path) -> None:
    # It begins on the accelerator, and finds by and by that a core is faster than a model.
    running = int(submit(daemon, "any", 20, tmp_path / "end"))
    wait_until(lambda: any(client["calls"] for client in daemon.clients(running)))
    cosoc("device", "remove", "fft0")
    assert "removed: fft0" in cosoc("ps")
    assert daemon.state_of(running)["running"] == 1
    job = submit(daemon, "accelerator")
    cosoc("wait", job, status=1)
    assert "removed: fft0" in cosoc("logs", job)
    cosoc("device", "add", "fft0")
    assert "removed" not in cosoc("ps")
    cosoc("submit", "--wait", daemon.application, "accelerator")
    assert daemon.state_of(running)["running"] == 1
    (tmp_path / "end").touch()
    cosoc("wait", running)
    assert daemon.state_of(running)["done"] == 1


def test_the_trace_is_copied_while_it_grows(daemon: Daemon, trace: Path) -> None:
    cosoc("submit", "--wait", daemon.application, "accelerator", 3)
    time.sleep(0.15)  # events are written after 0.1 s at the latest, with the next one
    cosoc("submit", "--wait", daemon.application, "accelerator", 3)
    copy = trace.with_name("copy.json")
    cosoc("trace", "daemon", copy)
    check_format(list(read_events(copy)))
    tasks = list(read_tasks(copy))
    accelerated = [task for task in tasks if task["device"] == "fft0"]
    assert len(accelerated) >= 3
    assert {task["application"] for task in accelerated} == {"test_application.so"}


def test_the_trace_has_what_applications_compute_on_their_cores(daemon: Daemon, trace: Path) -> None:
    cosoc("submit", "--wait", daemon.application, "accelerator", 2)
    cosoc("submit", "--wait", daemon.application, "cpu", 7)
    cosoc("submit", "--wait", daemon.application, "accelerator", 2)
    time.sleep(0.15)  # as above
    cosoc("submit", "--wait", daemon.application, "accelerator", 2)
    copy = trace.with_name("cores.json")
    cosoc("trace", "daemon", copy)
    check_format(list(read_events(copy)))
    tasks = list(read_tasks(copy))
    computed = [task for task in tasks if task["application"] == "cpu" and task["device"].startswith("cpu")][-7:]
    assert len(computed) == 7
    assert len({task["id"] for task in tasks}) == len(tasks)
    # On one clock: after two calls of the accelerator and before two others, with none between.
    begin, end = computed[0]["start_us"], computed[-1]["end_us"]
    starts = [task["start_us"] for task in tasks if task["device"] == "fft0"]
    assert sum(start < begin for start in starts) >= 2
    assert sum(start > end for start in starts) in (2, 3, 4)
    assert not any(begin <= start <= end for start in starts)
    names = [event["args"]["name"] for event in read_events(copy) if event["name"] == "process_name"]
    assert any(name.startswith("cpu, process ") for name in names)


def test_the_daemon_stops(daemon: Daemon) -> None:
    cosoc("stop")
    assert daemon.process.wait(TIMEOUT) == 0
