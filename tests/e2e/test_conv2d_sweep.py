"""Layers on the RTL of the default Conv2D: values against the functional model, cycles and beats against the schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.support.networks import Layer
from tests.e2e.conv2d_rtl import check_schedule, run_in_rtl

SEED = 2
LAYERS = 96
LAYERS_PER_PROGRAM = 6
COVERAGE = 0.95
KERNELS = ((1, 1), (2, 2), (3, 3), (5, 5), (7, 7), (11, 11), (1, 7), (7, 1), (3, 2))
STRIDES = (1, 2, 3, 4)
PADDINGS = ("none", "same", "uneven")
DILATIONS = (1, 2, 3)
GROUPS = ("one", "some", "depthwise")
FUSIONS = ("none", "residual", "pool", "both")
CHANNELS = ("one word", "few", "remainder", "words")

BINS = {
    *(("kernel", k) for k in KERNELS),
    *(("padding", p, g) for p in PADDINGS for g in GROUPS),
    *(("stride, dilation", s, d) for s in STRIDES for d in DILATIONS),
    *(("groups, fusion", g, f) for g in GROUPS for f in FUSIONS),
    *(("channels", c, f) for c in CHANNELS for f in FUSIONS),
    *(("filters", c) for c in CHANNELS),
}
"""What must have been seen: single properties, and pairs that take different ways through compiler and hardware."""


def channel_class(channels: int) -> str:
    """Channels by what they are modulo the words of 16."""
    if channels <= 4:
        return "few"
    if channels == 16:
        return "one word"
    return "words" if channels % 16 == 0 else "remainder"


def draw_channels(random: np.random.Generator) -> int:
    """A number of channels of a random class."""
    ranges = {"few": (1, 5), "one word": (16, 17), "remainder": (5, 41), "words": (2, 4)}
    name = CHANNELS[random.integers(len(CHANNELS))]
    number = int(random.integers(*ranges[name]))
    return 16 * number if name == "words" else number


def draw_layer(random: np.random.Generator, number: int) -> tuple[dict[str, Any], set[tuple[Any, ...]]]:
    """A layer that has an output, and the bins that it covers."""
    while True:
        kernel = KERNELS[random.integers(len(KERNELS))]
        stride = [int(x) for x in random.choice(STRIDES, 2)]
        dilation = int(random.choice(DILATIONS)) if max(kernel) < 7 else 1
        grouping = GROUPS[random.integers(len(GROUPS))]
        fusion = FUSIONS[random.integers(len(FUSIONS))]
        style = PADDINGS[random.integers(len(PADDINGS))]
        channels = draw_channels(random)
        groups = {"one": 1, "some": int(random.integers(2, 4)), "depthwise": channels}[grouping]
        if grouping == "some":
            channels *= groups
        filters = draw_channels(random) * (groups if grouping == "some" else 1) if grouping != "depthwise" else channels
        span = [dilation * (k - 1) + 1 for k in kernel]
        around = {"none": [0] * 4, "same": [span[0] // 2, span[1] // 2] * 2, "uneven": [int(x) for x in random.integers(0, 4, 4)]}
        padding = around[style]
        rows, columns = (int(x) for x in random.integers(1, 20, 2))
        out = [(size + padding[i] + padding[i + 2] - span[i]) // stride[i] + 1 for i, size in enumerate((rows, columns))]
        window = int(random.integers(2, 4))
        if min(out) < 1 or (fusion in ("pool", "both") and min(out) < window) or (grouping == "depthwise" and channels == 1):
            continue
        name = f"layer{number}"
        layer = {
            "name": name,
            "input": f"{name}_in",
            "output": f"{name}_out",
            "residual": f"{name}_residual" if fusion in ("residual", "both") else None,
            "rows": rows,
            "columns": columns,
            "channels": channels,
            "filters": filters,
            "kernel": list(kernel),
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "pool": [window, int(random.integers(1, 3)), 0] if fusion in ("pool", "both") else None,
        }
        bins = {
            ("kernel", kernel),
            ("padding", style, grouping),
            ("groups, fusion", grouping, fusion),
            ("channels", channel_class(channels), fusion),
            ("filters", channel_class(filters)),
            *(("stride, dilation", step, dilation) for step in stride),
        }
        return layer, bins & BINS


def programs() -> Iterator[tuple[list[dict[str, Any]], set[tuple[Any, ...]]]]:
    """Groups of layers that run as one program, and what each group covers."""
    random = np.random.default_rng(SEED)
    for start in range(0, LAYERS, LAYERS_PER_PROGRAM):
        drawn = [draw_layer(random, start + i) for i in range(LAYERS_PER_PROGRAM)]
        yield [layer for layer, _ in drawn], set().union(*(bins for _, bins in drawn))


def test_the_layers_cover_what_they_must() -> None:
    seen = Counter(item for _, bins in programs() for item in bins)
    missing = BINS - set(seen)
    assert len(seen) >= COVERAGE * len(BINS), f"not covered: {sorted(map(str, missing))}"


def run(build: Path, folder: Path, programs: list[list[dict[str, Any]]], seed: int) -> list[dict[str, Any]]:
    return run_in_rtl(build / "soc.json", build / "bin" / "conv2d-network", folder, programs, seed)


@pytest.mark.parametrize("number", range(LAYERS // LAYERS_PER_PROGRAM))
def test_random_layers(build: Path, tmp_path: Path, number: int) -> None:
    layers = list(programs())[number][0]
    alone = [[layer] for layer in layers]
    for program, result in zip([layers, *alone], run(build, tmp_path, [layers, *alone], SEED + number), strict=True):
        check_schedule(program, result)


def layer(name: str, **members: Any) -> Layer:
    return Layer(name=name, input="x", output="y", **members)


@pytest.mark.parametrize(
    "layer",
    [
        layer("3x3", rows=14, columns=14, channels=64, filters=64, kernel=3, padding=1, residual="r"),
        layer("1x1", rows=28, columns=28, channels=64, filters=128, kernel=1),
        layer("1x1-stride", rows=28, columns=28, channels=64, filters=64, kernel=1, stride=2),
        layer("first", rows=56, columns=56, channels=3, filters=32, kernel=7, stride=2, padding=3),
        layer("depthwise", rows=28, columns=28, channels=96, filters=96, kernel=3, padding=1, groups=96),
        layer("depthwise-small", rows=7, columns=7, channels=160, filters=160, kernel=3, padding=1, groups=160),
        layer("depthwise-stride", rows=14, columns=14, channels=64, filters=64, kernel=3, stride=2, padding=1, groups=64),
        layer("groups", rows=14, columns=14, channels=64, filters=64, kernel=3, padding=1, groups=4),
        layer("dilation", rows=14, columns=14, channels=32, filters=32, kernel=3, padding=2, dilation=2),
        layer("pooled", rows=28, columns=28, channels=32, filters=32, kernel=3, padding=1, pool=(3, 2, 1)),
        layer("pooling", rows=28, columns=28, channels=64, filters=64, kernel=1, pool=(2, 2, 0), kind="max_pooling"),
        layer("average", rows=7, columns=7, channels=128, filters=128, kernel=7, groups=128, average=True),
        layer("add", rows=28, columns=28, channels=64, filters=64, kernel=1, groups=64, residual="r"),
        layer("fully-connected", rows=1, columns=1, channels=512, filters=1000, kernel=1),
        layer("fully-connected-map", rows=7, columns=7, channels=32, filters=128, kernel=7),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_of_networks(build: Path, tmp_path: Path, layer: Layer) -> None:
    program = [asdict(layer)]
    [result] = run(build, tmp_path, [program], SEED)
    check_schedule(program, result)
