"""Applications written for CEDR: compiled as they are, run alone and as shared objects, compared with NumPy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cosoc.cli.trace import read_tasks
from tests.conftest import ROOT

Array = npt.NDArray[Any]
SOURCES = Path(__file__).parent / "cedr"
INCLUDE = ROOT / "runtime" / "cedr" / "include"

COMPLEX_INT = np.dtype([("im", "<i2"), ("re", "<i2")])


def run(
    command: Sequence[str | Path], expected: int = 0, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Runs a program that must end with this status."""
    words = [str(word) for word in command]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COSOC_")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=clean | dict(environment))
    assert done.returncode == expected, f"status {done.returncode}: {done.stderr}"
    return done


class Applications:
    """Compiles each application once in each form: a program, and a shared object that is not linked with any library of ours."""

    def __init__(self, build: Path, folder: Path) -> None:
        self.build = build
        self.folder = folder

    def compile(self, sources: Sequence[str], shared: bool = False) -> Path:
        target = self.folder / (Path(sources[0]).stem + (".so" if shared else ""))
        if target.exists():
            return target
        objects = []
        for source in sources:
            objects.append(self.folder / f"{source}{'.pic' if shared else ''}.o")
            compiler = ["g++", "-std=c++17"] if source.endswith(".cpp") else ["gcc", "-std=gnu11"]
            flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", f"-I{INCLUDE}"]
            run([*compiler, *flags, "-c", SOURCES / source, "-o", objects[-1]])
        library = self.build / "lib"
        link: list[str | Path] = ["-shared"] if shared else [f"-L{library}", f"-Wl,-rpath,{library}", "-lcosoc-cedr"]
        run(["g++", *objects, "-o", target, *link, "-lpthread", "-lm"])
        return target

    def command(self, *sources: str, shared: bool = False) -> list[str | Path]:
        """What starts the application."""
        target = self.compile(sources, shared)
        return [self.build / "bin" / "cosoc-host", target] if shared else [target]


