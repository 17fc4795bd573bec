"""Figures of the daemon: calls from another process, submission, bursts, idle time."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.support.report import Figure, Report
from cosoc.cli.daemon_client import ask

TIMEOUT = 300
"""Of anything here, in s."""

SUBMISSIONS = 200
BURST = 10_000
IDLE_SECONDS = 3.0
IDLE_CLIENTS = 4


def add_figures(report: Report, build: Path) -> None:
    """Starts a daemon in mode functional and measures it.

    Raises:
        RuntimeError: it does not start, or an application failed.
    """
    with tempfile.TemporaryDirectory() as folder, _daemon(build, Path(folder)) as (socket, process):
        application = str(build / "lib" / "daemon_times.so")
        _add(report, _idle_percent(build, socket, process), "daemon_idle_cpu_percent", "%", 1.0, "CEDR 200: two cores poll")
        times = _measure(build, socket, "daemon-times")
        for name, peer in (("fft8", "CEDR 7.1"), ("fft1024", "CEDR 16.5")):
            goal = 4.0 if name == "fft8" else None
            figure = "daemon_call_p50_us" if name == "fft8" else "daemon_call_fft1024_p50_us"
            _add(report, times[name], figure, "us", goal, peer)
            _add(report, times[f"{name}_direct"], f"{figure.removesuffix('_p50_us')}_direct_p50_us", "us", None, None)
        starts = _measure(
            build, socket, "daemon-starts", SUBMISSIONS, application, build / "bin" / "cosoc-host", Path(folder) / "start"
        )
        peer = f"CEDR 8,800 to submit; started by itself {starts['started']:,.0f}"
        _add(report, starts["submitted"], "submit_to_start_p50_us", "us", 200.0, peer)
        _add(report, starts["submitted_after_rest"], "submit_to_start_after_20_ms_p50_us", "us", None, None)
        begin = time.monotonic()
        message = {"type": "submit", "kind": "so", "program": application, "arguments": ["/dev/null"], "count": BURST}
        result = ask(socket, {"type": "wait", "job": ask(socket, message)["job"]}, TIMEOUT)
        _add(report, BURST / (time.monotonic() - begin), "burst_10000_instances_per_second", "1/s", None, None, better="higher")
        _add(report, float(result["done"]), "burst_10000_completed", "", float(BURST), "CEDR ends at 500 to 2,000", better="higher")
        _add(report, _peak_mib(process.pid), "burst_10000_daemon_peak_mib", "MiB", None, None)


def _add(
    report: Report, value: float, name: str, unit: str, goal: float | None, peer: str | None, *, better: str = "lower"
) -> None:
    report.add(Figure(name=name, value=value, unit=unit, better=better, how="measured", goal=goal, peer=peer))


@contextmanager
def _daemon(build: Path, folder: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    socket = folder / "socket"
    line = [build / "bin" / "cosoc-daemon", "--soc", build, "--mode", "functional", "--socket", socket]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if not first.startswith("cosoc daemon"):
            raise RuntimeError(first.strip())
        yield socket, process
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _measure(build: Path, socket: Path, program: str, *arguments: object) -> dict[str, float]:
    """What a program prints that talks to the daemon."""
    line = [str(build / "bin" / program), *map(str, arguments)]
    environment = os.environ | {"COSOC_DAEMON": str(socket)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    times: dict[str, float] = json.loads(done.stdout)
    return times


def _idle_percent(build: Path, socket: Path, process: subprocess.Popen[str]) -> float:
    """CPU time of the daemon, of the processes that wait, and of some idle clients, of one core."""
    application = str(build / "lib" / "test_application.so")
    message = {"type": "submit", "kind": "so", "program": application, "arguments": ["sleep", "600"], "count": IDLE_CLIENTS}
    job = ask(socket, message)["job"]
    time.sleep(1.0)
    family = _family(process.pid)
    before = sum(map(_ticks, family))
    time.sleep(IDLE_SECONDS)
    used = (sum(map(_ticks, family)) - before) / os.sysconf("SC_CLK_TCK")
    ask(socket, {"type": "end", "job": job})
    return 100 * used / IDLE_SECONDS


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(member for child in children for member in _family(int(child)))]


def _ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _peak_mib(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
