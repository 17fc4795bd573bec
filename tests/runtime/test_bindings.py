"""The Python bindings, over the library of the build under test."""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from cosoc.runtime import CosocError, Session
from tests.daemon.support import wait_until, wakes


def write_bundle(folder: Path, size: int = 64) -> Path:
    """power(x * factor), complex64 (2, size) to float32."""
    rng = np.random.default_rng(3)
    factor = (rng.standard_normal((2, size)) + 1j * rng.standard_normal((2, size))).astype(np.complex64)
    weights = save({"factor": factor})
    graph: dict[str, Any] = {
        "schema": 1,
        "name": "product",
        "inputs": ["x"],
        "outputs": ["power"],
        "tensors": [
            {"name": "x", "dtype": "complex64", "shape": [2, size]},
            {"name": "factor", "dtype": "complex64", "shape": [2, size], "constant": True},
            {"name": "product", "dtype": "complex64", "shape": [2, size]},
            {"name": "power", "dtype": "float32", "shape": [2, size]},
        ],
        "nodes": [
            {
                "name": "zip",
                "op": "zip",
                "inputs": ["x", "factor"],
                "outputs": ["product"],
                "attributes": {"operation": "mul"},
                "devices": ["zip", "cpu"],
            },
            {
                "name": "square",
                "op": "magnitude_squared",
                "inputs": ["product"],
                "outputs": ["power"],
                "attributes": {},
                "devices": ["cpu"],
            },
        ],
        "weights": {"file": "weights.safetensors", "bytes": len(weights), "crc32": zlib.crc32(weights)},
    }
    (folder / "graph.json").write_text(json.dumps(graph))
    (folder / "weights.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def x() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(4)
    return (rng.standard_normal((2, 64)) + 1j * rng.standard_normal((2, 64))).astype(np.complex64)


def test_run_report_and_tensors(build: Path, tmp_path: Path, x: np.ndarray[Any, Any]) -> None:
    trace = tmp_path / "trace.json"
    with Session(soc=build, mode="functional", policy="HEFT_RT", trace=trace, keep_tensors=True) as session:
        model = session.load(write_bundle(tmp_path))
        (power,) = model.run({"x": x})
        product = model.tensor("product")
        factor = model.tensor("factor")
    np.testing.assert_allclose(product, x * factor, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(power, (product.real * product.real + product.imag * product.imag))
    report = model.report()
    assert [(task["name"], task["op"]) for task in report] == [("zip", "zip"), ("square", "magnitude_squared")]
    assert report[0]["end_ns"] <= report[1]["start_ns"]
    for task in report:
        assert (task["cycles"] > 0) == (task["commands"] > 0) == (not task["device"].startswith("cpu"))
    assert model.summary()["peak_memory_bytes"] > 4 * 2 * 64 * 8
    assert model.summary()["quarantined"] == []
    events = json.loads(trace.read_text())
    assert [event["name"] for event in events if event.get("cat") in ("zip", "magnitude_squared")] == ["zip", "square"]


def test_modes_give_equal_bits(build: Path, tmp_path: Path, x: np.ndarray[Any, Any]) -> None:
    bundle = write_bundle(tmp_path)
    results = []
    for mode, policy in (("cpu", "EFT"), ("functional", "EFT"), ("functional", "RR")):
        with Session(soc=build, mode=mode, policy=policy) as session:
            results.append(session.load(bundle).run([x])[0].tobytes())
    assert results[0] == results[1] == results[2]


def test_a_model_outlives_its_session(build: Path, tmp_path: Path, x: np.ndarray[Any, Any]) -> None:
    session = Session(soc=build, mode="functional")
    model = session.load(write_bundle(tmp_path))
    session.close()
    assert model.run([x])[0].shape == (2, 64)
    model.close()
    with pytest.raises(CosocError, match="model product is closed"):
        model.run([x])
    with pytest.raises(CosocError, match="session is closed"):
        session.load(tmp_path)


def test_wrong_inputs_are_named(build: Path, tmp_path: Path, x: np.ndarray[Any, Any]) -> None:
    with Session(soc=build, mode="functional") as session:
        model = session.load(write_bundle(tmp_path))
    with pytest.raises(CosocError, match=r"input x of graph product is complex64\[2, 64\]; given is complex64\[2, 63\]"):
        model.run([x[:, :63]])
    with pytest.raises(CosocError, match="given is float32"):
        model.run([x.real])
    with pytest.raises(CosocError, match="has the inputs x; given are z"):
        model.run({"z": x})
    with pytest.raises(CosocError, match=r"has 1 inputs \(x\); given are 2"):
        model.run([x, x])
    with pytest.raises(CosocError, match="no tensor nothing"):
        model.tensor("nothing")
    with pytest.raises(CosocError, match="keep_tensors"):
        model.tensor("product")


@pytest.mark.parametrize("mode", ["cpu", "functional"])
def test_an_idle_session_wakes_up_for_nothing(build: Path, tmp_path: Path, x: np.ndarray[Any, Any], mode: str) -> None:
    others = wakes([os.getpid()])
    with Session(soc=build, mode=mode, cpu_cores=2) as session, session.client() as client:
        session.load(write_bundle(tmp_path)).run([x])
        buffer = client.copy(x)
        client.prepare("zip", [buffer, buffer], [buffer], operation="add").submit([buffer, buffer], [buffer]).wait()

        def wakes_in_half_a_second() -> int:
            before = wakes([os.getpid()])
            time.sleep(0.5)
            after = wakes([os.getpid()])
            return sum(count - before.get(thread, 0) for thread, count in after.items() if thread not in others)

        assert mode == "functional" or len(wakes([os.getpid()])) > len(others)
        # What was begun before may go on first.
        wait_until(lambda: wakes_in_half_a_second() == 0)


def test_wrong_sessions_are_named(build: Path, tmp_path: Path) -> None:
    with pytest.raises(CosocError, match='no mode "fast"; there are cpu, rtl, functional, model, board'):
        Session(soc=build, mode="fast")
    with pytest.raises(
        CosocError, match='no scheduling policy "LIFO"; there are EFT, ENERGY, ETF, FAIR, HEFT, HEFT_RT, MET, RANDOM, RR, or'
    ):
        Session(soc=build, policy="LIFO")
    with pytest.raises(CosocError, match=r"no runtime library .*; build one with"):
        Session(soc=tmp_path)
    with pytest.raises(CosocError, match="which build of the runtime"):
        Session()
    with pytest.raises(CosocError, match="no device"):
        Session(soc=build, mode="cpu", cpu_cores=0)
    with pytest.raises(CosocError, match="cannot write the trace"):
        Session(soc=build, trace=tmp_path / "missing" / "trace.json")
    broken = tmp_path / "libcosoc.so"
    broken.write_text("not a library")
    with pytest.raises(CosocError, match="cannot load"):
        Session(soc=build, library=broken)


def test_a_broken_bundle_is_one_message(build: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    weights = bundle / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with Session(soc=build, mode="functional") as session, pytest.raises(CosocError, match="truncated or of another bundle"):
        session.load(bundle)
