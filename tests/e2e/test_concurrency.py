"""Several accelerators of one SoC in mode rtl: they compute at the same time, on one memory, and the same way in every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosoc.cli.trace import read_tasks
from cosoc.runtime import Client, Session

ROWS, POINTS = 16, 256
"""Of signals; long enough for calls to overlap whatever the order in which they start."""


class Program:
    """A convolution, a transform and a product of its own operands each."""

    def __init__(self, client: Client) -> None:
        rng = np.random.default_rng(5)

        def signal() -> np.ndarray[Any, Any]:
            return (rng.standard_normal((ROWS, POINTS)) + 1j * rng.standard_normal((ROWS, POINTS))).astype(np.complex64)

        self.client = client
        self.x = client.copy(signal())
        self.spectrum = client.empty((ROWS, POINTS), np.complex64)
        self.a, self.b = client.copy(signal()), client.copy(signal())
        self.product = client.empty((ROWS, POINTS), np.complex64)
        self.image = client.copy(rng.integers(-128, 128, (1, 16, 16, 16)).astype(np.int8), scale=0.5)
        self.weights = client.copy(rng.integers(-127, 128, (16, 3, 3, 16)).astype(np.int8))
        self.bias = client.copy(rng.integers(-1000, 1000, 16).astype(np.int32))
        self.factors = client.copy(np.full(16, 0.002, np.float32))
        self.pixels = client.empty((1, 16, 16, 16), np.int8, scale=0.5)
        self.calls = {
            "c2d": (
                client.prepare(
                    "conv2d",
                    [self.image, self.weights, self.bias, self.factors],
                    [self.pixels],
                    devices=["c2d"],
                    stride=[1, 1],
                    padding=[1, 1, 1, 1],
                    dilation=[1, 1],
                    groups=1,
                    clamp=[-128, 127],
                ),
                [self.image, self.weights, self.bias, self.factors],
                [self.pixels],
            ),
            "fft": (
                client.prepare("fft", [self.x], [self.spectrum], devices=["fft"], direction="forward"),
                [self.x],
                [self.spectrum],
            ),
            "zip": (
                client.prepare("zip", [self.a, self.b], [self.product], devices=["zip"], operation="mul"),
                [self.a, self.b],
                [self.product],
            ),
        }

    def submit(self, kinds: list[str]) -> None:
        """Submits one call of each kind, then waits for all."""
        for kind in kinds:
            call, inputs, outputs = self.calls[kind]
            call.submit(inputs, outputs)
        self.client.wait()


def run(build: Path, trace: Path, kinds: list[str], mode: str = "rtl") -> dict[str, dict[str, Any]]:
    """Tasks by the kinds of their devices, of two rounds the second one, in which programs are compiled already."""
    with Session(soc=build, mode=mode, trace=trace) as session, session.client() as client:
        program = Program(client)
        for _ in range(2):
            program.submit(kinds)
        expected = np.fft.fft(program.x.array.astype(complex), axis=1)
        if "fft" in kinds:
            np.testing.assert_allclose(program.spectrum.array, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())
        if "zip" in kinds:
            np.testing.assert_allclose(program.product.array, program.a.array * program.b.array, rtol=1e-4, atol=1e-3)
        del program
    return {task["device"][:-1]: task for task in read_tasks(trace)}


@pytest.fixture(scope="module")
def together(build: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return run(build, tmp_path_factory.mktemp("trace") / "trace.json", ["c2d", "fft", "zip"])


def test_accelerators_compute_at_the_same_time(together: dict[str, dict[str, Any]]) -> None:
    assert sorted(together) == ["c2d", "fft", "zip"]
    starts = [task["start_us"] for task in together.values()]
    ends = [task["end_us"] for task in together.values()]
    assert max(starts) < min(ends), together


@pytest.mark.parametrize("kind", ["c2d", "fft", "zip"])
def test_they_share_one_memory(build: Path, tmp_path: Path, together: dict[str, dict[str, Any]], kind: str) -> None:
    """A call moves the same data alone, and takes no longer; the product, which computes least for its data, less long."""
    alone = run(build, tmp_path / "trace.json", [kind])[kind]
    for counter in ("beats_read", "beats_written", "commands"):
        assert alone[counter] == together[kind][counter]
    assert alone["cycles"] <= together[kind]["cycles"]
    assert kind != "zip" or alone["cycles"] < together[kind]["cycles"]


@pytest.mark.parametrize("mode", ["rtl", "functional"])
def test_equal_runs_give_equal_traces(build: Path, tmp_path: Path, mode: str) -> None:
    texts = []
    for _ in range(2):
        run(build, tmp_path / "trace.json", ["c2d", "fft", "zip"], mode)
        texts.append((tmp_path / "trace.json").read_text())
    assert texts[0] == texts[1]
