"""The Conv2D engine on whole networks: all convolutions of a network as one program, in RTL before the calibrated DDR model.

Cycles count from the start of the program to its end, first load and last store included. Utilization is the network's
multiply-accumulates by those cycles and the engine's multiply-accumulates per cycle. With `full=1` everything runs in RTL; else the
small networks do, and the others are estimated by the compiler's cycle model. Every tensor that RTL writes is compared with the
functional model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.support.networks import NETWORKS, Layer
from bench.support.report import Figure, Report

ROOT = Path(__file__).resolve().parent.parent
BUILDS = ROOT / "build" / "bench" / "soc"
TIMEOUT = 3600
SEED = 1
LATENCIES_NS = (100, 150, 200, 300)
QUICK = ("resnet18", "mobilenetv2")
"""Networks that run in RTL also without `full=1`."""

ENGINES = {
    2048: {
        "input_lanes": 16,
        "output_lanes": 16,
        "pixel_lanes": 8,
        "feature_words": 65536,
        "weight_steps": 2048,
        "channel_blocks": 256,
        "memory_ports": 2,
    },
    256: {"input_lanes": 16, "output_lanes": 8, "pixel_lanes": 2, "feature_words": 32768, "weight_steps": 2048, "memory_ports": 1},
}
"""Parameters by multiply-accumulates per cycle; two ports are HP0 and HP3, one is HP0."""

GOALS = {"vgg16": 97, "resnet18": 90, "resnet50": 86, "yolov3": 92, "mobilenetv2": 40, "resnet18_256": 95}
PEERS = {
    "vgg16": "OPU about 97 %; DPU 54 % of one core, host included",
    "resnet18": "DPU 65 %, whole network with host; VTA 86 % at 256 MACs without the first layer",
    "resnet50": "DPU 59 %, whole network with host; OPU about 84 %",
    "yolov3": "DPU 77 %, whole network with host",
    "mobilenetv2": "DPU 14 %, whole network with host",
    "resnet18_256": "VTA 86 % without the first layer",
}
"""Published figures; they count differently, as said."""


@dataclass(frozen=True)
class Engine:
    """A SoC with one Conv2D.

    Attributes:
        macs: multiply-accumulates per cycle.
        soc: its soc.json.
        program: the executable that compiles and runs networks.
    """

    macs: int
    soc: Path
    program: Path

    def run(self, layers: Sequence[Layer], mode: str) -> dict[str, Any]:
        """Compiles the layers to one program and estimates (`model`) or runs it (`rtl`); see conv2d_network.cpp.

        Raises:
            RuntimeError: the program failed, or RTL and functional model differ.
        """
        description = {"soc": str(self.soc), "seed": SEED, "layers": [asdict(layer) for layer in layers]}
        path = self.soc.parent / "network.json"
        path.write_text(json.dumps(description))
        done = subprocess.run([self.program, mode, path], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"{self.program.name} ended with status {done.returncode}")
        result: dict[str, Any] = json.loads(done.stdout)
        if not result.get("bit_exact", True):
            raise RuntimeError(f"RTL and functional model differ on {layers[0].name}..{layers[-1].name}")
        return result

    def utilization(self, layers: Sequence[Layer], cycles: float) -> float:
        """Percent of the engine's multiply-accumulates that the layers need."""
        return 100 * sum(layer.macs for layer in layers) / (cycles * self.macs)

    def with_latency(self, nanoseconds: int) -> Engine:
        """The same SoC before a memory of another latency."""
        folder = self.soc.parent / f"latency{nanoseconds}"
        folder.mkdir(exist_ok=True)
        description = json.loads(self.soc.read_text())
        description["memory"]["latency_ns"] = nanoseconds
        (folder / "soc.json").write_text(json.dumps(description))
        library = folder / "lib"
        if not library.is_symlink():
            library.symlink_to(self.soc.parent / "lib")
        return Engine(self.macs, folder / "soc.json", self.program)


