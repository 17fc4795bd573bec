"""cocotb tests of the FFT core against its golden model; the environment's FFT_CONFIG tells which core is under test."""

from __future__ import annotations

import json
import os
import random

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cosoc.gateware.fft.chunks import CHUNK_BEATS
from cosoc.gateware.fft.config import COMMAND, MIN_LOG2, FFTConfig, FFTOperation
from cosoc.gateware.fft.cycles import command_cycles
from cosoc.gateware.fft.golden import execute
from cosoc.gateware.layout.page import Error
from tests.gateware.core_bench import CoreBench
from tests.gateware.fft.commands import command, extent, random_command
from tests.gateware.fft.signals import special_values, white_noise
from tests.gateware.harness import STALLS, little_endian, start

CONFIG = FFTConfig(**json.loads(os.environ.get("FFT_CONFIG", "{}")))
LENGTHS = range(MIN_LOG2, CONFIG.max_log2 + 1)
OPERATIONS = list(FFTOperation)
MEMORY_BYTES = 1 << 16
TARGET = MEMORY_BYTES // 2


async def run(dut, *batches, memory, stall="never", clock_runs=False):
    """Runs batches of commands on the core and on the golden model; everything must be equal, all of memory included.

    Returns the cycles that each batch took.
    """
    expected = bytearray(memory)
    readers, writers = CONFIG.memory_ports + CONFIG.multiply, CONFIG.memory_ports
    bench = CoreBench(dut, COMMAND, readers=readers, writers=writers, memory=memory, stall=stall, seed=cocotb.RANDOM_SEED)
    if not clock_runs:
        await bench.start()
    cycles = []
    for commands in batches:
        errors = [execute(fields, expected, CONFIG) for fields in commands]
        assert await bench.run(commands) == errors
        different = np.flatnonzero(np.frombuffer(memory, "<u4") != np.frombuffer(expected, "<u4"))
        assert different.size == 0, f"{different.size} words differ, the first at {4 * different[0]:#x}"
        cycles.append(bench.cycles)
    return cycles


def check_cycles(cycles, *commands):
    """The cycles of commands are those of the model; of two ports, which begin and end a chunk apart, up to two chunks more."""
    slack = 2 * CHUNK_BEATS if CONFIG.memory_ports > 1 else 0
    for found, fields in zip(cycles, commands, strict=True):
        assert 0 <= found - command_cycles(fields, CONFIG) <= slack, f"{found} cycles, {command_cycles(fields, CONFIG)} expected"


def memory_of(samples):
    """A memory that begins with these samples; random bytes follow."""
    memory = bytearray(random.Random(1).randbytes(MEMORY_BYTES))
    content = np.ascontiguousarray(samples, dtype=np.complex64).tobytes()
    memory[: len(content)] = content
    return memory


