"""cocotb tests of the engine inside its peripheral: layers through the ring, soft resets, memory that answers with errors."""

from __future__ import annotations

import json
import os

import cocotb
import numpy as np

from cosoc.gateware.conv2d.config import BASES, COMMAND, Conv2DConfig
from cosoc.gateware.conv2d.fold import MAX_FOLD_CHANNELS, MAX_FOLD_SKIP, SKIPPING_CHANNELS
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, MICRO_ENTRIES, Opcode
from cosoc.gateware.layout.page import Error
from tests.gateware.conv2d.core.image import Image
from tests.gateware.conv2d.layers import Layer
from tests.gateware.conv2d.programs import CONSTANTS, INPUT, OUTPUT, RESIDUAL, Instruction
from tests.gateware.harness import STALLS
from tests.gateware.peripheral_bench import PeripheralBench, seed

CONFIG = Conv2DConfig(**json.loads(os.environ["CONFIG"]))

RING = 0x1000
FIRST = 0x2000
"""Where images begin, behind the ring."""

SCRATCH = 0x30000
"""Where programs without sense may write, up to the end of memory."""

EXTENTS = ("rows", "columns", "steps", "blocks", "pixels", "micro_count", "window_rows", "window_columns")
"""Fields that say how long an instruction takes."""

LIMITS = {
    "count": MICRO_ENTRIES + 1,
    "phases_log2": 2,
    "out_part": 4,
    "fold_channels": MAX_FOLD_CHANNELS + 1,
    "fold_skip": MAX_FOLD_SKIP + 1,
    "twin_skip": MAX_FOLD_SKIP + 1,
}
"""What these fields must stay below."""

MICRO_PROGRAM: list[Instruction] = [
    (Opcode.MICRO, {"address": first, "count": MICRO_ENTRIES} | {f"words{i}": 1 + i for i in range(MICRO_ENTRIES)})
    for first in (0, MICRO_ENTRIES)
]
"""Entries that random instructions may use: what they find elsewhere takes up to 255 words."""

LAYER = Layer(size=(5, 6, 8), out_channels=8, kernel=(3, 3), padding=(1, 1, 1, 1), residual=True)


def layers(count: int, *, salt: int = 0) -> Image:
    """Memory with a few small layers."""
    image = Image(CONFIG, seed() + salt, first=FIRST)
    for _ in range(count):
        image.add(LAYER)
    return image


async def begin(dut, stall: str) -> PeripheralBench:
    """One memory, for all managers that the peripheral has."""
    bench = PeripheralBench(dut, COMMAND, stall=stall, seed=seed())
    if hasattr(dut, "m_axi1_wdata"):
        bench.attach("m_axi1", bench.memory, stall, seed() + 1)
    await bench.start()
    return bench


async def run(bench: PeripheralBench, image: Image) -> list[int]:
    """Runs an image's commands with a fresh ring; nothing but results may change, and the ring. Returns the errors."""
    bench.memory.data[:] = image.data
    await bench.set_up_ring(base=RING, slots_log2=4)
    completions = await bench.run(image.commands)
    data = bytearray(bench.memory.data)
    data[RING:FIRST] = image.data[RING:FIRST]
    image.check(data)
    return [completion["error"] for completion in completions]


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def layers_through_the_ring(dut, stall):
    bench = await begin(dut, stall)
    assert await run(bench, layers(4)) == [Error.NONE] * 4
    assert bench.monitor.quiet


async def burst_of_a_layer(bench: PeripheralBench, channel: str) -> None:
    """Waits until the address of one is taken; its beats are still to come."""
    before = len(bench.monitor.bursts)
    while not any(name == channel and address >= FIRST for name, address, _ in bench.monitor.bursts[before:]):
        await bench.wait(1)
    assert not bench.monitor.quiet


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def soft_reset_in_mid_layer(dut, stall):
    """At any moment of three layers, and while they read or write; nothing of them is left, and the next ones are right."""
    rng = np.random.default_rng(seed())
    bench = await begin(dut, stall)
    for attempt, channel in enumerate((None, "ar", "aw", "ar")):
        image = layers(3, salt=attempt)
        bench.memory.data[:] = image.data
        await bench.set_up_ring(base=RING, slots_log2=4)
        bench.place(image.commands)
        await bench.ring()
        await bench.wait(int(rng.integers(50, 300 if channel else 1500)))
        if channel:
            await burst_of_a_layer(bench, channel)
        await bench.soft_reset()
        assert bench.monitor.quiet
        assert await bench.read("status") == 0
    assert await run(bench, layers(2, salt=9)) == [Error.NONE] * 2


