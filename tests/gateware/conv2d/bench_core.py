"""cocotb tests of the Conv2D core against the golden model: bit-exact memory and equal error codes.

The environment variable CONFIG holds the parameters of the core; CYCLES=0 leaves out the tests that compare counts of cycles,
which are the same on every simulator.
"""

from __future__ import annotations

import itertools
import json
import os

import cocotb

from cosoc.gateware.conv2d.config import COMMAND, Conv2DConfig, Conv2DFlag
from cosoc.gateware.conv2d.cycles import command_cycles, queued_cycles
from tests.gateware.conv2d.tiles import Memory
from tests.gateware.core_bench import CoreBench

CONFIG = Conv2DConfig(**json.loads(os.environ["CONFIG"]))

NO_CYCLES = os.environ["CYCLES"] == "0"

KERNELS = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (1, 7), (5, 2), (1, 3)]


async def check(dut, memory: Memory, *queues: list[dict[str, int]], stall: str = "never") -> list[int]:
    """Runs queues of commands one after the other and compares everything; returns the cycles of each queue."""
    commands = list(itertools.chain(*queues))
    expected_errors, expected = memory.expect(commands)
    bench = CoreBench(dut, COMMAND, readers=2, writers=1, memory=memory.data, stall=stall, seed=cocotb.RANDOM_SEED)
    await bench.start()
    errors, cycles = [], []
    for queue in queues:
        errors += await bench.run(queue)
        cycles.append(bench.cycles)
    assert errors == expected_errors
    differing = [i for i, (a, b) in enumerate(zip(memory.data, expected, strict=True)) if a != b]
    assert not differing, f"{len(differing)} bytes differ, the first at {differing[0]:#x}; commands: {commands}"
    return cycles


@cocotb.test()
async def kernels(dut):
    """Every kernel, on tiles that it fits and on smaller ones."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED)
    commands = [memory.command(kernel=kernel, padding=(kernel[0] // 2, kernel[1] // 2), size=(5, 6)) for kernel in KERNELS]
    commands += [memory.command(kernel=kernel, padding=(3, 2), size=(2, 3), out_size=(3, 4)) for kernel in ((7, 7), (6, 5))]
    await check(dut, memory, commands)


@cocotb.test()
async def random_shapes(dut):
    """Random sizes, strides, paddings and gaps."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 1)
    await check(dut, memory, [random_command(memory) for _ in range(12)])


def random_command(memory: Memory) -> dict[str, int]:
    """A small command of any kind but one with partial sums."""

    def integer(low: int, high: int) -> int:
        return int(memory.rng.integers(low, high + 1))

    return memory.command(
        kernel=(integer(1, 4), integer(1, 3)),
        stride=(integer(1, 3), integer(1, 2)),
        padding=(integer(0, 3), integer(0, 3)),
        size=(integer(1, 5), integer(1, 5)),
        words=integer(1, 3),
        blocks=integer(1, 3),
        gaps=tuple(integer(0, 2) if integer(0, 1) else 0 for _ in range(4)),
    )


@cocotb.test()
@cocotb.parametrize(stall=["random", "mostly", "alternating"])
async def stalls(dut, stall):
    """Any stall leaves the results alone."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 2)
    commands = [random_command(memory) for _ in range(1 if stall == "mostly" else 3)]
    commands += memory.chain(3, kernel=(2, 2), size=(3, 2), blocks=2)
    commands += [memory.command(in_rows=0), memory.command(size=(2, 3), words=2, blocks=2)]
    await check(dut, memory, commands, stall=stall)


@cocotb.test()
async def output_channels(dut):
    """Blocks that fill, do not fill and overfill the stored words."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 3)
    shape = {"kernel": (1, 1), "size": (2, 2)}
    commands = [memory.command(blocks=blocks, **shape) for blocks in range(1, 6)]
    most = commands[-1]["out_words"]
    commands += [memory.command(blocks=5, out_words=out_words, **shape) for out_words in range(1, most)]
    await check(dut, memory, commands)