def noise(count=MEMORY_BYTES // 16):
    """A memory whose lower half, or less, is white noise."""
    return memory_of(white_noise(np.random.default_rng(cocotb.RANDOM_SEED), count))


@cocotb.test()
@cocotb.parametrize(log2_length=LENGTHS, operation=OPERATIONS)
async def transforms(dut, log2_length, operation):
    """One frame and several, the cycle model, and the rate of P samples per cycle."""
    frames = 6 if log2_length < 8 else 3
    one, several = (command(operation, log2_length, count, 0, TARGET) for count in (1, frames))
    check_cycles(await run(dut, [one], [several], memory=noise()), one, several)


@cocotb.test()
@cocotb.parametrize(log2_length=LENGTHS, operation=OPERATIONS)
async def special(dut, log2_length, operation):
    """Infinities, NaN, subnormal numbers, the largest and smallest numbers and signed zeros."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    frames = min(8, 2048 >> log2_length)
    samples = special_values(rng, frames, 1 << log2_length)
    await run(dut, [command(operation, log2_length, frames, 0, TARGET)], memory=memory_of(samples))


@cocotb.test()
@cocotb.parametrize(transpose=[0, 1])
async def columns(dut, transpose):
    """Blocks of columns of a matrix, each of its rows wider than the block."""
    batches = []
    for log2_length in LENGTHS:
        for columns_log2 in range(2, CONFIG.max_log2 - log2_length + 1):
            fields = command(
                FFTOperation.FORWARD,
                log2_length,
                2,
                0,
                TARGET,
                interleave_log2=columns_log2,
                transpose=transpose,
                in_row_stride=16 << columns_log2,
                in_frame_stride=8 << columns_log2,
            )
            if extent(fields, "in") <= TARGET and extent(fields, "out") <= TARGET:
                batches.append([fields])
    await run(dut, *batches, memory=noise())


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def mixed_queue(dut, stall):
    """Commands of all kinds in a queue, refused ones between them, under stalls."""
    rng = random.Random(cocotb.RANDOM_SEED)
    commands = []
    for _ in range(24):
        good = random_command(rng, CONFIG, MEMORY_BYTES)
        commands += [good] * rng.randint(1, 2)
        if rng.random() < 0.3:
            commands.append(good | rng.choice(REFUSED)[0])
    await run(dut, commands, memory=noise(), stall=stall)


REFUSED = [
    ({"opcode": 2}, Error.BAD_OPCODE),
    ({"opcode": 255, "log2_length": 0, "in_address": 1}, Error.BAD_OPCODE),
    ({"log2_length": MIN_LOG2 - 1}, Error.BAD_LENGTH),
    ({"log2_length": 0}, Error.BAD_LENGTH),
    ({"log2_length": CONFIG.max_log2 + 1, "interleave_log2": 0}, Error.BAD_LENGTH),
    ({"log2_length": 32 + MIN_LOG2}, Error.BAD_LENGTH),
    ({"log2_length": MIN_LOG2, "interleave_log2": CONFIG.max_log2 - MIN_LOG2 + 1}, Error.BAD_LENGTH),
    ({"interleave_log2": 256 - MIN_LOG2}, Error.BAD_LENGTH),
    ({"frames": 0}, Error.BAD_LENGTH),
    ({"log2_length": MIN_LOG2, "interleave_log2": 0, "frames": 1 << 26}, Error.BAD_LENGTH),
    ({"log2_length": CONFIG.max_log2, "interleave_log2": 0, "frames": 1 << 29 - CONFIG.max_log2}, Error.BAD_LENGTH),
    ({"frames": 0xFFFFFFFF, "out_address": 8}, Error.BAD_LENGTH),
    ({"in_address": 8}, Error.MISALIGNED),
    ({"out_address": TARGET + 1}, Error.MISALIGNED),
    ({"in_address": 4, "real": 1, "scaled": 1}, Error.MISALIGNED),
    ({"frames": 2, "in_frame_stride": 72}, Error.MISALIGNED),
    ({"frames": 2, "out_frame_stride": 8, "real": 0}, Error.MISALIGNED),
    ({"log2_length": MIN_LOG2, "interleave_log2": 1}, Error.BAD_PARAMETER),
    ({"real": 1, "scaled": 1, "interleave_log2": 0}, Error.BAD_PARAMETER),
    ({"real": 1, "opcode": 1, "scaled": 0}, Error.BAD_PARAMETER),
    ({"real": 1, "multiply": 1, "opcode": 0}, Error.BAD_PARAMETER),
]
"""Changes to a good command, and the error that each makes."""

if not CONFIG.real_input:
    REFUSED.append(({"real": 1, "scaled": 0, "opcode": 0, "interleave_log2": 0}, Error.BAD_PARAMETER))
if not CONFIG.multiply:
    REFUSED.append(({"multiply": 1}, Error.BAD_PARAMETER))
if CONFIG.max_log2 > MIN_LOG2 + 1:
    REFUSED += [
        ({"log2_length": MIN_LOG2, "interleave_log2": 2, f"{operand}_row_stride": 40}, Error.MISALIGNED)
        for operand in ("in", "out")
    ]


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def refused(dut, stall):
    """Every bad command is refused, and the good ones around it are executed."""
    good = command(FFTOperation.FORWARD, MIN_LOG2, 2, 0, TARGET)
    commands, expected = [good], [Error.NONE]
    for change, error in REFUSED:
        commands += [good | change, good]
        expected += [error, Error.NONE]
    assert [execute(fields, bytearray(MEMORY_BYTES), CONFIG) for fields in commands] == expected
    await run(dut, commands, memory=noise(), stall=stall)


@cocotb.test()
async def refusal_cycles(dut):
    fields = command(FFTOperation.FORWARD, MIN_LOG2, 0, 0, 0)
    assert await run(dut, [fields], memory=memory_of([])) == [command_cycles(fields, CONFIG)]


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def in_place(dut, stall):
    """Output over input, for many frames, and for blocks of columns."""
    commands = [command(operation, MIN_LOG2 + n, 32, 0, 0) for n, operation in ((0, 0), (0, 0), (1, 1))]
    if CONFIG.max_log2 >= MIN_LOG2 + 2:
        block = {
            f"{operand}_{name}": size for operand in ("in", "out") for name, size in (("row_stride", 256), ("frame_stride", 32))
        }
        commands.append(command(FFTOperation.FORWARD, MIN_LOG2, 8, 0, 0, interleave_log2=2, **block))
    await run(dut, commands, memory=noise(), stall=stall)


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def chained(dut, stall):
    """Each command reads what those before it wrote: wholly, only the first beat, only the last beat, also of strided frames."""
    size = 2 * 8 << MIN_LOG2
    sources_and_targets = [
        (0, 4096),
        (4096, 8192),
        (4096 + size - 16, 12288),
        (12288 - size + 16, 16384),
        (12288 + size, 20480),
    ]
    commands = [command(FFTOperation.FORWARD, MIN_LOG2, 2, source, target) for source, target in sources_and_targets]
    for stride in (1 << MIN_LOG2 + 3, 1 << MIN_LOG2 + 4, 240):
        strided = command(FFTOperation.FORWARD, MIN_LOG2, 5, 0, 24576, out_frame_stride=stride)
        end = 24576 + extent(strided, "out")
        commands += [strided, command(FFTOperation.FORWARD, MIN_LOG2, 1, end - 16, 40960)]
    await run(dut, commands, memory=noise(), stall=stall)


@cocotb.test()
async def commands_without_gap(dut):
    """Commands of several frames follow each other as the frames of one command do."""
    log2_length, size = CONFIG.max_log2 - 1, 4 << CONFIG.max_log2 + 2
    few = [command(FFTOperation.INVERSE, log2_length, 4, 0, TARGET + n * size) for n in range(4)]
    cycles = await run(dut, [command(FFTOperation.INVERSE, log2_length, 16, 0, TARGET)], few, memory=noise())
    assert cycles[0] == cycles[1]


@cocotb.test()
@cocotb.parametrize(cycles=[20, 77, 150, 311])
async def reset_in_flight(dut, cycles):
    """A reset while frames are in the pipeline, the reorder buffer and the queues leaves nothing behind."""
    await start(dut)
    words = COMMAND.encode(command(FFTOperation.INVERSE, MIN_LOG2, 100, 0, 0))
    dut.command__payload.value = int.from_bytes(little_endian(words, 4), "little")
    dut.completion__ready.value = 0
    streams = [dut.command__valid]
    for port in range(CONFIG.memory_ports + CONFIG.multiply):
        getattr(dut, f"read__{port}__data__payload").value = random.Random(cocotb.RANDOM_SEED).getrandbits(128)
        streams += [getattr(dut, f"read__{port}__data__valid"), getattr(dut, f"read__{port}__request__ready")]
    for port in range(CONFIG.memory_ports):
        getattr(dut, f"write__{port}__done__valid").value = 0
        streams += [getattr(dut, f"write__{port}__request__ready"), getattr(dut, f"write__{port}__data__ready")]
    for offered in (1, 0):
        for handle in streams:
            handle.value = offered
        dut.rst.value = 1 - offered
        await ClockCycles(dut.clk, cycles if offered else 2, RisingEdge)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    fields = command(FFTOperation.FORWARD, MIN_LOG2, 4, 0, TARGET)
    check_cycles(await run(dut, [fields], memory=noise(), clock_runs=True), fields)
