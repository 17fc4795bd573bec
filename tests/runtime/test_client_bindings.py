"""Calls of clients, models on torch tensors, and misuse, through the Python bindings."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cosoc.runtime import Client, CosocError, Session, TaskGraph
from tests.conftest import ROOT
from tests.runtime.test_bindings import write_bundle

RNG = np.random.default_rng(7)


def random_complex(*shape: int) -> np.ndarray[Any, Any]:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


@pytest.fixture(params=["cpu", "functional"])
def client(request: pytest.FixtureRequest, build: Path) -> Iterator[Client]:
    with Session(soc=build, mode=request.param, cpu_cores=2) as session, session.client("test") as opened:
        yield opened


def test_kernels_on_views_of_device_memory(client: Client) -> None:
    x, y, z = client.copy(random_complex(4, 256)), client.empty((4, 256), np.complex64), client.empty((4, 256), np.complex64)
    assert np.shares_memory(x.array, x.array)
    assert not y.array.any()
    forward = client.prepare("fft", [x], [y], direction="forward")
    square = client.prepare("zip", [y, y], [z], operation="mul", name="square")
    first = forward.submit([x], [y])
    second = square.submit([y, y], [z], after=[first])
    second.wait()
    assert first.done
    expected = np.fft.fft(x.array.astype(complex), axis=1)
    np.testing.assert_allclose(y.array, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(z.array, expected**2, rtol=1e-4, atol=1e-2)
    forward.run([x], [z])
    np.testing.assert_array_equal(y.array, z.array)
    assert client.now_ns > 0


def test_matrices_and_feature_maps(client: Client) -> None:
    a, b = client.copy(RNG.standard_normal((5, 7)).astype(np.float32)), client.copy(RNG.standard_normal((7, 3)).astype(np.float32))
    c = client.empty((5, 3))
    client.prepare("gemm", [a, b], [c]).run([a, b], [c])
    np.testing.assert_allclose(c.array, a.array @ b.array, rtol=1e-5, atol=1e-5)

    values = RNG.integers(-128, 128, (2, 4, 6, 3)).astype(np.int8)
    image, pooled = client.copy(values, scale=0.5), client.empty((2, 2, 3, 3), np.int8, scale=0.5)
    np.testing.assert_array_equal(image.array, values)
    assert image.array.strides == (4 * 6 * 16, 6 * 16, 16, 1)
    client.prepare("max_pool2d", [image], [pooled], kernel=[2, 2], stride=[2, 2], padding=[0, 0, 0, 0]).run([image], [pooled])
    np.testing.assert_array_equal(pooled.array, values.reshape(2, 2, 2, 3, 2, 3).max(axis=(2, 4)))


def test_torch_tensors_share_the_memory(client: Client) -> None:
    device = client.copy(torch.arange(8, dtype=torch.float32))
    device.tensor[3] = 70.0
    assert device.array[3] == 70.0
    mine = torch.arange(64, dtype=torch.float32)
    wrapped = client.wrap(mine)
    assert wrapped.array.ctypes.data == mine.data_ptr()
    double = client.prepare("zip", [wrapped, wrapped], [wrapped], operation="add")
    double.run([wrapped, wrapped], [wrapped])
    assert torch.equal(mine, 2 * torch.arange(64, dtype=torch.float32))


@pytest.mark.parametrize(
    ("session_wide", "own", "on_core"), [(None, None, True), (None, 1e-6, False), (1e-6, None, False), (1e-6, 1.0, True)]
)
def test_the_deadline_of_a_client_reaches_the_policy(
    build: Path, session_wide: float | None, own: float | None, on_core: bool
) -> None:
    with (
        Session(soc=build, policy="ENERGY", cpu_cores=1, deadline=session_wide) as session,
        session.client(deadline=own) as client,
    ):
        x, y = client.copy(random_complex(1, 1024)), client.empty((1, 1024), np.complex64)
        client.prepare("fft", [x], [y], devices=["fft"], direction="forward").run([x], [y])
        # Half as long again on a core, which takes less than two thirds of the power: 1 us and 0.6 operations in a ns.
        operations = int((1.5 * client.now_ns - 1000) * 0.6)
        ran: list[bool] = []
        kernel = client.kernel(
            lambda x, y: ran.append(True),
            [x],
            [y],
            operations=operations,
            accelerators={"fft": {"kernel": "fft", "direction": "forward"}},
        )
        for _ in range(2):
            kernel.submit([x], [y]).wait()
        graph = TaskGraph(client)
        graph.add("only", kernel, [x], [y])
        graph.run()
        assert ran == [True] * 3 * on_core


def test_the_deadline_of_a_model_reaches_the_policy(build: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, 8)

    def device(policy: str, **options: Any) -> str:
        with Session(soc=build, mode="model", policy=policy, cpu_cores=1) as session:
            model = session.load(bundle, **options)
            model.run([random_complex(2, 8)])
            return model.report()[0]["device"]

    # The product takes less energy on the core, and less time on the accelerator.
    assert device("EFT") == device("ENERGY", deadline=1e-6) == "zip0"
    assert device("ENERGY") == device("ENERGY", deadline=1.0) == "cpu0"


def test_deadlines_seeds_and_weights_that_make_no_sense(build: Path) -> None:
    with pytest.raises(CosocError, match="a seed is a number of 1"):
        Session(soc=build, seed=0)
    with Session(soc=build, mode="model") as session:
        for deadline in (0, -1.0, float("nan"), 1e9):
            with pytest.raises(CosocError, match="a deadline is a number of seconds above 0"):
                session.client(deadline=deadline)
        with pytest.raises(CosocError, match="weight of a model must be above 0"):
            session.load(build / "bundle", weight=0)


def test_the_seed_of_a_session_reaches_the_policy(build: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    def trace(seed: int) -> None:
        with Session(soc=build, mode="model", policy="RANDOM", seed=seed, trace=path) as session, session.client() as client:
            x = client.empty((1, 256), np.complex64)
            call = client.prepare("fft", [x], [x], direction="forward")
            for _ in range(20):
                call.submit([x], [x])
            client.wait()

    texts = []
    for seed in (1, 1, 2):
        trace(seed)
        texts.append(path.read_text())
    assert texts[0] == texts[1] != texts[2]


def test_views_outlive_everything_else(build: Path) -> None:
    with Session(soc=build, mode="cpu") as session:
        client = session.client()
        x = client.copy(np.arange(1000, dtype=np.float32))
        view, part = x.array, x.array[5:10]
        x.close()
        with pytest.raises(CosocError, match=r"device array float32\[1000\] is closed"):
            _ = x.array
        client.close()
    del client, session, x
    gc.collect()
    view[7] = -1
    assert part.tolist() == [5, 6, -1, 8, 9]


def test_memory_comes_back(build: Path) -> None:
    with Session(soc=build, mode="cpu", memory_bytes=1 << 20) as session:
        client = session.client()
        for _ in range(40):
            client.empty(1 << 16).array[0] = 1
        kept = [client.empty(1 << 16) for _ in range(3)]
        with pytest.raises(CosocError, match="device memory: 262144 bytes asked for"):
            kept += [client.empty(1 << 16) for _ in range(2)]


def test_python_kernels(client: Client) -> None:
    x, y = client.copy(np.arange(10, dtype=np.float32)), client.empty(10)
    seen: list[tuple[bool, bool]] = []

    def cube(a: Any, out: Any) -> None:
        seen.append((a.flags.writeable, out.flags.writeable))
        out[:] = a**3

    call = client.kernel(cube, [x], [y], operations=20)
    futures = [call.submit([x], [y])]
    for _ in range(20):
        futures.append(call.submit([x], [y], after=futures[-1:]))
    futures[-1].wait()
    np.testing.assert_array_equal(y.array, np.arange(10, dtype=np.float32) ** 3)
    assert seen == [(False, True)] * 21


def test_an_exception_in_a_kernel_fails_the_call_and_those_that_follow(client: Client) -> None:
    x = client.copy(np.zeros(4, np.float32))

    def broken(_a: Any, _out: Any) -> None:
        raise ZeroDivisionError("no luck with Ω")

    call = client.kernel(broken, [x], [x], name="step7")
    fine = client.prepare("zip", [x, x], [x], operation="add")
    future = call.submit([x], [x])
    follower = fine.submit([x, x], [x], after=[future])
    with pytest.raises(CosocError, match=r"step7.*ZeroDivisionError: no luck with Ω") as caught:
        future.wait()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(CosocError, match="no luck"):
        follower.wait()
    with pytest.raises(CosocError, match="no luck"):
        client.wait()
    client.wait()
    with pytest.raises(CosocError, match="no luck") as caught:
        call.run([x], [x])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    fine.run([x, x], [x])


def test_a_kernel_cannot_call_the_runtime_but_may_drop_its_objects(client: Client) -> None:
    x = client.copy(np.zeros(4, np.float32))
    dropped = [client.empty(4)]
    gone = weakref.ref(dropped[0])

    def calls(_a: Any, _out: Any) -> None:
        dropped.clear()
        gc.collect()
        client.empty(4)

    with pytest.raises(CosocError, match="cannot call the runtime"):
        client.kernel(calls, [x], [x]).submit([x], [x]).wait()
    assert gone() is None
    client.empty(4)


def test_graphs_of_named_tasks(client: Client) -> None:
    x, y, z = client.copy(random_complex(4, 256)), client.empty((4, 256), np.complex64), client.empty((4, 256))
    forward = client.prepare("fft", [x], [y], direction="forward")
    square = client.prepare("zip", [y], [z], operation="magnitude_squared")
    half = client.kernel(lambda a, out: np.multiply(a, 0.5, out=out), [z], [z], name="half")
    graph = TaskGraph(client, "powers")
    last = graph.add("half", half, [z], [z])
    middle = graph.add("square", square, [y], [z]).precede(last)
    graph.add("forward", forward, [x], [y]).precede(middle)
    assert graph.dot().count("->") == 2
    assert '"forward" -> "square"' in graph.dot()
    change = client.kernel(lambda _, out: out.fill(1j), [x], [x])
    for run in (graph.run, lambda: graph.submit(after=[change.submit([x], [x])]).wait()):
        run()
        np.testing.assert_allclose(z.array, 0.5 * np.abs(np.fft.fft(x.array.astype(complex), axis=1)) ** 2, rtol=1e-4, atol=1e-3)
    assert np.all(x.array == 1j)
    with pytest.raises(CosocError, match="it has run already; nothing can be added"):
        last.follow(middle)
    graph.close()
    with pytest.raises(CosocError, match="graph powers is closed"):
        graph.run()


def test_mistakes_in_graphs(client: Client) -> None:
    x, y = client.empty(4), client.empty(5)
    add = client.prepare("zip", [x, x], [x], operation="add")
    with pytest.raises(CosocError, match="graph empty: it has no tasks"):
        TaskGraph(client, "empty").run()
    graph, other = TaskGraph(client, "g"), TaskGraph(client, "h")
    first = graph.add("first", add, [x, x], [x])
    with pytest.raises(CosocError, match="graph h: a task of another graph"):
        graph.add("second", add, [x, x], [x], after=[other.add("first", add, [x, x], [x])])
    graph.order(first, graph.add("third", add, [x, x], [x], after=[first]))
    circle = TaskGraph(client, "circle")
    ends = circle.add("a", add, [x, x], [x]), circle.add("b", add, [x, x], [x])
    ends[0].precede(ends[1]).follow(ends[1])
    with pytest.raises(CosocError, match="a graph has no circles"):
        circle.run()
    for body in (lambda: graph.add("first", add, [x, x], [x]), lambda: other.add("bad", add, [y, y], [y])):
        with pytest.raises(CosocError, match=r"there are two tasks first|task bad: .*given is float32\[5\]"):
            body()
    for broken in (graph, other):
        with pytest.raises(CosocError, match=r"two tasks first|task bad"):
            broken.run()

    def fails(_a: Any, _out: Any) -> None:
        raise ZeroDivisionError("no luck")

    failing = TaskGraph(client, "failing")
    failing.add("fails", client.kernel(fails, [x], [x]), [x], [x])
    with pytest.raises(CosocError, match=r"node fails on cpu.*no luck") as caught:
        failing.run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_python_kernel_that_an_accelerator_may_run_instead(build: Path) -> None:
    same = {"zip": {"kernel": "zip", "operation": "mul"}}
    with Session(soc=build, mode="functional", cpu_cores=0) as session, session.client() as client:
        x = client.copy(random_complex(64))
        y = client.empty(64, np.complex64)

        def square(_a: Any, _b: Any, _out: Any) -> None:
            raise AssertionError("there is no core to run it")

        client.kernel(square, [x, x], [y], accelerators=same).run([x, x], [y])
        np.testing.assert_allclose(y.array, x.array**2, rtol=1e-5)
        with pytest.raises(CosocError, match="no device can run it"):
            client.kernel(square, [x, x], [y])
        with pytest.raises(CosocError, match="unknown operation 'zap'"):
            client.kernel(square, [x, x], [y], accelerators={"zip": {"kernel": "zap"}})
        with pytest.raises(CosocError, match="the name of a kernel is expected under 'kernel'"):
            client.kernel(square, [x, x], [y], accelerators={"zip": {"operation": "mul"}})


def test_two_threads(client: Client) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            x = client.copy(np.full(256, seed, np.float32))
            step = client.kernel(lambda a, out: np.add(a, 1, out=out), [x], [x])
            double = client.prepare("zip", [x, x], [x], operation="add")
            for _ in range(30):
                double.submit([x, x], [x], after=[step.submit([x], [x])]).wait()
                expected = 2 * (x.array[0] / 2)
                step.run([x], [x])
                np.subtract(x.array, 1, out=x.array)
                if not np.all(x.array == expected):
                    wrong.append((seed, x.array[0]))
                x.array[:] = seed
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_misuse_is_one_clear_error(client: Client) -> None:
    x, y = client.empty((4, 8), np.complex64), client.empty((4, 9), np.complex64)
    fft = client.prepare("fft", [x], [x], direction="forward")
    with pytest.raises(CosocError, match=r"input 0 was prepared as complex64\[4, 8\]; given is complex64\[4, 9\]"):
        fft.run([y], [x])
    with pytest.raises(CosocError, match="1 outputs; given are 2"):
        fft.submit([x], [x, x]).wait()
    with pytest.raises(CosocError, match="a list of device arrays is expected; given is DeviceArray"):
        fft.run(x, [x])  # type: ignore[arg-type]
    with pytest.raises(CosocError, match=r"a device array is expected.*given is ndarray"):
        fft.run([np.zeros((4, 8), np.complex64)], [x])  # type: ignore[list-item]
    with pytest.raises(CosocError, match="futures are expected; given is int"):
        fft.submit([x], [x], after=[3])  # type: ignore[list-item]
    with pytest.raises(CosocError, match="unknown operation 'fit'; there are"):
        client.prepare("fit", [x], [x])
    with pytest.raises(CosocError, match="direction"):
        client.prepare("fft", [x], [x], direction="sideways")
    with pytest.raises(CosocError, match="no device can run it"):
        client.prepare("fft", [x], [x], direction="forward", devices=["gpu"])
    with pytest.raises(CosocError, match="float64"):
        client.empty(4, np.float64)
    with pytest.raises(CosocError, match="at least 1"):
        client.empty((4, 0))
    with pytest.raises(CosocError, match="use copy"):
        client.wrap(np.zeros((4, 4), np.float32).T)
    with pytest.raises(CosocError, match=r"NumPy has no type like torch\.bfloat16"):
        client.copy(torch.zeros(3, dtype=torch.bfloat16))
    with pytest.raises(CosocError, match="on meta; give one on the CPU"):
        client.copy(torch.zeros(3, device="meta"))
    client.close()
    for body in (lambda: client.empty(3), lambda: fft.run([x], [x]), client.wait, lambda: client.now_ns):
        with pytest.raises(CosocError, match="client test is closed"):
            body()


def test_models_take_and_give_torch_tensors(build: Path, tmp_path: Path) -> None:
    x = random_complex(2, 64)
    with Session(soc=build) as session:
        with pytest.raises(CosocError, match="load a bundle first"):
            session.run(x)
        model = session.load(write_bundle(tmp_path))
        power = session.run(x)
        assert isinstance(power, np.ndarray)
        tensor = torch.from_numpy(x)
        for given in (tensor, tensor.clone().requires_grad_(), torch.from_numpy(np.ascontiguousarray(x.T)).T):
            found = model(given)
            assert isinstance(found, torch.Tensor)
            np.testing.assert_array_equal(found.numpy(), power)
        with pytest.raises(CosocError, match="given is complex128"):
            session.run(tensor.to(torch.complex128))
        other = session.load(tmp_path)
        with pytest.raises(CosocError, match="loaded are product, product: call one"):
            session.run(x)
        other.close()
        assert session.run(x).tobytes() == power.tobytes()


def test_runs_of_models_among_calls(build: Path, tmp_path: Path) -> None:
    x = random_complex(2, 64)
    with Session(soc=build) as session, session.client() as client:
        model = session.load(write_bundle(tmp_path))
        expected = model.run([2 * x])[0]
        source, target = client.copy(x), client.empty((2, 64))
        double = client.prepare("zip", [source, source], [source], operation="add")
        halve = client.prepare("zip", [target], [target], operation="scale", factor=[0.5, 0.0])
        inference = model.submit([source], [target], after=[double.submit([source, source], [source])])
        halve.submit([target], [target], after=[inference]).wait()
        np.testing.assert_array_equal(target.array, 0.5 * expected)
        assert [task["name"] for task in model.report()] == ["zip", "square"]
        with pytest.raises(CosocError, match="inputs x is complex64"):
            model.submit([target], [target]).wait()


@pytest.mark.parametrize("mode", ["cpu", "functional"])
def test_the_end_of_the_interpreter_waits_for_kernels(build: Path, mode: str) -> None:
    program = f"""
import numpy as np
from cosoc.runtime import Session
session = Session(soc={str(build)!r}, mode={mode!r})
client = session.client()
x = client.empty(8)
call = client.kernel(lambda a, out: print("kernel\\n", end="", flush=True), [x], [x])
futures = [call.submit([x], [x]) for _ in range(5)]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kernel\n" * 5, "")
