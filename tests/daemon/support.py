"""A daemon of a test, and applications under it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosoc.cli.daemon_client import ask

TIMEOUT = 120
"""Of everything that a test waits for, in s."""


def wait_until(condition: Callable[[], Any]) -> None:
    """Asks again and again; fails after TIMEOUT."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def has_loaded(process: int, file: str) -> bool:
    """Whether a file is mapped in a process; not in one that is gone, which a waiting one may be as soon as it was named."""
    try:
        return file in Path(f"/proc/{process}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wakes(processes: Iterable[int]) -> dict[tuple[int, str], int]:
    """How often each thread of these processes has waited for something until now; without those that are gone."""
    result = {}
    for process in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    fields = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
                    result[process, thread.name] = int(fields["voluntary_ctxt_switches"])
    return result


@dataclass
class Daemon:
    """A running daemon."""

    build: Path
    socket: Path
    process: subprocess.Popen[str]

    @property
    def application(self) -> Path:
        """The shared object of tests/daemon/application.cpp."""
        return self.build / "lib" / "test_application.so"

    @property
    def program(self) -> Path:
        """The same as a program."""
        return self.build / "bin" / "test-application"

    def submit(self, *arguments: str, **more: Any) -> int:
        """Submits the application; its job."""
        message = {"type": "submit", "kind": "so", "program": str(self.application), "arguments": list(arguments), **more}
        job: int = ask(self.socket, message)["job"]
        return job

    def wait(self, job: int) -> dict[str, Any]:
        """What became of a job."""
        return ask(self.socket, {"type": "wait", "job": job}, TIMEOUT)

    def run(self, *arguments: str, **more: Any) -> dict[str, Any]:
        """Submits and waits."""
        return self.wait(self.submit(*arguments, **more))

    def log(self, job: int) -> str:
        """What the job printed."""
        text: str = ask(self.socket, {"type": "logs", "job": job})["text"]
        return text

    def clients(self, job: int) -> list[dict[str, Any]]:
        """What `ps` says of a job's processes; of job 0 are those that no job has, waiting ones among them."""
        return [client for client in self.state()["clients"] if client["job"] == job]

    def state_of(self, job: int) -> dict[str, Any]:
        """What `ps` says of a job."""
        return next(item for item in self.state()["jobs"] if item["job"] == job)

    def state(self) -> dict[str, Any]:
        """As `cosoc ps` asks for it."""
        return ask(self.socket, {"type": "ps"})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """An application that is not the daemon's child."""
        environment = os.environ | {"COSOC_DAEMON": str(self.socket)}
        return subprocess.Popen([self.program, *arguments], env=environment, stdout=subprocess.PIPE, text=True)

    def check(self) -> None:
        """The daemon serves others rightly: on a core, and on an accelerator if there is one."""
        assert self.process.poll() is None
        behaviours = ["cpu", "accelerator"] if self.state()["soc"]["accelerators"] else ["cpu"]
        for behaviour in behaviours:
            job = self.submit(behaviour, "3")
            result = self.wait(job)
            assert result["done"] == 1, (result["report"], self.log(job))


def command_line(build: Path, socket: Path, *arguments: str, mode: str = "functional") -> list[str]:
    """Of a daemon."""
    return [str(build / "bin" / "cosoc-daemon"), "--soc", str(build), "--mode", mode, "--socket", str(socket), *arguments]


@contextmanager
def running(build: Path, folder: Path, *arguments: str, mode: str = "functional") -> Iterator[Daemon]:
    """A daemon that ends with the block."""
    socket = folder / "socket"
    with serving(command_line(build, socket, *arguments, mode=mode), build, socket) as daemon:
        yield daemon


@contextmanager
def serving(command: list[str], build: Path, socket: Path) -> Iterator[Daemon]:
    """The same, by a command line of the caller's."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("cosoc daemon at"), line + process.stdout.read()
        yield Daemon(build, socket, process)
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
