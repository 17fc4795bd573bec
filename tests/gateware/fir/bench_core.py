"""cocotb tests of the FIR core against its golden model: taps, frames, delays, decimation, sums, resets, and bad commands."""

from __future__ import annotations

import json
import os
import random

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cosoc.gateware.fir import golden
from cosoc.gateware.fir.config import COMMAND, SAMPLE_BYTES, FIRConfig, FIROperation
from cosoc.gateware.fir.cycles import command_cycles, queued_cycles
from cosoc.gateware.layout.page import Error
from tests.gateware.arith.patterns import CORNERS
from tests.gateware.core_bench import CoreBench
from tests.gateware.harness import STALLS, little_endian, start

CONFIG = FIRConfig(**json.loads(os.environ["FIR_CONFIG"]))
TAPS, TARGET = 0x4000, 0x6000

Fields = dict[str, int]


def command(samples: int, **values: int) -> Fields:
    """All multipliers on one frame at address 0, unless told otherwise; `outputs` are those of its frames."""
    fields: Fields = {"taps": CONFIG.multipliers, "length": samples, "decimation": 1, "taps_address": TAPS, "out_address": TARGET}
    fields |= {"opcode": FIROperation.FILTER, "samples": samples} | values
    if "outputs" not in values:
        length, decimation = max(1, fields["length"]), max(1, fields["decimation"])
        fields["outputs"] = golden.count_outputs(samples=fields["samples"], length=length, decimation=decimation)
    return COMMAND.decode(COMMAND.encode(fields))


class Job:
    """A memory of noise, and what it should become."""

    def __init__(self, dut, stall: str = "never", corners: float = 0.1) -> None:
        self.rng = random.Random(cocotb.RANDOM_SEED)
        numpy = np.random.default_rng(cocotb.RANDOM_SEED)
        bits = numpy.standard_normal(0x2000).astype(np.float32).view(np.uint32)
        bits = np.where(numpy.random(0x2000) < corners, numpy.choice(CORNERS, 0x2000), bits)
        self.memory = bytearray(bits.tobytes())
        self.expected = bytearray(self.memory)
        self.bench = CoreBench(
            dut, COMMAND, readers=2, writers=1, memory=self.memory, stall=stall, seed=cocotb.RANDOM_SEED, late_errors=True
        )

    async def run(self, *commands: Fields) -> list[Error]:
        """Commands on the core and on the model: errors and all of memory are equal."""
        errors = [golden.execute(fields, self.expected, CONFIG) for fields in commands]
        assert await self.bench.run(commands) == errors
        wrong = [i for i in range(0, len(self.memory), 4) if self.memory[i : i + 4] != self.expected[i : i + 4]]
        assert not wrong, f"{len(wrong)} words differ, the first at {wrong[0]:#x}"
        return errors


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def short_frames(dut, stall):
    """Frames of all short lengths, also shorter than the filter, and all numbers of taps."""
    job = Job(dut, stall)
    await job.bench.start()
    lengths = (1, 2, 3, CONFIG.multipliers, CONFIG.multipliers + 1, 9)
    for taps in sorted({1, 2, CONFIG.multipliers}):
        await job.run(*(command(23, length=length, taps=taps, in_address=16 * taps) for length in lengths))


@cocotb.test()
async def values(dut):
    """Pairs of corners: subnormal numbers, infinities, NaN, signed zeros."""
    job = Job(dut, corners=1)
    await job.bench.start()
    await job.run(*(command(300, in_address=0x800 * i, taps_address=TAPS + 0x400 * i) for i in range(4)))


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def long_filters(dut, stall):
    """A filter in parts gives the bits of the whole filter."""
    job = Job(dut, stall)
    await job.bench.start()
    taps, length = min(3 * CONFIG.multipliers + 1, CONFIG.max_taps), 50
    x = np.frombuffer(bytes(job.memory), "<c8", 2 * length, 0)
    h = np.frombuffer(bytes(job.memory), "<c8", taps, TAPS)
    parts = range(0, taps, CONFIG.multipliers)
    await job.run(
        *(
            command(
                2 * length,
                opcode=FIROperation.ACCUMULATE if first else FIROperation.FILTER,
                length=length,
                taps=min(CONFIG.multipliers, taps - first),
                delay=first,
                taps_address=TAPS + first * SAMPLE_BYTES,
            )
            for first in parts
        )
    )
    found = np.frombuffer(bytes(job.memory), "<u8", 2 * length, TARGET)
    whole = np.concatenate([golden.apply(frame, h) for frame in np.split(x, 2)])
    assert (found == whole.view(np.uint64)).all()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def any_command(dut, stall):
    """Random commands, every fourth with something wrong, others that read what those before wrote."""
    job = Job(dut, stall)
    await job.bench.start()
    rng, commands = job.rng, []
    for i in range(40):
        samples, length = rng.randint(1, 60), rng.randint(1, 40)
        fields = command(
            samples,
            opcode=rng.choice(list(FIROperation)),
            length=length,
            decimation=rng.choice([1, 1, 2, 3, 7, length, 50000]),
            delay=rng.choice([0, 0, 1, 2, length, CONFIG.max_taps - 1]),
            taps=rng.randint(1, CONFIG.multipliers),
            in_address=16 * rng.randrange(64) + (TARGET if rng.random() < 0.3 else 0),
            out_address=TARGET + 0x1000 + 16 * rng.randrange(16) if rng.random() < 0.5 else 0x3000,
        )
        wrong = [("opcode", 2), ("samples", 0), ("outputs", 0), ("outputs", samples + 1), ("length", 0), ("taps", 0)]
        wrong += [("taps", CONFIG.multipliers + 1), ("in_address", 8), ("out_address", 0x3001), ("taps_address", 4)]
        wrong += [("decimation", 0), ("delay", CONFIG.max_taps), ("samples", 1 << 29)]
        if i % 4 == 3:
            fields |= [rng.choice(wrong)]
        commands.append(fields)
    errors = await job.run(*commands)
    assert {Error.NONE, Error.BAD_LENGTH, Error.MISALIGNED} <= set(errors)


