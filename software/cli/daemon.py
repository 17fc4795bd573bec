"""`cosoc daemon`, `submit`, `ps`, `wait`, `logs`, `stop`, `device` and `trace daemon`: one SoC for many applications."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cosoc.cli import trace
from cosoc.cli.daemon_client import ask, socket_path
from cosoc.cli.errors import UserError
from cosoc.cli.run import DEADLINE_HELP, DEFAULT_SOC, POLICY_HELP, SEED_HELP
from cosoc.cli.tables import console

SocketOption = Annotated[Path | None, typer.Option("--socket", help="address of the daemon; default: COSOC_DAEMON, or your own")]

FOLLOW_PAUSE = 0.2
"""Between two looks at a log, in s."""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("daemon", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(daemon)
    app.command("submit", context_settings={"allow_interspersed_args": False})(submit)
    app.command("ps")(ps)
    app.command("wait")(wait)
    app.command("logs")(logs)
    app.command("stop")(stop)
    device = typer.Typer(help="Accelerators of a running daemon that leave and come back.", no_args_is_help=True)
    device.command("remove")(remove_device)
    device.command("add")(add_device)
    app.add_typer(device, name="device")
    trace.app.command("daemon")(daemon_trace)


def daemon(
    context: typer.Context,
    soc: Annotated[Path, typer.Option("--soc", help="directory of a build, with soc.json")] = DEFAULT_SOC,
    mode: Annotated[str, typer.Option(help="cpu, functional or rtl; board on a board")] = "functional",
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "EFT",
    socket: SocketOption = None,
) -> None:
    """Shares a SoC between applications until `cosoc stop`. More options: those of bin/cosoc-daemon, see its --help."""
    program = soc / "bin" / "cosoc-daemon"
    if not program.is_file():
        raise UserError(f"there is no {program}; build it with `./dev scons board=sim`, or give --soc the directory of a build")
    arguments = ["--soc", str(soc), "--mode", mode, "--policy", policy, "--socket", str(socket_path(socket)), *context.args]
    os.execv(program, [str(program), *arguments])


def submit(
    application: Annotated[Path, typer.Argument(help="shared object with a main, program, or bundle")],
    arguments: Annotated[list[str] | None, typer.Argument(help="of the application; of a bundle .npy files, its inputs")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="instances")] = 1,
    period: Annotated[float, typer.Option(min=0, help="seconds between instances")] = 0.0,
    poisson: Annotated[float, typer.Option(min=0, help="instances per second, at random times")] = 0.0,
    priority: Annotated[int, typer.Option(help="higher ones go first")] = 0,
    weight: Annotated[float, typer.Option(help="share among equal priorities")] = 1.0,
    memory: Annotated[int, typer.Option(min=0, help="bytes of device memory; the daemon's default when 0")] = 0,
    host_memory: Annotated[int, typer.Option(min=0, help="bytes of other memory; the daemon's default when 0")] = 0,
    time_limit: Annotated[float, typer.Option(min=0, help="of an instance, in seconds; then it is ended")] = 0.0,
    deadline: Annotated[float, typer.Option(min=0, help=DEADLINE_HELP)] = 0.0,
    seed: Annotated[int | None, typer.Option(min=1, help=SEED_HELP)] = None,
    wait_end: Annotated[bool, typer.Option("--wait", help="waits for the end, as `cosoc wait`")] = False,
    socket: SocketOption = None,
) -> None:
    """Starts an application under the daemon and prints the number of its job. Options come before the application."""
    path = socket_path(socket)
    kind, words = _kind(application), list(arguments or [])
    if kind == "bundle":
        words = [word for name in words for word in ("--input", str(Path(name).resolve()))]
    message = {
        "type": "submit",
        "kind": kind,
        "program": str(application.resolve()),
        "arguments": words,
        "folder": str(Path.cwd()),
        "count": count,
        "period": period,
        "rate": poisson,
        "priority": priority,
        "weight": weight,
        "memory": memory,
        "host_memory": host_memory,
        "time_limit": time_limit,
        "deadline": deadline,
        **({} if seed is None else {"seed": seed}),
    }
    job = ask(path, message)["job"]
    print(job, flush=True)
    if wait_end:
        wait(job, socket)


def _kind(application: Path) -> str:
    if application.is_dir():
        return "bundle"
    return "so" if application.suffix == ".so" else "program"


def ps(socket: SocketOption = None) -> None:
    """Shows the daemon's SoC, its applications and its jobs."""
    path = socket_path(socket)
    state = ask(path, {"type": "ps"})
    soc = state["soc"]
    names = ", ".join(item["name"] for item in soc["accelerators"]) or "no accelerator"
    console.print(f"daemon {state['process']} at {path}: mode {state['mode']}, {soc['cpu_cores']} CPU cores, {names}")
    for device in state["devices"]:
        if device["condition"] != "working":
            console.print(
                f"{device['condition']}: {device['name']}" + (f", {device['reason']}" if device["condition"] == "failed" else "")
            )
    for item in state["expelled"]:
        console.print(f"ended: {item['name']}, process {item['process']}, {item['report']}")
    console.print(_table("applications", state["clients"], CLIENT_COLUMNS))
    console.print(_table("jobs", state["jobs"], JOB_COLUMNS))


