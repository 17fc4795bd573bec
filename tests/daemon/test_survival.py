"""What one application does ends that application and nothing else."""

from __future__ import annotations

import os
import random
import signal
import socket
from pathlib import Path

import pytest

from cosoc.cli.daemon_client import ask
from cosoc.cli.errors import UserError
from tests.daemon.support import TIMEOUT, Daemon, wait_until


@pytest.mark.parametrize(
    ("behaviour", "report"),
    [
        (["crash"], "was ended by signal 11"),
        (["abort"], "was ended by signal 6"),
        (["crash-in-call"], "was ended by signal 9"),
        (["exit", "7"], "ended with status 7"),
    ],
)
def test_a_crash_or_exit_is_reported_and_nothing_else(daemon: Daemon, behaviour: list[str], report: str) -> None:
    other = daemon.submit("cpu", "20")
    result = daemon.run(*behaviour)
    assert (result["done"], result["failed"]) == (0, 1)
    assert report in result["report"]
    assert daemon.wait(other)["done"] == 1
    daemon.check()


def test_a_length_that_is_no_power_of_two(daemon: Daemon) -> None:
    assert daemon.run("odd-length")["done"] == 1
    job = daemon.submit("impossible")
    assert daemon.wait(job)["failed"] == 1
    assert "transforms a power of two" in daemon.log(job)
    daemon.check()


def test_a_call_from_a_thread_that_the_application_made(daemon: Daemon) -> None:
    assert daemon.run("thread")["done"] == 1


def test_a_call_that_no_device_can_run(daemon: Daemon) -> None:
    job = daemon.submit("no-device")
    assert daemon.wait(job)["failed"] == 1
    assert "no device can run it" in daemon.log(job)
    daemon.check()


def test_more_memory_than_there_is(daemon: Daemon) -> None:
    assert daemon.run("memory")["done"] == 1
    too_much = daemon.submit("tiny", memory=1 << 40)
    assert daemon.wait(too_much)["failed"] == 1
    assert "--memory-limit" in daemon.log(too_much)
    daemon.check()


def test_more_host_memory_than_it_may_have(daemon: Daemon) -> None:
    assert daemon.run("host-memory", str(100 << 20), host_memory=200 << 20)["done"] == 1
    assert "status 5" in daemon.run("host-memory", str(300 << 20), host_memory=200 << 20)["report"]
    daemon.check()


def test_of_what_is_printed_without_end_the_newest_part_is_kept(daemon: Daemon) -> None:
    lines = 300_000
    job = daemon.submit("print-much", str(lines))
    offset, text = 0, ""
    while True:  # as `cosoc logs --follow`
        part = ask(daemon.socket, {"type": "logs", "job": job, "offset": offset})
        offset, text = part["next"], text + part["text"]
        if part["ended"] and not part["text"]:
            break
    assert daemon.wait(job)["done"] == 1
    log = Path(f"{daemon.socket}.logs/job-{job}.log")
    assert log.stat().st_size == sum(len(f"line {i} of many\n") for i in range(lines))
    assert log.stat().st_blocks * 512 <= 200_000
    kept = daemon.log(job)
    assert text.endswith(f"line {lines - 1} of many\n")
    assert "\0" not in kept
    assert kept.splitlines()[1].endswith(" of many")
    daemon.check()


def test_a_hang_ends_at_its_time_limit(daemon: Daemon) -> None:
    result = daemon.run("hang", time_limit=0.2)
    assert "time limit" in result["report"]
    daemon.check()


def test_random_bytes_in_shared_memory(daemon: Daemon) -> None:
    job = daemon.submit("scribble", "50000", count=2)
    other = daemon.submit("any", "20")
    result = daemon.wait(job)
    assert result["failed"] == 2
    assert "was ended because it broke the protocol of the daemon" in result["report"]
    assert daemon.log(job).count("was ended because it broke the protocol of the daemon") == 2
    assert [item["job"] for item in daemon.state()["expelled"]].count(job) == 2
    assert daemon.wait(other)["done"] == 1
    daemon.check()


def test_a_stopped_process_keeps_no_core(daemon: Daemon) -> None:
    cores = daemon.state()["soc"]["cpu_cores"]
    holders = [daemon.start("occupy", "30") for _ in range(cores)]
    try:
        for holder in holders:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "occupying\n"
            os.kill(holder.pid, signal.SIGSTOP)
        # All cores are in hands that do not move.
        assert daemon.run("cpu", "5")["done"] == 1
        assert sum(client["overruns"] for client in daemon.state()["clients"]) >= 1
    finally:
        for holder in holders:
            holder.kill()
            holder.wait(TIMEOUT)
    daemon.check()


def test_messages_that_make_no_sense(daemon: Daemon) -> None:
    rng = random.Random(5)
    texts = [b"", b"{", b"[]", b"null", b'{"type": 3}', b'{"type": "none"}', b"\xff" * 100, b"[" * 100_000]
    texts += [b'{"type":"hello"}', b'{"type":"hello","protocol":1,"memory":-1,"weight":1e999,"name":[]}']
    texts += [b'{"type":"prepare","id":0}', b'{"type":"wait","job":99999}', b'{"type":"logs","job":1,"offset":-1}']
    texts += [b'{"type":"submit","kind":"so","program":"relative"}', b'{"type":"end","job":"x"}']
    texts += [rng.randbytes(rng.randrange(1, 2000)) for _ in range(200)]
    for text in texts:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(TIMEOUT)
            peer.connect(str(daemon.socket))
            peer.send(text)
            if rng.random() < 0.5:
                peer.shutdown(socket.SHUT_WR)
                peer.recv(1 << 17)
    daemon.check()


def test_a_client_that_sends_and_never_reads(daemon: Daemon) -> None:
    def send_much(peer: socket.socket) -> None:
        for _ in range(100_000):
            peer.send(b'{"type":"ps"}')

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(str(daemon.socket))
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_much(peer)
        daemon.check()


def test_submissions_that_cannot_work_are_refused(daemon: Daemon, tmp_path: Path) -> None:
    message = {"type": "submit", "kind": "so", "program": str(tmp_path / "none.so")}
    with pytest.raises(UserError, match="there is no application"):
        ask(daemon.socket, message)
    with pytest.raises(UserError, match="is no bundle"):
        ask(daemon.socket, message | {"kind": "bundle", "program": str(tmp_path)})
    with pytest.raises(UserError, match="1\\.\\."):
        daemon.submit("tiny", count=0)
    text = tmp_path / "text.so"
    text.write_text("no shared object")
    job: int = ask(daemon.socket, message | {"program": str(text)})["job"]
    assert "ended with status 127" in daemon.wait(job)["report"]
    daemon.check()


def test_memory_of_dead_clients_comes_back(daemon: Daemon) -> None:
    """Ten times the device memory, by clients that are killed while an accelerator works for them."""
    job = daemon.submit("crash-in-call", count=40, memory=64 << 20)
    assert daemon.wait(job)["failed"] == 40
    wait_until(lambda: daemon.state()["leaving"] == 0)
    assert daemon.run("accelerator", "1", memory=40 << 20)["done"] == 1
