"""`cosoc trace convert`: a trace of the runtime as a table (CSV) or as the graph of its tasks (DOT)."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from cosoc.cli.errors import UserError

app = typer.Typer(help="Traces that `cosoc run --trace` and sessions write.", no_args_is_help=True)

COLUMNS = (
    "id name op application device submit_us ready_us start_us end_us expected_end_us choices queued lent cycles commands "
    "cycles_starved cycles_blocked beats_read beats_written failed next reason"
).split()
"""Of the table: one row a task, in the order in which they ended. Empty where a task has no such thing."""


@app.callback()
def _group() -> None:
    """Keeps `convert` a command of its own."""


@app.command("convert")
def convert(
    trace: Annotated[Path, typer.Argument(help="trace, also of a process that was killed")],
    to: Annotated[str, typer.Option(help="csv: a table of all tasks; dot: their graph, for Graphviz")] = "csv",
    output: Annotated[Path | None, typer.Option(help="file to write; standard output when absent")] = None,
) -> None:
    """Converts a trace."""
    if to not in WRITERS:
        raise UserError(f"cannot convert a trace to {to!r}; there are {', '.join(WRITERS)}")
    # Read before the output is opened: a bad trace leaves what is there.
    rows = list(read_tasks(trace))
    with ExitStack() as stack:
        try:
            stream: TextIO = sys.stdout if output is None else stack.enter_context(output.open("w", newline=""))
        except OSError as error:
            raise UserError(f"cannot write {output}: {error.strerror}") from error
        WRITERS[to](rows, stream)


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events of a trace, a line each; a last line that was cut off by a crash is left out.

    Raises:
        UserError: the file cannot be read, or is no trace of the runtime.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if file.readline().rstrip() != "[":
                raise UserError(f"{path} is no trace of cosoc: its first line is not '['")
            torn = 0
            for number, line in enumerate(file, start=2):
                if torn:
                    raise UserError(f"{path}, line {torn}: no event of a trace; the file is damaged")
                text = line.rstrip().rstrip(",")
                if text in ("", "]"):
                    continue
                try:
                    yield json.loads(text)
                except json.JSONDecodeError:
                    torn = number
    except OSError as error:
        raise UserError(f"cannot read the trace {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no trace of cosoc: it is no text") from error


def read_tasks(path: Path) -> Iterator[dict[str, Any]]:
    """Tasks of a trace, by `COLUMNS`; those without a value are absent. Times in us since the session was opened.

    Raises:
        UserError: as of `read_events`.
    """
    devices: dict[tuple[int, int], str] = {}
    for event in read_events(path):
        if event["ph"] == "M" and event["name"] == "thread_name":
            devices[event["pid"], event["tid"]] = event["args"]["name"]
        if event["ph"] != "X" or event["cat"] == "policy":
            continue
        end = round(event["ts"] + event["dur"], 3)
        place = {
            "name": event["name"],
            "op": event["cat"],
            "device": devices[event["pid"], event["tid"]],
            "start_us": event["ts"],
            "end_us": end,
        }
        yield place | event["args"]


def merge(daemon: Path, applications: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Events of a daemon's trace, and of its applications those of CPU cores: the daemon has the others. Each application that
    ran anything is a process of its own in the trace; times are the daemon's.

    Raises:
        UserError: as of `read_events`.
    """
    begin, last = 0, 0
    for event in read_events(daemon):
        begin = event["args"].get("monotonic_ns", begin)
        last = max(last, event["args"].get("id", 0))
        yield event
    # Above all numbers of tracks: the Perfetto UI calls a track with the number of its process the main thread.
    for process, path in enumerate(applications, start=1000):
        events = list(read_events(path))
        cores = {
            event["tid"]
            for event in events
            if event["name"] == "thread_name" and event["args"]["name"].startswith("cpu") and event["ph"] == "M"
        }
        tasks = [event for event in events if event["ph"] == "X" and event["cat"] != "policy" and event["tid"] in cores]
        if not tasks:
            continue
        start = next(event["args"] for event in events if event["name"] == "start" and event["ph"] == "M")
        shift = (start["monotonic_ns"] - begin) / 1000
        title = f"{tasks[0]['args']['application']}, process {start['process']}"
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": title}}
        for event in events:
            if event["ph"] == "M" and event.get("tid") in cores:
                yield event | {"pid": process}
        for event in tasks:
            yield _moved(event, process, shift, last)
        last += max(event["args"]["id"] for event in tasks)


def _moved(event: dict[str, Any], process: int, shift: float, first: int) -> dict[str, Any]:
    """A task in the trace of several processes: times later by `shift` us, numbers higher by `first`."""
    values = dict(event["args"])
    for name in ("submit_us", "ready_us", "expected_end_us"):
        if name in values:
            values[name] = round(values[name] + shift, 3)
    values["id"] += first
    if "next" in values:
        values["next"] = [number + first for number in values["next"]]
    return event | {"pid": process, "ts": round(event["ts"] + shift, 3), "args": values}


def write_csv(tasks: list[dict[str, Any]], stream: TextIO) -> None:
    """One row a task; `next` has the numbers of the tasks that waited for it, with spaces between."""
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for task in tasks:
        writer.writerow(task | {"next": " ".join(map(str, task.get("next", [])))})


def write_dot(tasks: list[dict[str, Any]], stream: TextIO) -> None:
    """A node for each task, with its device and time; an edge to each that waited for it."""
    # A task that was tried on a device that failed is there twice: its last place counts.
    by_id = {task["id"]: task for task in tasks}
    stream.write('digraph trace {\n  rankdir=LR;\n  node [shape=box, fontname="sans-serif"];\n')
    for number, task in by_id.items():
        duration = task["end_us"] - task["start_us"]
        label = "\\n".join((_escape(task["name"]), _escape(task["device"]), f"{duration:.3f} us"))
        stream.write(f'  t{number} [label="{label}"];\n')
    for number, task in by_id.items():
        for following in task.get("next", []):
            if following in by_id:
                stream.write(f"  t{number} -> t{following};\n")
    stream.write("}\n")


def _escape(text: str) -> str:
    """Text within a quoted label of DOT."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


WRITERS: dict[str, Callable[[list[dict[str, Any]], TextIO], None]] = {"csv": write_csv, "dot": write_dot}
"""By the name of the format."""
