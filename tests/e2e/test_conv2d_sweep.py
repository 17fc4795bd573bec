"""Layers on the RTL of the default Conv2D: values against the functional model, cycles and beats against the schedule."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.support.networks import Layer
from tests.e2e.conv2d_rtl import check_schedule, run_in_rtl

ZERO_POINT = -2
"""Of the results of conv2d-network's layers."""

SEED = 2
LAYERS = 192
LAYERS_PER_PROGRAM = 6
COVERAGE = 0.95
KERNELS = (*((k, k) for k in range(1, 12)), (1, 7), (7, 1), (3, 2), (2, 5), (1, 3), (9, 4), (11, 1))
KERNEL_CLASSES = ("point", "line", "to 3", "to 7", "to 11")
STRIDES = (1, 2, 3, 4)
PADDINGS = ("none", "same", "uneven")
DILATIONS = (1, 2, 3)
GROUPS = ("one", "some", "depthwise")
FUSIONS = ("none", "residual", "pool", "both", "average")
CHANNELS = ("few", "less", "one word", "remainder", "words")
CLAMPS = ("none", "relu", "both ends")

Entry = dict[str, Any]
Bins = set[tuple[Any, ...]]


@dataclass(frozen=True)
class Lanes:
    """Channels, filters and pixels that the engine computes at once: what classes of them are about."""

    inputs: int
    outputs: int
    pixels: int

    @staticmethod
    def of(build: Path) -> Lanes:
        """Those of the first Conv2D of a build."""
        accelerators = json.loads((build / "soc.json").read_text())["accelerators"]
        config = next(item["config"] for item in accelerators if "input_lanes" in item["config"])
        return Lanes(config["input_lanes"], config["output_lanes"], config["pixel_lanes"])


def bins_of(lanes: Lanes) -> Bins:
    """What must have been seen: single properties, and pairs that take different ways through compiler and hardware."""
    return {
        *(("kernel", k) for k in KERNELS),
        *(("kernel, stride", k, s) for k in KERNEL_CLASSES for s in STRIDES),
        *(("kernel, groups", k, g) for k in KERNEL_CLASSES for g in GROUPS),
        *(("kernel, fusion", k, f) for k in KERNEL_CLASSES for f in FUSIONS),
        *(("padding", p, g) for p in PADDINGS for g in GROUPS),
        *(("stride, dilation", s, d) for s in STRIDES for d in DILATIONS),
        *(("groups, fusion", g, f) for g in GROUPS for f in FUSIONS),
        *(("channels", c, f) for c in CHANNELS for f in FUSIONS),
        *(("filters", c, g) for c in CHANNELS for g in GROUPS),
        *(("pixels", p) for p in ("less", *range(lanes.pixels))),
        *(("clamp", c, f) for c in CLAMPS for f in FUSIONS),
    }


def kernel_class(kernel: tuple[int, int]) -> str:
    """Kernels by shape and greater extent."""
    if min(kernel) == 1:
        return "point" if max(kernel) == 1 else "line"
    return "to 3" if max(kernel) <= 3 else "to 7" if max(kernel) <= 7 else "to 11"


def channel_class(channels: int, lanes: int) -> str:
    """Channels by what they are modulo the lanes; up to 4 of them are folded, or lie in a part of a block."""
    if channels <= min(4, lanes - 1):
        return "few"
    if channels < lanes:
        return "less"
    if channels == lanes:
        return "one word"
    return "words" if channels % lanes == 0 else "remainder"


def pixel_class(pixels: int, lanes: int) -> str | int:
    """Pixels by what is left of them for the last group of lanes."""
    return "less" if pixels < lanes else pixels % lanes


