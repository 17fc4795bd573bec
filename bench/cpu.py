"""CPU kernels beside PyTorch eager, one thread each: whole networks, a call of every kernel, and the memory of a run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.support import dense_calls, memory, onnx_peer, zoo_published, zoo_vision
from bench.support.onnx_peer import OnnxRuntime
from bench.support.report import Figure, Report
from cosoc.converter import convert
from cosoc.converter.ir import DTYPES, Graph
from cosoc.runtime import Session
from cosoc.runtime.model import Model

NETWORK_RATIO = 0.9
KERNEL_RATIO = 3.0
MEMORY_RATIO = 1.2

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "resnet18": (zoo_vision.resnet18, ("float", "int8")),
    "vgg16": (zoo_published.vgg16, ("float",)),
    "mobilenet_v2": (zoo_published.mobilenet_v2, ("float",)),
}


def best_of_all(calls: dict[str, Callable[[], float]], rounds: int, seconds: float) -> dict[str, float]:
    """The shortest of many times of each, taken in turn, after one that warms up: at most `rounds`, for about so many seconds."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    for count in range(rounds):
        if count >= 3 and time.perf_counter() > end:
            break
        for name, call in calls.items():
            times[name].append(call())
    return {name: min(found) for name, found in times.items()}


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
    for name, (make, precisions) in NETWORKS.items():
        torch.manual_seed(0)
        network = make().eval()
        paths = {precision: folder / f"{precision}.bundle" for precision in precisions}
        graphs = {}
        for precision, path in paths.items():
            bundle = convert(network, (torch.randn(1, 3, 224, 224),), precision=precision)
            bundle.save(path)
            graphs[precision] = bundle.graph
        seconds = network_seconds(session, network, paths)
        for precision, graph in graphs.items():
            add_times(report, f"{name}.{precision}", seconds[precision], seconds)
            add_memory(report, f"{name}.{precision}", graph, paths[precision])


def network_seconds(session: Session, network: nn.Module, paths: dict[str, Path]) -> dict[str, float]:
    """The shortest times of a run in PyTorch, in each precision, and in ONNX Runtime where it is, all in turn."""
    image = torch.ones(1, 3, 224, 224)
    models = {precision: session.load(path) for precision, path in paths.items()}
    calls: dict[str, Callable[[], float]] = {"eager": lambda: seconds_of(lambda: network(image))}
    for precision, model in models.items():
        arrays = arrays_of(model, (image,))
        calls[precision] = lambda model=model, arrays=arrays: seconds_of(lambda: model.run(arrays))  # type: ignore[misc]
    peer = OnnxRuntime(paths["float"]) if onnx_peer.PYTHON else None
    if peer:
        expected = float(models["float"].run(arrays_of(models["float"], (image,)))[0].sum())
        if abs(peer.sum_of_ones - expected) > 1e-2 * max(1.0, abs(expected)):
            raise RuntimeError(f"ONNX Runtime computes another network: {peer.sum_of_ones}, ours {expected}")
        calls["onnxruntime"] = peer.seconds
    found = best_of_all(calls, 20, 8.0 * len(calls))
    for model in models.values():
        model.close()
    if peer:
        peer.close()
    return found


def add_times(report: Report, name: str, ours: float, seconds: dict[str, float]) -> None:
    """One precision of a network beside PyTorch and ONNX Runtime, both in float."""
    peers = (
        ("time", "eager", "PyTorch", NETWORK_RATIO),
        ("time_beside_onnxruntime", "onnxruntime", "ONNX Runtime", 1.0 if name.endswith("int8") else None),
    )
    for figure, key, peer, goal in peers:
        if key in seconds:
            report.add(
                Figure(
                    name=f"{name}.{figure}",
                    value=ours / seconds[key],
                    unit=f"times {peer}'s float",
                    goal=goal,
                    better="lower",
                    peer=f"{ours * 1e3:.1f} ms, {peer} {seconds[key] * 1e3:.1f} ms",
                    how="measured",
                )
            )


def add_memory(report: Report, name: str, graph: Graph, bundle: Path) -> None:
    """What loading and running takes, see `memory.measured_bytes`."""
    found = memory.measured_bytes(Path(str(report.config["build"])), bundle)
    weights, live = memory.packed_bytes(graph), memory.live_bytes(graph)
    report.add(
        Figure(
            name=f"{name}.memory",
            value=found / (weights + live),
            unit="times packed weights and largest live set",
            goal=MEMORY_RATIO,
            better="lower",
            peer=f"{found / 2**20:.1f} MiB, {weights / 2**20:.1f} + {live / 2**20:.1f} MiB",
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
        calls = {
            "ours": lambda: kernel_seconds(model, arrays),  # noqa: B023
            "eager": lambda: seconds_of(lambda: module(*inputs)),  # noqa: B023
        }
        best = best_of_all(calls, 30, 0.15)
        model.close()
        ratios.append((best["ours"] / best["eager"], name, best["ours"], best["eager"]))
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
    if not onnx_peer.PYTHON:
        print(onnx_peer.ADVICE)
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