@cocotb.test()
async def single_steps(dut):
    """One step per pixel: the sums leave slower than they could be formed."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 4)
    commands = [memory.command(kernel=(1, 1), size=(4, 5), words=words, blocks=2) for words in (1, 2, 3, 4, 5)]
    await check(dut, memory, commands)


@cocotb.test()
async def extremes(dut):
    """All operands at either end of int8, with saturating and vanishing multipliers."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 5)
    commands = []
    for x, w in ((-128, -128), (127, 127), (-128, 127), (127, -128)):
        command = memory.command(kernel=(3, 3), size=(2, 2), padding=(1, 1), in_zero_point=x, out_zero_point=w, blocks=2)
        tile = 4 * 16
        weights = 9 * 2 * CONFIG.output_lanes * 16
        memory.data[command["in_address"] : command["in_address"] + tile] = bytes([x & 255]) * tile
        memory.data[command["weight_address"] : command["weight_address"] + weights] = bytes([w & 255]) * weights
        commands.append(command)
    await check(dut, memory, commands)


@cocotb.test()
async def requantization(dut):
    """The sums are the biases: ties, limits and random values of every size, each with random multipliers."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 6)
    blocks = min(CONFIG.output_words * 16 // CONFIG.output_lanes, 256 // CONFIG.output_lanes)
    count = blocks * CONFIG.output_lanes
    commands = []
    for kind in ("ties", "limits", "sizes", "boundaries"):
        command = memory.command(kernel=(1, 1), size=(1, 1), blocks=blocks, clamp_min=-128, clamp_max=127)
        weights = blocks * CONFIG.output_lanes * 16
        memory.data[command["weight_address"] : command["weight_address"] + weights] = bytes(weights)
        channels = memory.requantization_cases(kind, count).tobytes()
        memory.data[command["channel_address"] : command["channel_address"] + len(channels)] = channels
        commands.append(command)
    await check(dut, memory, commands)


@cocotb.test()
async def partial_sums(dut):
    """Sums over parts of the input channels; the shortest possible commands follow each other most closely."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 7)
    commands = memory.chain(4, kernel=(1, 1), size=(1, 1))
    commands += memory.chain(2, size=(4, 4), padding=(1, 1), blocks=3)
    commands += memory.chain(3, size=(3, 3), words=2, blocks=2)
    full = CONFIG.partial_pixels // 2
    commands += memory.chain(2, kernel=(1, 1), size=(1, full), blocks=2, out_words=1)
    await check(dut, memory, commands)