def draw_channels(random: np.random.Generator, lanes: int) -> int:
    """A number of channels of a random class."""
    name = CHANNELS[random.integers(len(CHANNELS))]
    words = int(random.integers(2, 4)) * lanes
    ranges = {"few": (1, 5), "less": (5, max(6, lanes)), "one word": (lanes, lanes + 1), "words": (words, words + 1)}
    return int(random.integers(*ranges.get(name, (lanes + 1, 5 * lanes // 2))))


def draw_clamp(random: np.random.Generator) -> tuple[str, list[int] | None]:
    """The class of a clamp, and its ends."""
    name = CLAMPS[random.integers(len(CLAMPS))]
    ends = [int(random.integers(-120, -20)), int(random.integers(10, 120))]
    return name, {"none": None, "relu": [ZERO_POINT, 127], "both ends": ends}[name]


def average_of(layer: Entry, out: list[int], window: int, step: int) -> Entry:
    """The layer that takes averages of another one's result, which stays on chip; that has `out` rows and columns."""
    plain = {"padding": [0] * 4, "dilation": 1, "residual": None, "pool": None, "clamp": None}
    filters = layer["filters"]
    shape = {"rows": out[0], "columns": out[1], "channels": filters, "filters": filters, "groups": filters}
    names = {"name": f"{layer['name']}_average", "input": layer["output"], "output": f"{layer['output']}_average"}
    return {**names, **shape, **plain, "kernel": [window, window], "stride": [step, step]}


def draw_layer(random: np.random.Generator, number: int, lanes: Lanes) -> tuple[list[Entry], Bins]:
    """A layer that has an output, with one for the average of its result if that is its fusion, and the bins that it covers."""
    while True:
        kernel = KERNELS[random.integers(len(KERNELS))]
        stride = [int(x) for x in random.choice(STRIDES, 2)]
        dilation = int(random.choice(DILATIONS)) if max(kernel) < 7 else 1
        grouping = GROUPS[random.integers(len(GROUPS))]
        fusion = FUSIONS[random.integers(len(FUSIONS))]
        style = PADDINGS[random.integers(len(PADDINGS))]
        clamping, clamp = draw_clamp(random)
        groups = int(random.integers(2, 4)) if grouping == "some" else 1
        channels = draw_channels(random, lanes.inputs) * groups
        filters = draw_channels(random, lanes.outputs) * groups
        if grouping == "depthwise":
            groups = filters = channels
        span = [dilation * (k - 1) + 1 for k in kernel]
        around = {"none": [0] * 4, "same": [span[0] // 2, span[1] // 2] * 2, "uneven": [int(x) for x in random.integers(0, 4, 4)]}
        padding = around[style]
        rows, columns = (int(x) for x in random.integers(1, 20, 2))
        out = [(size + padding[i] + padding[i + 2] - span[i]) // stride[i] + 1 for i, size in enumerate((rows, columns))]
        window, step = int(random.integers(2, 4)), int(random.integers(1, 3))
        pooled = fusion in ("pool", "both", "average")
        if min(out) < 1 or (pooled and min(out) < window) or (grouping == "depthwise" and channels == 1):
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
            "pool": [window, step, 0] if fusion in ("pool", "both") else None,
            "clamp": clamp,
        }
        shape = kernel_class(kernel)
        bins = {
            ("kernel", kernel),
            ("kernel, groups", shape, grouping),
            ("kernel, fusion", shape, fusion),
            ("padding", style, grouping),
            ("groups, fusion", grouping, fusion),
            ("channels", channel_class(channels, lanes.inputs), fusion),
            ("filters", channel_class(filters, lanes.outputs), grouping),
            ("pixels", pixel_class(out[0] * out[1], lanes.pixels)),
            ("clamp", clamping, fusion),
            *(("stride, dilation", s, dilation) for s in stride),
            *(("kernel, stride", shape, s) for s in stride),
        }
        return [layer, *([average_of(layer, out, window, step)] if fusion == "average" else [])], bins


def programs(lanes: Lanes) -> Iterator[tuple[list[list[Entry]], Bins]]:
    """Groups of layers that run as one program, and what each group covers."""
    random = np.random.default_rng(SEED)
    for start in range(0, LAYERS, LAYERS_PER_PROGRAM):
        drawn = [draw_layer(random, start + i, lanes) for i in range(LAYERS_PER_PROGRAM)]
        yield [layers for layers, _ in drawn], set().union(*(bins for _, bins in drawn))


def test_the_layers_cover_what_they_must(build: Path) -> None:
    lanes = Lanes.of(build)
    wanted = bins_of(lanes)
    seen = set().union(*(bins for _, bins in programs(lanes)))
    missing = sorted(map(str, wanted - seen))
    assert len(seen & wanted) >= COVERAGE * len(wanted), f"{len(missing)} of {len(wanted)} bins not covered: {missing}"


def run(build: Path, folder: Path, programs: list[list[dict[str, Any]]], seed: int) -> list[dict[str, Any]]:
    return run_in_rtl(build / "soc.json", build / "bin" / "conv2d-network", folder, programs, seed)


@pytest.mark.parametrize("number", range(LAYERS // LAYERS_PER_PROGRAM))
def test_random_layers(build: Path, tmp_path: Path, number: int) -> None:
    alone = list(programs(Lanes.of(build)))[number][0]
    tried = [list(chain.from_iterable(alone)), *alone]
    for program, result in zip(tried, run(build, tmp_path, tried, SEED + number), strict=True):
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


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "along_rows", "shared"),
    [(1, 7, 2, 7, 4), (2, 9, 2, 18, 11), (3, 7, 1, 14, 10), (3, 7, 2, 14, 10), (3, 11, 4, 33, 23), (4, 5, 2, 10, 7)],
)
def test_rows_of_first_layers_share_words(
    build: Path, tmp_path: Path, channels: int, kernel: int, stride: int, along_rows: int, shared: int
) -> None:
    """Words of a result by the table in docs/conv2d.md: with those of one row alone, the array by itself would take longer."""
    lanes = Lanes.of(build)
    size = {"rows": 45, "columns": 50, "channels": channels, "filters": 96, "kernel": kernel, "padding": kernel // 2}
    program = [asdict(layer("first", stride=stride, **size))]
    [result] = run(build, tmp_path, [program], SEED)
    check_schedule(program, result)
    pixels = math.prod((extent - 1) // stride + 1 for extent in (45, 50))
    groups = -(-pixels // lanes.pixels) * -(-96 // lanes.outputs)
    assert groups * shared < result["cycles"] < groups * along_rows
