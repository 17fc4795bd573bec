"""What FFT and ZIP of a SoC compute, and which nodes they may run."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from cosoc.converter.errors import ConversionError
from cosoc.converter.ir import Graph, Node
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig

SIGNALS = ("fft", "rfft", "fft_multiply", "zip", "zip_int16")


def signal_obstacle(graph: Graph, node: Node, max_log2: int = FFTConfig().max_log2) -> str:
    """Why FFT or ZIP accelerators cannot run a node; empty when they can. Their drivers have the last word.

    Args:
        max_log2: of the longest transform.
    """
    if node.op not in ("fft", "rfft", "fft_multiply"):
        return ""
    shape = graph.tensors[node.inputs[0]].shape
    length = shape[node.attributes.get("axis", len(shape) - 1)]
    factor, what = (2, "real samples") if node.op == "rfft" else (1, "points")
    least, most = factor << MIN_LOG2, factor << max_log2
    if length & (length - 1) or not least <= length <= most:
        return f"a transform of {length} {what}: fft has powers of two from {least} to {most}"
    return ""


@dataclass(frozen=True)
class Transforms:
    """What the FFT of a SoC computes.

    Attributes:
        real: transforms of real signals stay such. That is half the work; but FFT built without `fft_real_input` cannot do it.
        config: parameters of FFT.
        present: whether there is one that may run nodes.
    """

    real: bool
    config: FFTConfig = field(default_factory=FFTConfig)
    present: bool = True


def fft_of(soc: str | Path) -> FFTConfig | None:
    """Parameters of the FFTs of a SoC, which all have the same; None where it has none.

    Args:
        soc: directory of a build.

    Raises:
        ConversionError: there is no such build.
    """
    try:
        description = json.loads((Path(soc) / "soc.json").read_text())
    except (OSError, ValueError) as error:
        raise ConversionError(f"{soc} is no build; expected a directory with soc.json ({error})") from error
    found = [item["config"] for item in description["accelerators"] if item["kind"] == "fft"]
    return FFTConfig(**found[0]) if found else None


def transforms_of(accelerators: Collection[str], soc: str | Path | None) -> Transforms:
    """What FFT can do.

    Args:
        accelerators: that may run nodes.
        soc: directory of a build; without one the accelerators are those of the default one.

    Raises:
        ConversionError: there is no such build.
    """
    config = FFTConfig() if soc is None else fft_of(soc)
    if config is None or "fft" not in accelerators:
        return Transforms(real=True, present=False)
    return Transforms(bool(config.real_input), config)


def accelerator_of(node: Node) -> str:
    """The kind of accelerator for an operation on signals."""
    return "zip" if node.op.startswith("zip") else "fft"


def tag_signals(graph: Graph, accelerators: Collection[str], max_log2: int) -> Graph:
    """Adds fft and zip to the devices of every node that they can compute."""
    nodes = []
    for node in graph.nodes:
        kind = accelerator_of(node)
        capable = node.op in SIGNALS and kind in accelerators and not signal_obstacle(graph, node, max_log2)
        nodes.append(replace(node, devices=("cpu", kind)) if capable else node)
    return replace(graph, nodes=tuple(nodes))