@cocotb.test()
async def capacities(dut):
    """Commands that fill a buffer exactly."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 8)
    commands = [
        memory.command(kernel=(1, 1), size=(1, 1), words=CONFIG.weight_steps),
        memory.command(kernel=(1, 1), size=(16, 16), words=CONFIG.activation_words // 256, out_size=(2, 2), stride=(7, 7)),
        memory.command(kernel=(1, 1), size=(1, CONFIG.output_words), stride=(1, 1)),
    ]
    await check(dut, memory, commands)


@cocotb.test()
async def refusals(dut):
    """Every reason to refuse a command, each followed by a good one."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 9)
    zero = ["kernel_height", "kernel_width", "stride_height", "stride_width", "in_rows", "in_columns", "in_words"]
    zero += ["out_blocks", "out_rows", "out_columns", "out_words"]
    bad = [{name: 0} for name in zero]
    addresses = ["in_address", "weight_address", "channel_address", "out_address"]
    pitches = ["in_row_pitch", "in_pixel_pitch", "out_row_pitch", "out_pixel_pitch"]
    bad += [{name: 1 << bit} for name, bit in zip(addresses + pitches, (0, 1, 2, 3, 3, 2, 1, 0), strict=True)]
    bad += [{"opcode": 1}, {"opcode": 255, "in_rows": 0}, {"flags": 4}, {"flags": 128, "in_rows": 0}]
    bad += [{"clamp_min": 5, "clamp_max": 4}, {"kernel_height": 0, "in_address": 1}, {"in_columns": 0, "stride_width": 0}]
    huge = 0xFFFF
    bad += [{"in_rows": huge, "in_columns": huge, "in_words": huge}, {"in_words": CONFIG.weight_steps + 1}]
    bad += [{"in_columns": CONFIG.activation_words + 1}, {"in_rows": CONFIG.activation_words + 1}]
    bad += [{"in_columns": 0x8000, "in_rows": 2}, {"in_columns": 0x4000, "in_words": 4}]
    bad += [{"out_words": CONFIG.output_lanes // 16 + 2}, {"out_columns": CONFIG.output_words + 1}]
    bad += [{"out_rows": huge, "out_columns": huge}, {"flags": int(Conv2DFlag.ACCUMULATE), "out_blocks": CONFIG.partial_pixels + 1}]
    bad += [{"flags": int(Conv2DFlag.PARTIAL), "out_rows": CONFIG.partial_pixels + 1}]
    commands = []
    for fields in bad:
        commands += [memory.command(kernel=(1, 1), size=(1, 1)) | fields]
        commands += [memory.command(kernel=(1, 1), size=(1, 2))]
    errors, _ = memory.expect(commands)
    assert all(errors[0::2])
    assert not any(errors[1::2])
    # Fields that a command without output does not use may hold anything.
    unused = {"out_address": 3, "out_row_pitch": 5, "out_words": 0, "clamp_min": 1, "clamp_max": 0, "channel_address": 0}
    commands += [memory.command(kernel=(1, 1), size=(1, 1), flags=int(Conv2DFlag.PARTIAL)) | unused]
    await check(dut, memory, commands)


@cocotb.test(skip=NO_CYCLES)
async def queued_commands_overlap(dut):
    """A queue takes about as long as its busiest unit, as the model of cycles says."""
    count = 6
    shapes = [
        {"size": (5, 5), "padding": (1, 1)},  # the array works most
        {"size": (3, 3)},  # the loader of weights
        {"kernel": (1, 1), "size": (12, 12), "stride": (7, 7)},  # the loader of activations
    ]
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 10)
    alone = [memory.command(**shape) for shape in shapes]
    queues = [[memory.command(**shape) for _ in range(count)] for shape in shapes]
    cycles = await check(dut, memory, *[[command] for command in alone], *queues)
    for i, shape in enumerate(shapes):
        one, queue = cycles[i], cycles[len(shapes) + i]
        expected = one + (count - 1) * queued_cycles(alone[i], CONFIG)
        assert queue < 0.9 * count * one, f"{count} commands took {queue} cycles, one {one}; {shape}"
        assert abs(queue - expected) <= 0.05 * expected, f"{queue} cycles, the model says {expected}; {shape}"


@cocotb.test(skip=NO_CYCLES)
async def cycle_model(dut):
    """Commands on their own, without stalls, take what the model says, within 4 cycles and 1 %."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 11)
    shapes = [
        {"size": (5, 5), "padding": (1, 1)},
        {"size": (4, 4), "words": 2, "blocks": 3},
        {"kernel": (1, 1), "size": (4, 4), "blocks": 4},
        {"kernel": (2, 2), "size": (9, 9), "stride": (5, 5), "blocks": 4},
        {"kernel": (1, 1), "size": (1, 1)},
        {"size": (3, 3), "blocks": 2, "flags": int(Conv2DFlag.PARTIAL)},
    ]
    commands = [memory.command(**shape) for shape in shapes]
    measured = await check(dut, memory, *[[command] for command in commands])
    model = [command_cycles(command, CONFIG) for command in commands]
    close = [abs(a - b) <= 4 + 0.01 * b for a, b in zip(measured, model, strict=True)]
    assert all(close), f"measured {measured}, the model says {model}"


@cocotb.test(skip=NO_CYCLES or CONFIG.output_words < 1024)
async def utilization(dut):
    """3x3, 64 to 64 channels, a tile of 16x16 pixels: at least 85 % of the multiplications that would be possible."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED + 12)
    blocks = 64 // CONFIG.output_lanes
    [cycles] = await check(dut, memory, [memory.command(size=(16, 16), padding=(1, 1), words=4, blocks=blocks)])
    useful = 16 * 16 * 9 * 64 * 64 / CONFIG.macs
    assert useful / cycles >= 0.85, f"{useful:.0f} of {cycles} cycles"