@cocotb.test()
async def every_error(dut):
    """The lowest code of several errors, and no transfer."""
    job = Job(dut)
    await job.bench.start()
    good = command(8)
    assert await job.run(
        good | {"opcode": 2, "samples": 0},
        good | {"taps": CONFIG.multipliers + 1, "in_address": 8},
        good | {"out_address": 8, "decimation": 0},
        good | {"delay": CONFIG.max_taps},
        good,
    ) == [Error.BAD_OPCODE, Error.BAD_LENGTH, Error.MISALIGNED, Error.BAD_PARAMETER, Error.NONE]
    cycles = []
    for bad in ({"opcode": 255}, {"length": 0}):
        await job.run(good | bad)
        cycles.append(job.bench.cycles)
    assert cycles == [command_cycles(good | bad, CONFIG) for bad in ({"opcode": 255}, {"length": 0})]


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def number_of_results(dut, stall):
    """One that is not that of the frames ends with an error, after all transfers, and the next command is not harmed."""
    job = Job(dut, stall)
    await job.bench.start()
    for opcode in FIROperation:
        for outputs in (1, 5, 20):  # of 10
            bad = command(20, length=7, decimation=2, opcode=opcode, outputs=outputs)
            assert await job.run(bad, command(11, opcode=opcode)) == [Error.BAD_LENGTH, Error.NONE]


@cocotb.test()
@cocotb.parametrize(cycles=[6, 15, 77, 150])
async def reset_in_flight(dut, cycles):
    """A reset while taps are loaded, or samples are in the chain and in the queue of results, leaves nothing behind."""
    await start(dut)
    words = COMMAND.encode(command(200, opcode=FIROperation.ACCUMULATE, delay=3))
    dut.command__payload.value = int.from_bytes(little_endian(words, 4), "little")
    for port in (0, 1):
        getattr(dut, f"read__{port}__data__payload").value = random.Random(cocotb.RANDOM_SEED).getrandbits(128)
    dut.completion__ready.value = 0
    dut.write__0__done__valid.value = 0
    streams = [dut.command__valid, dut.write__0__request__ready, dut.write__0__data__ready]
    for port in (0, 1):
        streams += [getattr(dut, f"read__{port}__{name}") for name in ("data__valid", "request__ready")]
    for offered in (1, 0):
        for handle in streams:
            handle.value = offered
        dut.rst.value = 1 - offered
        await ClockCycles(dut.clk, cycles if offered else 2, RisingEdge)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    job = Job(dut)
    fields = command(31, length=9, decimation=2)
    await job.run(fields)
    assert job.bench.cycles == command_cycles(fields, CONFIG)


@cocotb.test()
async def durations(dut):
    """The model says the measured cycles: one sample per cycle, whatever the taps."""
    job = Job(dut)
    await job.bench.start()
    for fields in (
        command(1),
        command(2),
        command(700),
        command(700, taps=1, decimation=3, length=50),
        command(301, opcode=FIROperation.ACCUMULATE, delay=2),
    ):
        await job.run(fields)
        assert job.bench.cycles == command_cycles(fields, CONFIG)


@cocotb.test()
@cocotb.parametrize(length=[7, 100])
async def a_queue(dut, length):
    """Each command adds its taps and samples and some cycles, and no more: nobody waits for the end of the one before. Short
    commands wait until the taps that they replace are not needed any more.
    """
    job = Job(dut)
    await job.bench.start()
    work = [
        command(length, in_address=0x400 * (i % 8), out_address=TARGET + 0x400 * (i % 4), taps_address=TAPS + 0x100 * i)
        for i in range(10)
    ]
    spans = []
    for count in (4, 10):
        await job.run(*work[:count])
        spans.append(job.bench.cycles)
    assert (spans[1] - spans[0]) / 6 <= queued_cycles(work[0], CONFIG)
    assert (spans[1] - spans[0]) / 6 > queued_cycles(work[0], CONFIG) - 1
