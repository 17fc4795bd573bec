"""The Conv2D engine on whole networks: all convolutions of a network as one program, in RTL before the calibrated DDR model.

Cycles count from the start of the program to its end, first load and last store included. Utilization is the network's
multiply-accumulates by those cycles and the engine's multiply-accumulates per cycle. With `full=1` everything runs in RTL; else the
small networks do, and the others are estimated by the compiler's cycle model. `full=1` also runs every layer of ResNet-18 and
ResNet-50 alone, layers of one shape once, and the engine that a ZCU102 gets. Every tensor that RTL writes is compared with the
functional model.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.support.networks import NETWORKS, Layer
from bench.support.report import Figure, How, Report
from bench.support.soc import ROOT, build_soc
from cosoc.gateware.conv2d.config import Conv2DConfig

KEPT = ROOT / "build" / "bench" / "conv2d"
"""Results in RTL that are kept."""

TIMEOUT = 3600
SEED = 1
LATENCIES_NS = (100, 150, 200, 300)
QUICK = ("resnet18", "mobilenetv2")
"""Networks that run in RTL also without `full=1`."""

LAYERED = ("resnet18", "resnet50")
"""Networks of which each layer runs alone in RTL with `full=1`: a small and a large one."""

ENGINES: dict[str, dict[str, int]] = {
    "2048": {
        "input_lanes": 16,
        "output_lanes": 16,
        "pixel_lanes": 8,
        "feature_words": 65536,
        "weight_steps": 2048,
        "channel_blocks": 256,
        "memory_ports": 2,
    },
    "256": {
        "input_lanes": 16,
        "output_lanes": 8,
        "pixel_lanes": 2,
        "feature_words": 32768,
        "weight_steps": 2048,
        "memory_ports": 1,
    },
    "zcu102": {"output_lanes": 16, "pixel_lanes": 4, "memory_ports": 2},
}
"""Parameters: the two by multiply-accumulates per cycle, and what a ZCU102 gets; two ports are HP0 and HP3, one is HP0."""

GOALS = {"vgg16": 97, "resnet18": 90, "resnet50": 86, "yolov3": 92, "mobilenetv2": 40, "resnet18_256": 95}
PEERS = {
    "vgg16": "OPU about 97 %, average at run time; DPU 54 % of one core, whole network with host",
    "resnet18": "DPU 65 %, whole network with host; VTA 86 % at 256 MACs without the first layer",
    "resnet50": "DPU 59 %, whole network with host; OPU about 84 %, average at run time",
    "yolov3": "DPU 77 %, whole network with host",
    "mobilenetv2": "DPU 14 %, whole network with host",
    "resnet18_256": "VTA 86 % without the first layer",
}
"""Published figures; they count differently, as said."""


@cache
def digest(path: Path) -> str:
    """Of a file that does not change while the bench runs."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


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

    def run(self, programs: Sequence[Sequence[Layer]], mode: str) -> list[dict[str, Any]]:
        """Compiles each list of layers to a program and estimates (`model`) or runs it (`rtl`); see conv2d_network.cpp.

        What ran in RTL is kept by the content of all that it follows from, so that a long run can go on where it ended.

        Raises:
            RuntimeError: the program failed, or RTL and functional model differ.
        """
        if mode != "rtl":
            return self._run(programs, mode)
        results = []
        for layers in programs:
            kept = KEPT / f"{self._key(layers)}.json"
            if not kept.is_file():
                [result] = self._run([layers], mode)
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(result) + "\n")
            results.append(json.loads(kept.read_text()))
        return results

    def _key(self, layers: Sequence[Layer]) -> str:
        """What a result in RTL follows from: the SoC, compiler and functional model, the layers."""
        libraries = (self.soc.parent / "lib" / "libcosoc_soc.so", self.program.parent.parent / "lib" / "libcosoc.so", self.program)
        digests = [digest(path) for path in (self.soc, *libraries)]
        return hashlib.sha256(json.dumps([digests, SEED, [asdict(layer) for layer in layers]]).encode()).hexdigest()

    def _run(self, programs: Sequence[Sequence[Layer]], mode: str) -> list[dict[str, Any]]:
        lists = [[asdict(layer) for layer in layers] for layers in programs]
        path = self.soc.parent / "network.json"
        path.write_text(json.dumps({"soc": str(self.soc), "seed": SEED, "programs": lists}))
        done = subprocess.run([self.program, mode, path], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"{self.program.name} ended with status {done.returncode}")
        results: list[dict[str, Any]] = json.loads(done.stdout)
        for layers, result in zip(programs, results, strict=True):
            if not result.get("bit_exact", True):
                raise RuntimeError(f"RTL and functional model differ on {layers[0].name}..{layers[-1].name}")
        return results

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


def build_engine(name: str, program: Path) -> Engine:
    """Builds the RTL of an engine, unless it is there."""
    arguments = {"c2d": "1", "fft": "0", "zip": "0"}
    arguments |= {f"c2d_{parameter}": str(value) for parameter, value in ENGINES[name].items()}
    return Engine(Conv2DConfig(**ENGINES[name]).macs, build_soc(arguments, TIMEOUT), program)


