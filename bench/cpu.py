"""CPU kernels beside PyTorch eager, one thread each: whole networks, a call of every kernel, and the memory of a run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.support import dense_calls, zoo_published, zoo_vision
from bench.support.report import Figure, Report
from cosoc.converter import convert
from cosoc.converter.ir import DTYPES, Graph
from cosoc.runtime import Session
from cosoc.runtime.session import Model

NETWORK_RATIO = 0.9
KERNEL_RATIO = 3.0
MEMORY_RATIO = 1.2

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "resnet18": (zoo_vision.resnet18, ("float", "int8")),
    "vgg16": (zoo_published.vgg16, ("float",)),
    "mobilenet_v2": (zoo_published.mobilenet_v2, ("float",)),
}


def best_of_both(ours: Callable[[], float], eager: Callable[[], float], rounds: int, seconds: float) -> tuple[float, float]:
    """The shortest of many times of both, taken in turn, after one that warms up: at most `rounds`, for about so many seconds."""
    ours(), eager()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or (len(times) < rounds and time.perf_counter() < end):
        times.append((ours(), eager()))
    return min(first for first, _ in times), min(second for _, second in times)


def seconds_of(call: Callable[[], object]) -> float:
    """Time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def arrays_of(model: Model, inputs: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Inputs in the element types of a bundle."""
    infos = [model.tensors[name] for name in model.inputs]
    return [value.numpy().astype(DTYPES[info["dtype"]]) for info, value in zip(infos, inputs, strict=True)]


def kernel_seconds(model: Model, arrays: Sequence[np.ndarray]) -> float:
    """Time between the first kernel's start and the last one's end in a run."""
    model.run(arrays)
    records = model.report()
    return (max(record["end_ns"] for record in records) - min(record["start_ns"] for record in records)) * 1e-9


def add_networks(report: Report, session: Session, folder: Path) -> None:
    """Times of whole runs, copies of inputs and outputs included, and memory."""
    image = torch.randn(1, 3, 224, 224)
    for name, (make, precisions) in NETWORKS.items():
        torch.manual_seed(0)
        network = make().eval()
        for precision in precisions:
            bundle = convert(network, (image,), precision=precision)
            bundle.save(folder / "network.bundle")
            model = session.load(folder / "network.bundle")
            arrays = arrays_of(model, (image,))
            ours, eager = best_of_both(
                lambda: seconds_of(lambda: model.run(arrays)),  # noqa: B023
                lambda: seconds_of(lambda: network(image)),  # noqa: B023
                20,
                8.0,
            )
            model.close()
            figure = f"{name}.{precision}"
            report.add(
                Figure(
                    name=f"{figure}.time",
                    value=ours / eager,
                    unit="times PyTorch's float",
                    goal=NETWORK_RATIO,
                    better="lower",
                    peer=f"{ours * 1e3:.1f} ms, PyTorch eager {eager * 1e3:.1f} ms",
                    how="measured",
                )
            )
            if precision == "float" and name != "mobilenet_v2":
                add_memory(report, figure, bundle.graph, folder / "network.bundle")


def live_bytes(graph: Graph) -> int:
    """The most bytes of inputs, outputs and intermediate tensors that have to exist at one time, node after node."""
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))

    def size(name: str) -> int:
        tensor = graph.tensors[name]
        return 0 if tensor.constant else int(np.prod(tensor.shape)) * np.dtype(DTYPES[tensor.dtype]).itemsize

    alive = set(graph.inputs)
    most = 0
    for index, node in enumerate(graph.nodes):
        alive |= set(node.outputs)
        most = max(most, sum(map(size, alive)))
        alive = {name for name in alive if last.get(name, -1) > index}
    return most


def packed_bytes(graph: Graph) -> int:
    """Bytes of weights that convolutions keep packed, see `software/kernels/dense/convolution.cpp`."""
    total = 0
    for node in graph.nodes:
        if node.op != "convolution":
            continue
        channels, depth, *kernel = graph.tensors[node.inputs[1]].shape
        plain = kernel == [3, 3] and node.attributes["stride"] == [1, 1] and depth >= 16
        total += -(-channels // 6) * 6 * depth * (16 if plain else int(np.prod(kernel))) * 4
    return total


MEASURE = """
import sys
import numpy as np
from cosoc.runtime import Session

def anonymous():
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous:")) * 1024

with Session(soc=sys.argv[1], mode="cpu", cpu_cores=1) as session:
    image = [np.zeros((1, 3, 224, 224), np.float32)]
    before = anonymous()
    model = session.load(sys.argv[2])
    model.run(image)
    model.run(image)
    print(anonymous() - before)
"""
"""Nothing that a run takes is given back to the system before the model is closed."""


def add_memory(report: Report, name: str, graph: Graph, bundle: Path) -> None:
    """What loading and running takes in a process of its own, pages that are only read from the bundle's file excluded."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(report.config["build"]), str(bundle)], check=True, capture_output=True, text=True
    )
    needed = packed_bytes(graph) + live_bytes(graph)
    report.add(
        Figure(
            name=f"{name}.memory",
            value=int(done.stdout) / needed,
            unit="times packed weights and largest live set",
            goal=MEMORY_RATIO,
            better="lower",
            peer=f"{int(done.stdout) / 2**20:.1f} MiB, {needed / 2**20:.1f} MiB",
            how="measured",
        )
    )


def add_kernels(report: Report, session: Session, folder: Path) -> None:
    """The time of kernels alone, the worst first."""
    ratios: list[tuple[float, str, float, float]] = []
    for name, (function, inputs) in dense_calls.calls().items():
        module = function if isinstance(function, nn.Module) else dense_calls.Apply(function)
        convert(module.eval(), inputs, precision="float").save(folder / "kernel.bundle")
        model = session.load(folder / "kernel.bundle")
        arrays = arrays_of(model, inputs)
        ours, eager = best_of_both(
            lambda: kernel_seconds(model, arrays),  # noqa: B023
            lambda: seconds_of(lambda: module(*inputs)),  # noqa: B023
            30,
            0.15,
        )
        model.close()
        ratios.append((ours / eager, name, ours, eager))
    for ratio, name, ours, eager in sorted(ratios, reverse=True):
        report.add(
            Figure(
                name=f"kernel.{name}",
                value=ratio,
                unit="times PyTorch's",
                goal=KERNEL_RATIO,
                better="lower",
                peer=f"{ours * 1e6:.0f} us, PyTorch eager {eager * 1e6:.0f} us",
                how="measured",
            )
        )


def run(build: Path) -> Report:
    """Times as ratios to PyTorch's, taken in turn in one process."""
    report = Report("cpu", {"build": str(build)})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            torch.no_grad(),
            tempfile.TemporaryDirectory() as folder,
            Session(soc=build, mode="cpu", cpu_cores=1) as session,
        ):
            add_networks(report, session, Path(folder))
            add_kernels(report, session, Path(folder))
    finally:
        torch.set_num_threads(threads)
    return report
