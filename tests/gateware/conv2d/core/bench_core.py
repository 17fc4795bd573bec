"""cocotb tests of the whole Conv2D core: layers against the golden model, bit by bit; errors; stalls; overlapping commands.

The environment variable CONFIG holds the parameters of the core.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import product
from typing import Any

import cocotb
import numpy as np

from cosoc.gateware.conv2d.config import COMMAND, Conv2DConfig
from cosoc.gateware.conv2d.golden import Pooling
from cosoc.gateware.conv2d.isa import Opcode
from cosoc.gateware.layout.page import Error
from tests.gateware.conv2d.core.image import Image
from tests.gateware.conv2d.layers import Layer, Operands
from tests.gateware.core_bench import CoreBench

CONFIG = Conv2DConfig(**json.loads(os.environ["CONFIG"]))

LATENCIES = 120
"""Cycles of a layer besides those of transfers and of the array."""

SAME = (1, 1, 1, 1)
"""Padding of a 3x3 kernel that keeps the size."""


def seed() -> int:
    return int(cocotb.RANDOM_SEED)


async def begin(dut, image: Image, stall: str) -> tuple[bytearray, CoreBench]:
    """The core with a copy of the image as its memory."""
    memory = bytearray(image.data)
    readers, writers = 2 * CONFIG.memory_ports + 1, CONFIG.memory_ports
    bench = CoreBench(dut, COMMAND, readers=readers, writers=writers, memory=memory, stall=stall, seed=seed(), late_errors=True)
    await bench.start()
    return memory, bench


async def check(dut, image: Image, errors: list[Error] | None = None, *, stall: str = "never") -> None:
    """Runs all commands of an image at once; their errors and everything in memory are as they should be."""
    memory, bench = await begin(dut, image, stall)
    assert await bench.run(image.commands) == (errors or [Error.NONE] * len(image.commands))
    image.check(memory)


async def layers(dut, *items: Layer) -> None:
    """Runs layers, a command each."""
    image = Image(CONFIG, seed())
    for layer in items:
        image.add(layer)
    await check(dut, image)


@cocotb.test()
async def pointwise(dut):
    """1x1 kernels, channels that do and do not fill words and blocks; the smallest layer first."""
    await layers(
        dut,
        Layer(size=(1, 1, 1), out_channels=1, strict=True),
        Layer(size=(4, 5, 16), out_channels=16),
        Layer(size=(3, 3, 7), out_channels=21),
    )


@cocotb.test()
async def kernels(dut):
    """Kernels, paddings and dilations, larger and smaller than the image."""
    await layers(
        dut,
        Layer(size=(6, 7, 16), out_channels=8, kernel=(3, 3), padding=SAME),
        Layer(size=(5, 4, 20), out_channels=9, kernel=(3, 2), padding=(0, 1, 2, 0)),
        Layer(size=(7, 9, 5), out_channels=8, kernel=(3, 3), padding=(2, 2, 2, 2), dilation=(2, 2)),
        Layer(size=(2, 3, 8), out_channels=8, kernel=(5, 5), padding=(2, 2, 2, 2)),
        Layer(size=(3, 8, 6), out_channels=5, kernel=(1, 7), padding=(0, 3, 0, 3)),
    )


@cocotb.test()
async def strides(dut):
    """Strides with and without bank conflicts."""
    await layers(
        dut,
        Layer(size=(9, 9, 16), out_channels=8, kernel=(3, 3), stride=(2, 2), padding=SAME),
        Layer(size=(8, 10, 8), out_channels=8, kernel=(1, 1), stride=(2, 2)),
        Layer(size=(10, 13, 4), out_channels=4, kernel=(3, 3), stride=(3, 3), padding=SAME),
        Layer(size=(9, 17, 4), out_channels=4, kernel=(2, 3), stride=(4, 4)),
        Layer(size=(6, 9, 4), out_channels=4, kernel=(2, 2), stride=(1, 3)),
    )


@cocotb.test()
async def folded(dut):
    """First layers: few channels, several pixels in a word."""
    items = [Layer(size=(9, 12, 3), out_channels=8, kernel=(7, 7), stride=(2, 2), padding=(3, 3, 3, 3), fold=True)]
    items += [Layer(size=(5, 7, 1), out_channels=6, kernel=(3, 3), padding=SAME, fold=True)]
    items += [Layer(size=(4, 6, c), out_channels=4, kernel=(2, 4), padding=(1, 2, 0, 1), fold=True) for c in (2, 4)]
    items += [replace(item, halves=True) for item in items[:2]]
    await layers(dut, *items)


@cocotb.test()
async def depthwise(dut):
    await layers(
        dut,
        Layer(size=(5, 6, 32), kernel=(3, 3), padding=SAME, depthwise=True),
        Layer(size=(7, 5, 19), kernel=(3, 3), stride=(2, 2), padding=SAME, depthwise=True),
    )


@cocotb.test()
async def depthwise_windows(dut):
    """Three taps in a step, among layers that take one."""
    window = {"depthwise": True, "window": True}
    await layers(
        dut,
        Layer(size=(5, 6, 32), kernel=(3, 3), padding=SAME, **window),
        Layer(size=(4, 6, 16), out_channels=8),
        Layer(size=(6, 7, 20), kernel=(3, 3), padding=SAME, residual=True, **window),
        Layer(size=(7, 1, 9), kernel=(5, 3), padding=(2, 1, 2, 1), **window),
        Layer(size=(2, 2, 17), kernel=(1, 3), padding=(0, 1, 0, 1), **window),
        Layer(size=(4, 9, 16), kernel=(3, 3), padding=SAME, depthwise=True),
    )


@cocotb.test()
async def residuals(dut):
    await layers(
        dut,
        Layer(size=(4, 6, 16), out_channels=24, residual=True),
        Layer(size=(5, 5, 8), out_channels=7, kernel=(3, 3), padding=SAME, residual=True),
        Layer(size=(4, 4, 20), kernel=(3, 3), padding=SAME, depthwise=True, residual=True),
    )


@cocotb.test()
async def pooled(dut):
    """Maximum pooling on the way to memory."""
    halves = Pooling(window=(2, 2), stride=(2, 2))
    overlapping = Pooling(window=(3, 3), stride=(2, 2), padding=SAME)
    await layers(
        dut,
        Layer(size=(6, 8, 8), out_channels=17, kernel=(3, 3), padding=SAME, pooling=halves),
        Layer(size=(7, 7, 3), out_channels=8, kernel=(3, 3), padding=SAME, fold=True, pooling=overlapping),
        Layer(size=(3, 3, 8), out_channels=8, residual=True, pooling=Pooling(window=(3, 3), stride=(1, 1))),
    )


@cocotb.test()
async def extremes(dut):
    """All activations and all weights at an end of their range, also at alternating ones; results that saturate at both ends."""
    kinds: list[dict[str, Any]] = [
        {"size": (3, 5, 20), "out_channels": 9, "kernel": (3, 3), "padding": SAME},
        {"size": (4, 3, 17), "kernel": (3, 3), "padding": SAME, "depthwise": True, "residual": True},
        {"size": (3, 6, 3), "out_channels": 5, "kernel": (3, 5), "padding": (1, 2, 1, 2), "fold": True, "residual": True},
        {"size": (2, 3, 64), "out_channels": 8},
    ]
    ends = (Operands.LEAST, Operands.GREATEST, Operands.ENDS)
    image = Image(CONFIG, seed() + 5)
    for number, (activations, weights) in enumerate(product(ends, ends)):
        for kind in (kinds[number % len(kinds)], kinds[(number + 1) % len(kinds)]):
            image.add(Layer(**kind, activations=activations, weights=weights))
    half = 1 << CONFIG.activation_bits - 1
    assert {-half, half - 1} <= image.seen()
    await check(dut, image)


@cocotb.test()
async def words_of_no_micro_operation(dut):
    """A micro-operation of 0 words is one of 1."""
    layer = Layer(size=(4, 5, CONFIG.word_channels), out_channels=8, kernel=(3, 3), padding=SAME)
    image = Image(CONFIG, seed() + 6)
    image.clear_micro_words(image.add(layer))
    await check(dut, image)


@cocotb.test()
async def random_layers(dut):
    """Layers of every kind, twenty commands that overlap as their waits allow."""
    image = Image(CONFIG, seed())
    for _ in range(20):
        image.add(random_layer(image.rng))
    await check(dut, image)


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def overlapping_layers(dut, stall):
    """Ten layers in one program: one loads, one computes, one is stored. That is quicker than one after the other."""
    image = Image(CONFIG, seed() + 3)
    layers = [random_layer(image.rng) for _ in range(10)]
    image.add_overlapped(layers)
    for layer in layers:
        image.add(replace(layer, strict=True))
    memory, bench = await begin(dut, image, stall)
    cycles = []
    for commands in (image.commands[:1], image.commands[1:]):
        assert await bench.run(commands) == [Error.NONE] * len(commands)
        cycles.append(bench.cycles)
    image.check(memory)
    assert cycles[0] < cycles[1], cycles


@cocotb.test()
async def cycles(dut):
    """The array is busy in every cycle from its first step to its last; what comes before and behind is transfers and latencies."""
    layer = Layer(size=(8, 8, 16), out_channels=16, kernel=(3, 3), padding=SAME)
    image = Image(CONFIG, seed() + 4)
    image.add(layer)
    memory, bench = await begin(dut, image, "never")
    assert await bench.run(image.commands) == [Error.NONE]
    image.check(memory)
    blocks, groups, steps = 16 // CONFIG.output_lanes, 64 // CONFIG.pixel_lanes, 9 * 16 // CONFIG.input_lanes
    busy = blocks * groups * steps
    features = 64 * 16 // CONFIG.word_channels // CONFIG.memory_ports
    weights = blocks * steps * CONFIG.step_beats // CONFIG.memory_ports + CONFIG.channel_bytes
    transfers = max(features, weights) + features
    assert busy + transfers < bench.cycles <= busy + transfers + LATENCIES, (bench.cycles, busy, transfers)


@cocotb.test()
@cocotb.parametrize(stall=["random", "mostly", "alternating"])
async def stalls(dut, stall):
    image = Image(CONFIG, seed() + 1)
    for _ in range(2 if stall == "mostly" else 5):
        image.add(random_layer(image.rng))
    await check(dut, image, stall=stall)


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def errors_end_their_command_only(dut, stall):
    """A bad instruction behind a whole layer: the layer is executed, and so are the commands around."""
    image = Image(CONFIG, seed() + 2)
    layer = Layer(size=(4, 4, 8), out_channels=8, kernel=(3, 3), padding=SAME)
    image.add(layer)
    command = image.add(layer)
    start, count = command["instruction_address"], command["instruction_count"]
    code = bytes(image.data[start : start + 32 * count])
    bases = [command[f"base{i}"] for i in range(4)]
    image.commands.pop()
    unknown = b"\x0f" + bytes(31)
    image.add_code(code + unknown + code, bases)
    image.add_program([(Opcode.WEIGHTS, {"steps": 0})], [0] * 4)
    image.add(layer)
    image.commands.append(image.commands[0] | {"base3": 8})
    image.commands.append(image.commands[0] | {"instruction_count": 0})
    image.commands.append(image.commands[0] | {"opcode": 3})
    image.add(layer)
    codes = [Error.BAD_OPCODE, Error.BAD_PARAMETER, Error.NONE, Error.MISALIGNED, Error.BAD_LENGTH, Error.BAD_OPCODE]
    await check(dut, image, [Error.NONE, *codes, Error.NONE], stall=stall)


def random_layer(rng: np.random.Generator) -> Layer:
    """A small layer of any kind."""

    def below(limit: int) -> int:
        return int(rng.integers(limit))

    kernel = (1 + below(3), 1 + below(3))
    layer = Layer(
        size=(3 + below(5), 3 + below(7), 1 + below(20)),
        out_channels=1 + below(20),
        kernel=kernel,
        stride=(1 + below(3), 1 + below(3)),
        padding=(below(2), below(2), below(2), below(2)),
        residual=below(3) == 0,
        strict=below(4) == 0,
    )
    kind = below(4)
    if kind == 0 and below(2) == 0:
        sides = (below(2), 1, below(2), 1)
        return replace(layer, depthwise=True, window=True, kernel=(kernel[0], 3), stride=(1, 1), padding=sides)
    if kind == 0:
        return replace(layer, depthwise=True)
    if kind == 1:
        channels = 2 + below(min(4, CONFIG.word_channels // layer.stride[1]) - 1)
        layer = replace(layer, size=(*layer.size[:2], channels), fold=True, halves=below(2) == 0)
    if below(3) == 0 and min(layer.out_size) >= 2:
        layer = replace(layer, pooling=Pooling(window=(2, 2), stride=(1 + below(2), 1 + below(2)), padding=(0, 0, 1, 1)))
    return layer