def run(build: Path) -> Report:
    """All networks on both engines."""
    full = os.environ.get("COSOC_FULL") == "1"
    program = build / "bin" / "conv2d-network"
    engines = {name: build_engine(name, program) for name in ENGINES if full or name != "zcu102"}
    latency = json.loads(engines["2048"].soc.read_text())["memory"]["latency_ns"]
    report = Report("conv2d", {**ENGINES, "memory": {"latency_ns": latency, "source": "an estimate; bandwidth is measured"}})
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, network in NETWORKS.items():
        add_network(report, engines["2048"], name, network().layers, rtl=full or name in QUICK)
        tables[name] = each_layer(engines["2048"], network().layers, rtl=full and name in LAYERED)
    resnet18 = NETWORKS["resnet18"]().layers
    add_network(report, engines["256"], "resnet18_256", resnet18, rtl=True)
    tables["resnet18_256"] = each_layer(engines["256"], resnet18, rtl=False)
    if full:
        add_network(report, engines["zcu102"], "resnet18_zcu102", resnet18, rtl=True)
    add_heads(report, engines["2048"])
    add_latencies(report, engines["2048"], full=full)
    for name, table in tables.items():
        if any(entry["how"] == "rtl" for entry in table):
            worst = max((abs(entry["model_error"]) for entry in table), default=0)
            report.add(Figure(name=f"{name}.layers.model_error", value=worst, unit="%", better="lower", how="rtl", goal=2))
            print_table(name, table)
    add_separate_layers(report, tables)
    (ROOT / "build" / "bench" / "conv2d_layers.json").write_text(json.dumps(tables, indent=1) + "\n")
    return report


def add_network(report: Report, engine: Engine, name: str, layers: Sequence[Layer], *, rtl: bool) -> None:
    """Figures of one network."""
    how: How = "rtl" if rtl else "model"
    [result] = engine.run([layers], how)
    counted = result if rtl else result["estimated"]
    utilization = engine.utilization(layers, counted["cycles"])
    goal, peer = GOALS.get(name), PEERS.get(name, "")
    report.add(Figure(name=f"{name}.utilization", value=utilization, unit="%", better="higher", how=how, goal=goal, peer=peer))
    report.add(Figure(name=f"{name}.cycles", value=counted["cycles"], unit="cycles", better="lower", how=how))
    if rtl:
        error = model_error(result)
        report.add(Figure(name=f"{name}.model_error", value=error, unit="%", better="lower", how="rtl"))
    for direction in ("read", "written"):
        value = 16 * counted[f"beats_{direction}"]
        report.add(Figure(name=f"{name}.bytes_{direction}", value=value, unit="bytes", better="lower", how=how))


def model_error(result: dict[str, Any]) -> float:
    """Percent that the schedule has more cycles than the RTL."""
    return 100 * (float(result["estimated"]["cycles"]) / float(result["cycles"]) - 1)


def shape_of(layer: Layer) -> Layer:
    """The layer without its place in a network."""
    return replace(layer, name="layer", input="input", output="output", residual=layer.residual and "residual", kept=False)


def each_layer(engine: Engine, layers: Sequence[Layer], *, rtl: bool) -> list[dict[str, Any]]:
    """Every layer as a program of its own, so with its first load and its last store; the same shape runs once."""
    shapes = [shape_of(layer) for layer in layers]
    distinct = list(dict.fromkeys(shapes))
    found = dict(zip(distinct, engine.run([[shape] for shape in distinct], "rtl" if rtl else "model"), strict=True))
    entries = []
    for layer, shape in zip(layers, shapes, strict=True):
        result = found[shape]
        counted = result if rtl else result["estimated"]
        entry = {"layer": layer.name, "how": "rtl" if rtl else "model", "cycles": round(counted["cycles"]), "macs": layer.macs}
        entry |= {f"bytes_{name}": 16 * counted[f"beats_{name}"] for name in ("read", "written")}
        entry["utilization"] = engine.utilization([layer], counted["cycles"])
        if rtl:
            entry |= {"estimated_cycles": round(result["estimated"]["cycles"]), "model_error": model_error(result)}
        entries.append(entry)
    return entries


def print_table(name: str, entries: Sequence[dict[str, Any]]) -> None:
    """The layers of a network that ran in RTL, each alone."""
    titles = ("cycles", "MACs", "bytes read", "written", "util. %", "model")
    print(f"\n{name}, each layer alone in RTL\n{'layer':8}" + "".join(f"{title:>13}" for title in titles))
    for entry in entries:
        values = (entry[key] for key in ("cycles", "macs", "bytes_read", "bytes_written", "utilization", "estimated_cycles"))
        print(f"{entry['layer']:8}" + "".join(f"{round(value, 1):13}" for value in values))


def add_separate_layers(report: Report, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Utilization when every layer is a program of its own, as it is in the runtime."""
    for name, table in tables.items():
        cycles = sum(entry["cycles"] for entry in table)
        value = sum(entry["utilization"] * entry["cycles"] for entry in table) / cycles
        how: How = "rtl" if all(entry["how"] == "rtl" for entry in table) else "model"
        report.add(Figure(name=f"{name}.utilization_by_layers", value=value, unit="%", better="higher", how=how))


def add_heads(report: Report, engine: Engine) -> None:
    """Global average pooling and fully connected layers, beside the convolutions."""
    for name, network in NETWORKS.items():
        head = network().head
        parts = {"average": [layer for layer in head if layer.average], "fully_connected": [x for x in head if not x.average]}
        for part, layers in parts.items():
            if not layers:
                continue
            [result] = engine.run([layers], "model")
            value = result["estimated"]["cycles"]
            report.add(Figure(name=f"{name}.{part}.cycles", value=value, unit="cycles", better="lower", how="model"))


def add_latencies(report: Report, engine: Engine, *, full: bool) -> None:
    """ResNet-18 before memories of other latencies: 150 ns is an estimate."""
    layers = NETWORKS["resnet18"]().layers
    for nanoseconds in LATENCIES_NS:
        how: How = "rtl" if full else "model"
        [result] = engine.with_latency(nanoseconds).run([layers], how)
        cycles = (result if full else result["estimated"])["cycles"]
        name = f"resnet18.utilization_{nanoseconds}ns"
        value = engine.utilization(layers, cycles)
        report.add(Figure(name=name, value=value, unit="%", better="higher", how=how))