CLIENT_COLUMNS = ("process", "name", "job", "priority", "weight", "memory", "cores", "overruns", "calls")
"""Of `ps`, one row a process; `calls` are those on accelerators, `overruns` cores that were held too long."""

JOB_COLUMNS = ("job", "name", "priority", "count", "waiting", "running", "done", "failed", "report")
"""Of `ps`, one row a job; `report` is about the first instance that failed."""


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(str(row[name]) for name in columns))
    return table


def wait(
    job: Annotated[int | None, typer.Argument(help="number of a job; all jobs when absent")] = None,
    socket: SocketOption = None,
) -> None:
    """Waits for the end of a job; an error when an instance of it failed."""
    message = {"type": "wait"} if job is None else {"type": "wait", "job": job}
    answer = ask(socket_path(socket), message)
    jobs = answer["jobs"] if job is None else [answer]
    failed = [item for item in jobs if item["failed"]]
    for item in failed:
        print(
            f"cosoc: job {item['job']} ({item['name']}): {item['failed']} of {item['count']} instances failed; {item['report']};"
            f" what was printed: `cosoc logs {item['job']}`",
            file=sys.stderr,
        )
    if failed:
        sys.exit(1)


def logs(
    job: Annotated[int, typer.Argument(help="number of a job")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="until the job ends")] = False,
    socket: SocketOption = None,
) -> None:
    """Prints what the instances of a job printed."""
    path, offset = socket_path(socket), 0
    while True:
        part = ask(path, {"type": "logs", "job": job, "offset": offset})
        sys.stdout.write(part["text"])
        sys.stdout.flush()
        if part["next"] == offset:
            if part["ended"] or not follow:
                return
            time.sleep(FOLLOW_PAUSE)
        offset = part["next"]


def stop(
    job: Annotated[int | None, typer.Argument(help="number of a job; the daemon itself when absent")] = None,
    socket: SocketOption = None,
) -> None:
    """Ends a job, or the daemon with all its jobs."""
    path = socket_path(socket)
    if job is not None:
        ask(path, {"type": "end", "job": job})
        return
    process = ask(path, {"type": "ps"})["process"]
    ask(path, {"type": "stop"})
    # It ends its applications first.
    while Path(f"/proc/{process}").exists() and path.exists():
        time.sleep(0.01)


DeviceArgument = Annotated[str, typer.Argument(help="name of an accelerator, such as c2d0")]


def remove_device(device: DeviceArgument, socket: SocketOption = None) -> None:
    """Takes an accelerator out while applications run; returns when no call is left on it."""
    ask(socket_path(socket), {"type": "remove", "device": device})


def add_device(device: DeviceArgument, socket: SocketOption = None) -> None:
    """Resets an accelerator that failed or was removed, and gives it calls again."""
    ask(socket_path(socket), {"type": "add", "device": device})


def daemon_trace(
    output: Annotated[Path, typer.Argument(help="file to write")],
    socket: SocketOption = None,
) -> None:
    """Copies the trace of the running daemon: which application's calls ran on which accelerator, and on its cores."""
    state = ask(socket_path(socket), {"type": "ps"})
    if not state["trace"]:
        raise UserError("this daemon writes no trace; start it with --trace FILE")
    applications = sorted(Path(state["traces"]).glob("client-*.json"), key=lambda path: int(path.stem.partition("-")[2]))
    events = trace.merge(Path(state["trace"]), applications)
    try:
        output.write_text("[\n" + ",\n".join(json.dumps(event, separators=(",", ":")) for event in events) + "\n]\n")
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from error
