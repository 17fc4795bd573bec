"""cocotb tests of the ZIP core against its golden model: every operation, corners, lengths, queues, and bad commands."""

from __future__ import annotations

import os
import random
from itertools import count

import cocotb
import numpy as np

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.layout.page import Error
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import COMMAND, ELEMENT_BYTES, ZIPConfig, ZIPOperation
from cosoc.gateware.zip.cycles import command_cycles
from tests.gateware.arith.patterns import CORNERS, random_pairs
from tests.gateware.core_bench import CoreBench
from tests.gateware.harness import STALLS

CONFIG = ZIPConfig(lanes=int(os.environ["LANES"]))
OPERATIONS = [operation.name for operation in ZIPOperation]

Fields = dict[str, int]


class Job:
    """Memory, commands on it, and what both should become."""

    def __init__(self, dut, stall: str, kib: int = 64) -> None:
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.memory = bytearray(self._numbers(kib * 128).tobytes())
        self.expected = bytearray(self.memory)
        self.commands: list[Fields] = []
        self.errors: list[Error] = []
        self.bench = CoreBench(dut, COMMAND, readers=2, writers=1, memory=self.memory, stall=stall, seed=cocotb.RANDOM_SEED)

    def _numbers(self, elements: int) -> np.ndarray:
        """Operands of all kinds: most products neither vanish nor overflow, some do, and corners."""
        numpy = np.random.default_rng(cocotb.RANDOM_SEED)
        bits = (numpy.standard_normal(2 * elements).astype(np.float32)).view(np.uint32)
        kind = numpy.integers(0, 4, 2 * elements)
        bits = np.where(kind == 0, random_pairs(2 * elements, cocotb.RANDOM_SEED)[1], bits)
        return np.where(kind == 1, numpy.choice(CORNERS, 2 * elements), bits)

    def add(self, operation: int, length: int, a: int, b: int, out: int) -> None:
        """One more command; its effect on memory follows those before it."""
        values = {"opcode": operation, "length": length, "a_address": a, "b_address": b, "out_address": out}
        fields = COMMAND.decode(COMMAND.encode(values))
        self.commands.append(fields)
        self.errors.append(golden.execute(fields, self.expected, CONFIG))

    async def check(self, cycles: int = 100_000) -> None:
        assert await self.bench.run(self.commands, cycles=cycles) == self.errors
        wrong = [i for i in range(0, len(self.memory), 4) if self.memory[i : i + 4] != self.expected[i : i + 4]]
        assert not wrong, f"{len(wrong)} words differ, the first at {wrong[0]:#x}"
        self.commands, self.errors = [], []


@cocotb.test()
@cocotb.parametrize(operation=OPERATIONS)
async def corners(dut, operation):
    """Pairs of corners as real and as imaginary parts: a thousand of all combinations."""
    job = Job(dut, "never")
    numpy = np.random.default_rng([cocotb.RANDOM_SEED, ZIPOperation[operation]])
    length = 1000
    size = length * ELEMENT_BYTES
    for offset in (0, size):
        numbers = arith.from_bits(numpy.choice(CORNERS, 2 * length)).view(np.complex64)
        job.memory[offset : offset + size] = job.expected[offset : offset + size] = numbers.tobytes()
    await job.bench.start()
    job.add(ZIPOperation[operation], length, 0, size, 2 * size)
    await job.check()


@cocotb.test()
@cocotb.parametrize(operation=OPERATIONS, stall=list(STALLS))
async def operations_and_lengths(dut, operation, stall):
    """Commands of all short lengths and some longer, queued; every result is written beside the others."""
    job = Job(dut, stall)
    await job.bench.start()
    out = 1 << 15
    for length in (*range(1, 10), 26, 47):
        a, b = (16 * job.rng.randrange(900) for _ in range(2))
        job.add(ZIPOperation[operation], length, a, b, out)
        out += 16 * length
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def in_place(dut, stall):
    job = Job(dut, stall)
    await job.bench.start()
    for i, operation in enumerate(ZIPOperation):
        a, b = 0x1000 * i, 0x8000 + 0x1000 * i
        job.add(operation, 41 + i, a, b, (a, b)[i % 2])
        job.add(operation, 9, b, b, b)
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def a_command_reads_what_the_one_before_wrote(dut, stall):
    job = Job(dut, stall)
    await job.bench.start()
    job.add(ZIPOperation.ADD, 33, 0x0000, 0x1000, 0x4000)
    job.add(ZIPOperation.MUL, 33, 0x2000, 0x4000, 0x5000)  # as second operand
    job.add(ZIPOperation.SUB, 20, 0x5010, 0x0000, 0x6000)  # from inside
    job.add(ZIPOperation.DIV, 3, 0x1000, 0x6090, 0x4000)  # its last beat
    job.add(ZIPOperation.CONJUGATE_MUL, 5, 0x3FF0, 0x1000, 0x7000)  # across its first beat
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def mixed_commands_good_and_bad(dut, stall):
    """Random commands, every third with something wrong, over a small memory in which they often touch each other."""
    job = Job(dut, stall, kib=8)
    await job.bench.start()
    for i in range(40):
        operation, length = job.rng.choice(OPERATIONS), job.rng.randint(1, 30)
        a, b, out = (16 * job.rng.randrange(i, i + 16) for i in (0, 80, 160))
        if job.rng.random() < 0.5:
            a, b, out = b, out, (b, a, out)[i % 3]
        values = [ZIPOperation[operation], length, a, b, out]
        if i % 3 == 2:
            item, value = job.rng.choice(
                [(0, 5), (0, 255), (0, 8), (1, 0), (1, 1 << 29), (1, 2**32 - 1), (2, a + 8), (3, b + 1), (4, out + 4)]
            )
            values[item] = value
        if i % 9 == 8:  # several errors
            values[0], values[1], values[2] = (7, 0, 3) if i % 2 else (1, 0, 3)
        job.add(*values)
    assert set(job.errors) == {Error.NONE, Error.BAD_OPCODE, Error.BAD_LENGTH, Error.MISALIGNED}
    await job.check()


@cocotb.test()
async def cycles_of_a_command(dut):
    """The model says the measured cycles, and a long vector keeps the lanes busy."""
    job = Job(dut, "never", kib=64)
    await job.bench.start()
    found, expected = [], []
    for operation, length in zip(2 * list(ZIPOperation), (0, 1, 2, 3, 8, 63, 64, 127, 200, 2000), strict=True):
        job.add(operation, length, 0, 0x4000, 0x8000)
        expected.append(command_cycles(job.commands[0], CONFIG))
        await job.check()
        found.append(job.bench.cycles)
    assert found == expected
    assert found[-1] <= 2000 / (0.95 * CONFIG.lanes)


@cocotb.test()
async def cycles_of_a_queue(dut):
    """A queued command adds its beats and nothing else, as long as it is not very short."""
    job = Job(dut, "never", kib=64)
    await job.bench.start()
    lengths = [40 + 7 * i for i in range(8)]
    addresses = count(0, 0x400)
    for i, length in enumerate(lengths):
        job.add(ZIPOperation(i % len(ZIPOperation)), length, next(addresses), next(addresses), 0x8000 + next(addresses))
    last = job.commands[-1]
    beats = sum((length + 1) // 2 for length in lengths[:-1])
    await job.check()
    assert job.bench.cycles == beats * 2 // CONFIG.lanes + command_cycles(last, CONFIG)
