"""Traces from outside the process: after a kill, and converted to other formats."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cosoc.cli.main import main
from cosoc.cli.trace import read_events
from cosoc.runtime import Session
from tests.runtime.trace_format import check_format

ENDLESS = """
import sys
import numpy as np
from cosoc.runtime import Session
with Session(soc=sys.argv[1], mode="functional", trace=sys.argv[2]) as session:
    model = session.load(sys.argv[1] + "/bundle")
    x = np.zeros(model.tensors[model.inputs[0]]["shape"], np.float32)
    while True:
        model.run([x])
        print("run", flush=True)
"""
"""A program that never ends by itself."""


@pytest.fixture(scope="module")
def killed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of a process that was killed while it ran, at least three runs after its start."""
    path = tmp_path_factory.mktemp("trace") / "trace.json"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, build, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "run\n"
    time.sleep(0.05)
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    process.stdout.close()
    return path


def cosoc(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Status of a call of the command line."""
    monkeypatch.setattr(sys, "argv", ["cosoc", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def table(monkeypatch: pytest.MonkeyPatch, trace: Path) -> list[dict[str, str]]:
    output = trace.with_suffix(".csv")
    assert cosoc(monkeypatch, "trace", "convert", trace, "--output", output) == 0
    with output.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_closed_session_has_written_its_trace(build: Path, tmp_path: Path) -> None:
    """Also when a client is left, and nothing has run since that would have written what came before."""
    trace = tmp_path / "trace.json"
    with Session(soc=build, mode="cpu", trace=trace) as session:
        client = session.client()
        x = client.copy(np.ones((4, 64), np.complex64))
        client.prepare("fft", [x], [x], direction="forward").run([x], [x])
    assert [event["cat"] for event in json.loads(trace.read_text()) if event["ph"] == "X"] == ["fft"]
    client.close()


def test_the_trace_of_a_killed_process_has_its_tasks(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = killed.read_text()
    # The format lets the bracket be absent.
    events = json.loads(text if text.endswith("]\n") else text + "]")
    rows = table(monkeypatch, killed)
    assert len(rows) == sum(event["ph"] == "X" and event["cat"] != "policy" for event in events)
    names = {row["name"] for row in rows}
    assert len(rows) >= 3 * len(names) > 0
    by_id = {row["id"]: row for row in rows}
    for row in rows:
        assert float(row["submit_us"]) <= float(row["ready_us"]) <= float(row["start_us"]) < float(row["end_us"])
        assert bool(row["cycles"]) == (not row["device"].startswith("cpu"))
        for following in row["next"].split():
            if following in by_id:
                assert float(by_id[following]["ready_us"]) >= float(row["end_us"])


def test_the_trace_of_a_killed_process_keeps_the_format(killed: Path) -> None:
    check_format(list(read_events(killed)))


@pytest.mark.parametrize("mode", ["cpu", "functional"])
def test_a_trace_of_several_threads_keeps_the_format(build: Path, tmp_path: Path, mode: str) -> None:
    """Each device has a track on which nothing overlaps: what is lent to callers, what the scheduler placed, and models."""
    trace = tmp_path / "trace.json"
    with Session(soc=build, mode=mode, cpu_cores=2, trace=trace) as session:
        model = session.load(build / "bundle")
        image = np.zeros(model.tensors[model.inputs[0]]["shape"], np.float32)

        def compute() -> None:
            with session.client() as client:
                x = client.copy(np.ones((4, 64), np.complex64))
                call = client.prepare("fft", [x], [x], direction="forward")
                for _ in range(50):
                    call.run([x], [x])
                    for future in [call.submit([x], [x]) for _ in range(3)]:
                        future.wait()

        threads = [threading.Thread(target=compute) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            model.run([image])
        for thread in threads:
            thread.join()
        model.close()
    events = list(read_events(trace))
    assert sum(event["ph"] == "X" and event["cat"] == "fft" for event in events) == 3 * 50 * 4
    check_format(events)


def test_a_torn_last_line_is_left_out_and_damage_is_refused(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = killed.read_text().splitlines(keepends=True)
    whole = [line for line in lines if line.startswith("{")]
    torn = tmp_path / "torn.json"
    torn.write_text("[\n" + "".join(whole[:60]) + whole[60][:20])
    rows = table(monkeypatch, torn)
    assert rows == table(monkeypatch, killed)[: len(rows)]
    assert len(rows) == sum('"ph":"X"' in line and '"cat":"policy"' not in line for line in whole[:60])
    torn.write_text("[\n" + whole[0] + whole[1][:20] + "\n" + whole[2])
    assert cosoc(monkeypatch, "trace", "convert", torn) == 1
    assert "line 3: no event of a trace" in capsys.readouterr().err


def test_the_graph_has_the_models_edges(killed: Path, build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = killed.with_suffix(".dot")
    assert cosoc(monkeypatch, "trace", "convert", killed, "--to", "dot", "--output", output) == 0
    text = output.read_text()
    labels = dict(re.findall(r'^  (t\d+) \[label="(.*?)\\n', text, re.MULTILINE))
    edges = {(labels[a], labels[b]) for a, b in re.findall(r"^  (t\d+) -> (t\d+);$", text, re.MULTILINE)}
    graph = json.loads((build / "bundle" / "graph.json").read_text())
    producers = {tensor: node["name"] for node in graph["nodes"] for tensor in node["outputs"]}
    expected = {(producers[t], node["name"]) for node in graph["nodes"] for t in node["inputs"] if t in producers}
    assert edges == expected


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"[\n\xff\xfe")
    for words, message in (
        ([tmp_path / "none.json"], "cannot read the trace"),
        ([other], "is no trace of cosoc"),
        ([binary], "is no trace of cosoc"),
        ([other, "--to", "xml"], "cannot convert a trace to 'xml'; there are csv, dot"),
    ):
        assert cosoc(monkeypatch, "trace", "convert", *words) == 1
        assert message in capsys.readouterr().err