def build_engine(macs: int, program: Path) -> Engine:
    """Builds the RTL of an engine, unless it is there."""
    sys.path.insert(0, str(ROOT / "site_scons"))
    import options

    arguments = {"output": str(BUILDS.relative_to(ROOT)), "c2d": "1", "fft": "0", "zip": "0"}
    arguments |= {f"c2d_{name}": str(value) for name, value in ENGINES[macs].items()}
    folder = BUILDS / options.read(arguments).variant
    targets = [str(folder / name) for name in ("soc.json", "lib/libcosoc_soc.so")]
    command = ["scons", "-Q", "-s", *(f"{name}={value}" for name, value in arguments.items()), *targets]
    subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT)
    return Engine(macs, folder / "soc.json", program)


def run(build: Path) -> Report:
    """All networks on both engines."""
    full = os.environ.get("COSOC_FULL") == "1"
    program = build / "bin" / "conv2d-network"
    engines = {macs: build_engine(macs, program) for macs in ENGINES}
    report = Report("conv2d", {str(macs): parameters for macs, parameters in ENGINES.items()})
    layers: dict[str, list[dict[str, Any]]] = {}
    for name, network in NETWORKS.items():
        add_network(report, engines[2048], name, network().layers, rtl=full or name in QUICK)
        layers[name] = each_layer(engines[2048], network().layers, rtl=full and name in ("resnet18", "vgg16"))
    resnet18 = NETWORKS["resnet18"]().layers
    add_network(report, engines[256], "resnet18_256", resnet18, rtl=True)
    layers["resnet18_256"] = each_layer(engines[256], resnet18, rtl=full)
    add_heads(report, engines[2048])
    add_latencies(report, engines[2048], full=full)
    path = ROOT / "build" / "bench" / "conv2d_layers.json"
    path.write_text(json.dumps(layers, indent=1) + "\n")
    return report


def add_network(report: Report, engine: Engine, name: str, layers: Sequence[Layer], *, rtl: bool) -> None:
    """Figures of one network."""
    result = engine.run(layers, "rtl" if rtl else "model")
    how = "rtl" if rtl else "model"
    cycles = result["cycles"] if rtl else result["estimated_cycles"]
    utilization = engine.utilization(layers, cycles)
    goal, peer = GOALS[name], PEERS[name]
    report.add(Figure(name=f"{name}.utilization", value=utilization, unit="%", better="higher", how=how, goal=goal, peer=peer))
    report.add(Figure(name=f"{name}.cycles", value=cycles, unit="cycles", better="lower", how=how))
    if rtl:
        error = 100 * (result["estimated_cycles"] / cycles - 1)
        report.add(Figure(name=f"{name}.model_error", value=error, unit="%", better="lower", how="rtl"))
    for direction in ("read", "written"):
        value = result[f"bytes_{direction}"]
        report.add(Figure(name=f"{name}.bytes_{direction}", value=value, unit="bytes", better="lower", how=how))


def each_layer(engine: Engine, layers: Sequence[Layer], *, rtl: bool) -> list[dict[str, Any]]:
    """Every layer as a program of its own, so with its first load and its last store: for the JSON file beside the table."""
    entries = []
    for layer in layers:
        result = engine.run([layer], "rtl" if rtl else "model")
        cycles = result["cycles"] if rtl else round(result["estimated_cycles"])
        entry = {"layer": layer.name, "how": "rtl" if rtl else "model", "cycles": cycles, "macs": layer.macs}
        entry |= {name: result[name] for name in ("bytes_read", "bytes_written")}
        if rtl:
            entry["estimated_cycles"] = round(result["estimated_cycles"])
        entries.append(entry)
    return entries


def add_heads(report: Report, engine: Engine) -> None:
    """Global average pooling and fully connected layers, beside the convolutions."""
    for name, network in NETWORKS.items():
        if head := network().head:
            cycles = engine.run(head, "model")["estimated_cycles"]
            report.add(Figure(name=f"{name}.head.cycles", value=cycles, unit="cycles", better="lower", how="model"))


def add_latencies(report: Report, engine: Engine, *, full: bool) -> None:
    """ResNet-18 before memories of other latencies: 150 ns is an estimate."""
    layers = NETWORKS["resnet18"]().layers
    for nanoseconds in LATENCIES_NS if full else ():
        cycles = engine.with_latency(nanoseconds).run(layers, "rtl")["cycles"]
        name = f"resnet18.utilization_{nanoseconds}ns"
        value = engine.utilization(layers, cycles)
        report.add(Figure(name=name, value=value, unit="%", better="higher", how="rtl"))