@cocotb.test()
async def programs_that_cannot_be_read(dut):
    """Memory's error is the code of the command, also when what came instead of instructions is wrong; the next layer is right."""
    bench = await begin(dut, "never")
    image = layers(1, salt=20)
    outside = image.commands[0] | {"instruction_address": 0xFF_0000}
    await bench.write64("window_limit", len(image.data) - 1)
    bench.memory.data[:] = image.data
    await bench.set_up_ring(base=RING, slots_log2=4)
    bad = image.commands[0]["instruction_address"] + 64
    bench.memory.bad |= {bad, bad + 16}
    completions = await bench.run([outside, image.commands[0]])
    assert [completion["error"] for completion in completions] == [Error.OUTSIDE_WINDOW, Error.READ_RESPONSE]
    bench.memory.bad.clear()
    await bench.soft_reset()
    assert await run(bench, layers(2, salt=21)) == [Error.NONE] * 2


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def random_instructions(dut, stall):
    """Fields without sense: every command ends, with or without an error, and writes only where it may; the next layer is right."""
    rng = np.random.default_rng(seed() + 40)
    bench = await begin(dut, stall)
    errors: set[int] = set()
    for attempt in range(2):
        await bench.write64("window_limit", len(bench.memory.data) - 1)
        image = layers(1, salt=40 + attempt)
        image.commands.clear()
        for _ in range(15):
            program = [random_instruction(rng) for _ in range(int(rng.integers(1, 32)))]
            image.add_program(MICRO_PROGRAM + program, [SCRATCH] * BASES)
        bench.memory.data[:] = image.data
        await bench.set_up_ring(base=RING, slots_log2=4)
        completions = await bench.run(image.commands, cycles=200_000)
        errors |= {completion["error"] for completion in completions}
        assert bench.memory.data[FIRST:SCRATCH] == image.data[FIRST:SCRATCH]
        await bench.soft_reset()
        assert bench.monitor.quiet
        assert await run(bench, layers(2, salt=50 + attempt)) == [Error.NONE] * 2
    assert errors >= {Error.NONE, Error.BAD_PARAMETER, Error.OUTSIDE_WINDOW}


def random_instruction(rng: np.random.Generator) -> Instruction:
    """A known opcode and random fields. Those that say how long it takes are small; a rule is broken now and then."""
    opcode = Opcode(int(rng.integers(len(Opcode))))
    layout = INSTRUCTIONS[opcode]
    fields: dict[str, int] = {}
    for field in layout.fields[1:]:
        low, high = (-(1 << field.width - 1), 1 << field.width - 1) if field.signed else (0, 1 << field.width)
        if field.name in EXTENTS or field.name.startswith("words"):
            high = min(high, 6)
        elif field.name == "micro_address" or (opcode is Opcode.MICRO and field.name == "address"):
            high = MICRO_ENTRIES
        elif field.name == "offset" and rng.integers(8):
            high = 1 << 10
        elif field.name in ("row_pitch", "pixel_pitch") and rng.integers(8):
            high = 1 << 5
        elif field.name.startswith("wait"):
            high = 4 if rng.integers(4) else 256
        low, high = low + (field.name in layout.nonzero), min(high, LIMITS.get(field.name, high))
        fields[field.name] = int(rng.integers(low, high))
    if fields.get("window"):
        fields |= {"stride_rows": 1, "stride_columns": 1, "phases_log2": 0}
    if fields.get("fold_channels"):
        fields |= {"words": 1, "fold_stride": max(1, fields["fold_stride"])}
        fields["twin"] %= fields["fold_stride"]
        for skip in ("fold_skip", "twin_skip"):
            fields[skip] *= fields["fold_channels"] == SKIPPING_CHANNELS
    if layout.nonzero and rng.integers(12) == 0:
        fields[layout.nonzero[rng.integers(len(layout.nonzero))]] = 0
    return opcode, fields


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def transfers_that_cannot_be_made(dut, stall):
    """Each tensor of a layer outside the window, or answered with an error: the command ends with that, the next ones are right."""
    bench = await begin(dut, stall)
    image = layers(1, salt=30)
    [command] = image.commands
    await bench.write64("window_limit", len(image.data) - 1)
    bench.memory.data[:] = image.data
    await bench.set_up_ring(base=RING, slots_log2=4)
    bases = [f"base{i}" for i in (INPUT, OUTPUT, CONSTANTS, RESIDUAL)]
    completions = await bench.run([command | {base: 0xFF_0000} for base in bases])
    assert [completion["error"] for completion in completions] == [Error.OUTSIDE_WINDOW] * len(bases)
    for base in bases:
        bench.memory.bad |= {command[base]}
        [completion] = await bench.run([command])
        assert completion["error"] == (Error.WRITE_RESPONSE if base == f"base{OUTPUT}" else Error.READ_RESPONSE), base
        bench.memory.bad.clear()
    await bench.soft_reset()
    assert await run(bench, layers(2, salt=31)) == [Error.NONE] * 2