@pytest.fixture(scope="module")
def applications(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Applications:
    return Applications(build, tmp_path_factory.mktemp("cedr"))


@pytest.fixture(params=["cpu", "functional", "shared"])
def setting(request: pytest.FixtureRequest, build: Path) -> tuple[bool, dict[str, str]]:
    """Whether the application is a shared object, and its environment."""
    if request.param == "functional":
        return False, {"COSOC_MODE": "functional", "COSOC_SOC": str(build), "COSOC_POLICY": "EFT"}
    return request.param == "shared", {}


Runner = Callable[..., bytes]


@pytest.fixture
def give(applications: Applications, setting: tuple[bool, dict[str, str]], tmp_path: Path) -> Runner:
    """Runs an application on arrays and returns what it wrote."""

    def work(sources: Sequence[str], arrays: Sequence[Array], *arguments: object) -> bytes:
        shared, environment = setting
        source, target = tmp_path / "in", tmp_path / "out"
        source.write_bytes(b"".join(array.tobytes() for array in arrays))
        done = run([*applications.command(*sources, shared=shared), source, target, *map(str, arguments)], environment=environment)
        assert done.stderr == ""
        return target.read_bytes()

    return work


class Reader:
    """Arrays one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, dtype: npt.DTypeLike, shape: int | tuple[int, ...]) -> Array:
        array = np.zeros(shape, dtype)
        head, self.data = self.data[: array.nbytes], self.data[array.nbytes :]
        return np.frombuffer(head, dtype).reshape(shape)

    def end(self) -> None:
        assert self.data == b""


def complexes(rng: np.random.Generator, *shape: int) -> Array:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def integers(rng: np.random.Generator, limit: int, *shape: int) -> Array:
    array = np.zeros(shape, COMPLEX_INT)
    for part in ("re", "im"):
        array[part] = rng.integers(-limit, limit, shape)
    return array


def wide(array: Array) -> Array:
    """Complex int16 as exact complex128."""
    return array["re"].astype(np.float64) + 1j * array["im"].astype(np.float64)


def parts(values: Array, convert: Callable[[Array], Array]) -> Array:
    """Complex numbers as complex int16, each part converted."""
    result = np.zeros(values.shape, COMPLEX_INT)
    result["re"], result["im"] = convert(values.real), convert(values.imag)
    return result


def wrap(values: Array) -> Array:
    return values.astype(np.int64).astype(np.int16)


def saturate(values: Array) -> Array:
    return np.clip(np.trunc(values), -32768, 32767).astype(np.int16)


def assert_close(found: Array, expected: Array, ulps: float = 16.0) -> None:
    assert float(np.linalg.norm(found - expected)) <= ulps * 2.0**-24 * float(np.linalg.norm(expected))


@pytest.mark.parametrize("n", [8, 100, 1024])
def test_transforms_of_any_length(give: Runner, n: int) -> None:
    rng = np.random.default_rng(n)
    x, xi = complexes(rng, n), integers(rng, 3000, n)
    results = Reader(give(["fft.c"], [x, xi], n))
    assert_close(results.take(np.complex64, n), np.fft.fft(x.astype(complex)))
    assert_close(results.take(np.complex64, n), x)
    for transform in (np.fft.fft, np.fft.ifft):
        found, exact = results.take(COMPLEX_INT, n), transform(wide(xi))
        # float32 near an integer may be cut off to its neighbour.
        for part, values in (("re", exact.real), ("im", exact.imag)):
            assert np.all(np.abs(found[part] - np.clip(np.trunc(values), -32768, 32767)) <= 1)
    assert_close(results.take(np.complex64, n), np.fft.fft(x.astype(complex)))
    results.end()


def test_zip(give: Runner) -> None:
    rng = np.random.default_rng(2)
    n = 333
    a, b = complexes(rng, n), complexes(rng, n)
    ai, bi = integers(rng, 32768, n), integers(rng, 300, n)
    bi[5] = (0, 0)
    results = Reader(give(["zip.c"], [a, b, ai, bi], n))
    x, y, xi, yi = a.astype(complex), b.astype(complex), wide(ai), wide(bi)
    quotient = np.divide(xi * yi.conj(), np.abs(yi) ** 2, out=np.zeros(n, complex), where=yi != 0)
    # Exact quotients of integers below 2^31 are far enough from integers, or exactly there.
    exact = [(xi + yi, wrap), (xi - yi, wrap), (xi * yi, wrap), (quotient, lambda v: wrap(np.trunc(v + np.sign(v) * 1e-9)))]
    for i, expected in enumerate([x + y, x - y, x * y, x / y, x * y]):
        assert_close(results.take(np.complex64, n), expected)
        values, convert = exact[i % 4 if i < 4 else 2]
        np.testing.assert_array_equal(results.take(COMPLEX_INT, n), parts(values, convert))
    assert_close(results.take(np.complex64, n), x * y)
    np.testing.assert_array_equal(results.take(COMPLEX_INT, n), parts(xi - yi, wrap))
    results.end()


@pytest.mark.parametrize(("rows", "depth", "columns"), [(4, 64, 4), (5, 3, 9)])
def test_matrices(give: Runner, rows: int, depth: int, columns: int) -> None:
    rng = np.random.default_rng(rows)
    a, b = complexes(rng, rows, depth), complexes(rng, depth, columns)
    ai, bi = integers(rng, 3000, rows, depth), integers(rng, 20, depth, columns)
    ai[0, 0] = (-32768, 32767)
    results = Reader(give(["matrices.cpp"], [a, b, ai, bi], rows, depth, columns))
    assert_close(results.take(np.complex64, (rows, columns)), a.astype(complex) @ b.astype(complex))
    np.testing.assert_array_equal(results.take(COMPLEX_INT, (rows, columns)), parts(wide(ai) @ wide(bi), saturate))
    for conjugate in (False, True):
        expected, exact = (np.conj(a), np.conj(wide(ai))) if conjugate else (a, wide(ai))
        np.testing.assert_array_equal(results.take(np.complex64, (depth, rows)), expected.T)
        np.testing.assert_array_equal(results.take(COMPLEX_INT, (depth, rows)), parts(exact.T, saturate))
    other, other_int = np.conj(a).T.reshape(rows, depth), parts(np.conj(wide(ai)).T, saturate).reshape(rows, depth)
    np.testing.assert_array_equal(results.take(np.complex64, (rows, depth)), a + other)
    np.testing.assert_array_equal(results.take(np.complex64, (rows, depth)), a - other)
    for values in (wide(ai) + wide(other_int), wide(ai) - wide(other_int)):
        np.testing.assert_array_equal(results.take(COMPLEX_INT, (rows, depth)), parts(values, wrap))
    results.end()


def test_symbols(give: Runner) -> None:
    rng = np.random.default_rng(6)
    n = 2000
    x = (rng.uniform(-1.5, 1.5, n) + 1j * rng.uniform(-1.5, 1.5, n)).astype(np.complex64)
    results = Reader(give(["symbols.c"], [x], n))
    np.testing.assert_array_equal(results.take(np.float32, n), np.where(x.real > 0, 1, -1).astype(np.float32))
    levels = np.array([-0.948683, -0.316228, 0.316228, 0.948683])
    points = (levels[:, None] + 1j * levels[None, :]).ravel()
    nearest = np.abs(x.astype(complex)[:, None] - points[None, :]).argmin(axis=1)
    np.testing.assert_array_equal(results.take(np.int32, n), nearest)
    results.end()


@pytest.mark.parametrize(("height", "width", "mask_size", "taps"), [(12, 17, 5, 7), (3, 4, 11, 4), (6, 5, 2, 1)])
def test_convolutions(give: Runner, height: int, width: int, mask_size: int, taps: int) -> None:
    rng = np.random.default_rng(height)
    image = rng.integers(-32768, 32768, (height, width)).astype(np.int16)
    mask = rng.standard_normal((mask_size, mask_size)).astype(np.float32)
    signal, sums = rng.standard_normal((2, width)).astype(np.float32)
    weights = rng.standard_normal(taps).astype(np.float32)
    results = Reader(give(["convolutions.c"], [image, mask, signal, weights, sums], height, width, mask_size, taps))
    expected = np.zeros((height, width), np.int16)
    half = mask_size // 2
    for i, j in np.ndindex(height, width):
        total = np.float32(0)
        for k, m in np.ndindex(mask_size, mask_size):
            s, w = i + k - half, j + m - half
            if 0 <= s < height and 0 <= w < width:
                total = np.float32(total + np.float32(np.float32(image[s, w]) * mask[k, m]))
        expected[i, j] = saturate(np.array(total))
    found = results.take(np.int16, (height, width))
    np.testing.assert_array_equal(found, expected)
    assert {-32768, 32767} <= set(found.ravel().tolist())
    for i in range(width):
        for j in range(taps):
            if 0 <= i - taps // 2 + j < width:
                sums[i] = np.float32(sums[i] + np.float32(signal[i - taps // 2 + j] * weights[j]))
    np.testing.assert_array_equal(results.take(np.float32, width), sums)
    results.end()


@pytest.mark.parametrize("held", [0, 1])
def test_a_batch_under_one_barrier(give: Runner, held: int) -> None:
    x = complexes(np.random.default_rng(9), 500, 16)
    found = np.frombuffer(give(["batch.c"], [x], 16, 500, held), np.complex64).reshape(x.shape)
    assert_close(found, np.fft.fft(x.astype(complex), axis=1))


def test_correlator_finds_the_lag(give: Runner) -> None:
    rng = np.random.default_rng(10)
    sent = complexes(rng, 256)
    echo = (np.roll(sent, 77) + 0.3 * complexes(rng, 256)).astype(np.complex64)
    assert give(["correlator.c"], [sent, echo], 256) == b"77\n"


@pytest.mark.parametrize("mode", ["functional", "rtl"])
def test_a_program_on_the_accelerators(applications: Applications, build: Path, tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(10)
    sent = complexes(rng, 256)
    source, target, trace = tmp_path / "in", tmp_path / "out", tmp_path / "trace.json"
    source.write_bytes(sent.tobytes() + np.roll(sent, 77).tobytes())
    # Cores that take no part leave all to the accelerators, as long as one can do it.
    environment = {"COSOC_MODE": mode, "COSOC_SOC": str(build), "COSOC_TRACE": str(trace), "COSOC_CPU_CORES": "0"}
    traces = []
    for _ in range(2):
        done = run([*applications.command("correlator.c"), source, target, "256"], environment=environment)
        assert (done.stderr, target.read_text()) == ("", "77\n")
        traces.append(trace.read_text())
    assert traces[0] == traces[1], "simulated time does not depend on the threads"
    events = [event for event in json.loads(traces[0]) if event.get("args", {}).get("cycles", 0) > 0]
    assert sorted(event["name"] for event in events) == ["DASH_FFT_flt"] * 3 + ["DASH_ZIP_flt"]


def test_calls_from_threads_of_the_application(give: Runner) -> None:
    x = complexes(np.random.default_rng(11), 6, 32)
    found = np.frombuffer(give(["threads.c"], [x]), np.complex64).reshape(x.shape)
    assert_close(found, x, ulps=400)


def test_several_translation_units(give: Runner) -> None:
    x = complexes(np.random.default_rng(12), 60)
    found = give(["units_main.c", "units_square.c", "units_spectrum.cpp"], [x], 60)
    assert_close(np.frombuffer(found, np.complex64), np.fft.fft(x.astype(complex) ** 2))


@pytest.mark.parametrize("source", ["barriers.c", "forks.c"])
def test_barriers_and_forks(applications: Applications, setting: tuple[bool, dict[str, str]], source: str) -> None:
    shared, environment = setting
    done = run(applications.command(source, shared=shared), environment=environment)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_every_call_and_its_twin_agree(applications: Applications, setting: tuple[bool, dict[str, str]]) -> None:
    shared, environment = setting
    done = run(applications.command("twins.c", shared=shared), environment=environment)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_calls_while_the_process_ends(applications: Applications, setting: tuple[bool, dict[str, str]]) -> None:
    shared, environment = setting
    done = run(applications.command("at_exit.cpp", shared=shared), expected=7, environment=environment)
    lines = dict(line.split() for line in done.stdout.splitlines())
    # A shared object that is loaded in main has its destructors run too.
    assert lines == {"main": "8", "handler": "8", "destructor": "8"}


def test_mistakes_are_reported_and_stop_nothing(applications: Applications, setting: tuple[bool, dict[str, str]]) -> None:
    shared, environment = setting
    done = run(applications.command("mistakes.c", shared=shared), environment=environment)
    assert done.stdout == "done\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    for line, words in zip(
        lines, ["DASH_FFT_flt: an input", "DASH_CONV_1D_flt: a size", "operation 9", "DASH_FFT_flt: "], strict=True
    ):
        assert line.startswith("cosoc: ")
        assert words in line


def test_a_program_that_never_calls_has_no_threads(applications: Applications) -> None:
    assert run(applications.command("silent.c")).stdout == "1 threads, 3 descriptors\n"
    assert run(applications.command("silent.c", shared=True)).stdout == "1 threads, 3 descriptors\n"


def test_a_wrong_environment_is_one_message_and_results_stay_right(applications: Applications, build: Path, tmp_path: Path) -> None:
    x = complexes(np.random.default_rng(9), 5, 16)
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(x.tobytes())
    for environment, message in (
        ({"COSOC_MODE": "fast"}, 'COSOC_MODE: no mode "fast"; there are cpu'),
        ({"COSOC_MODE": "functional"}, "needs the SoC"),
        ({"COSOC_POLICY": "LIFO"}, 'no scheduling policy "LIFO"'),
        ({"COSOC_CPU_CORES": "two"}, 'COSOC_CPU_CORES must be a number, not "two"'),
        ({"COSOC_SEED": "-1"}, 'COSOC_SEED must be a number of at least 0, not "-1"'),
        ({"COSOC_DEADLINE": "soon"}, 'COSOC_DEADLINE must be a number of seconds above 0, not "soon"'),
        ({"COSOC_DEADLINE": "0"}, "the deadline must be above 0, not 0 ns"),
    ):
        target.unlink(missing_ok=True)
        done = run([*applications.command("batch.c"), source, target, "16", "5", "1"], environment=environment)
        assert done.stderr.count("\n") == 1
        assert message in done.stderr
        found = np.frombuffer(target.read_bytes(), np.complex64).reshape(x.shape)
        assert_close(found, np.fft.fft(x.astype(complex), axis=1))


def test_the_deadline_of_the_environment_reaches_the_policy(applications: Applications, build: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(5 * 16 * 8))
    trace = tmp_path / "trace.json"

    def devices(**more: str) -> set[str]:
        environment = {"COSOC_MODE": "functional", "COSOC_SOC": str(build), "COSOC_TRACE": str(trace), "COSOC_CPU_CORES": "1"}
        command = [*applications.command("batch.c"), tmp_path / "x", tmp_path / "y", "16", "5", "1"]
        run(command, environment=environment | {"COSOC_POLICY": "ENERGY"} | more)
        return {task["device"] for task in read_tasks(trace)}

    # Less energy on the core, and less time on both than on the core alone.
    assert devices() == devices(COSOC_DEADLINE="1") == {"cpu0"}
    assert devices(COSOC_DEADLINE="0.000001") == {"cpu0", "fft0"}


def test_the_host_refuses_what_it_cannot_run(build: Path, tmp_path: Path) -> None:
    host = build / "bin" / "cosoc-host"
    assert "usage" in run([host], expected=2).stderr
    assert "missing.so" in run([host, tmp_path / "missing.so"], expected=127).stderr
    empty = tmp_path / "empty.so"
    run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", empty])
    assert "has no main" in run([host, empty], expected=127).stderr
