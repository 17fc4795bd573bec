"""cocotb tests of the ZIP core against its golden model: every operation, corners, lengths, repeats, queues, and bad commands."""

from __future__ import annotations

import json
import os
import random

import cocotb
import numpy as np

from cosoc.gateware.layout.page import Error
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import COMMAND, NumberFormat, ZIPConfig, ZIPOperation
from cosoc.gateware.zip.cycles import beat_cycles, command_cycles
from cosoc.gateware.zip.integer_lane import IntegerLane
from cosoc.gateware.zip.lane import FloatLane
from tests.gateware.arith.patterns import CORNERS, random_pairs
from tests.gateware.core_bench import CoreBench
from tests.gateware.harness import STALLS

CONFIG = ZIPConfig(**json.loads(os.environ["ZIP_CONFIG"]))
FORMAT = CONFIG.format
OPERATIONS = list(ZIPOperation)
LANE = IntegerLane if FORMAT is NumberFormat.INT16 else FloatLane
WITH_C = [operation for operation in OPERATIONS if operation.operands == 3]

INTEGER_CORNERS = [-32768, -32767, -16384, -3, -2, -1, 0, 0, 0, 1, 2, 3, 4, 181, 16384, 32767]
"""Half of all complex divisors have a part that is zero, and one in thirty is zero."""

Fields = dict[str, int]


class Job:
    """Memory, commands on it, and what both should become."""

    def __init__(self, dut, stall: str, kib: int = 64) -> None:
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.memory = bytearray(_numbers(kib * 256))
        self.expected = bytearray(self.memory)
        self.commands: list[Fields] = []
        self.errors: list[Error] = []
        ports = {"readers": 3 * CONFIG.memory_ports, "writers": CONFIG.memory_ports}
        self.bench = CoreBench(dut, COMMAND, **ports, memory=self.memory, stall=stall, seed=cocotb.RANDOM_SEED)

    def add(self, operation: int, length: int, a: int, b: int, out: int, **others: int) -> Fields:
        """One more command; its effect on memory follows those before it."""
        values = {"opcode": operation, "length": length, "a_address": a, "b_address": b, "out_address": out, **others}
        fields = COMMAND.decode(COMMAND.encode(values))
        self.commands.append(fields)
        self.errors.append(golden.execute(fields, self.expected, CONFIG))
        return fields

    async def check(self, cycles: int = 100_000) -> None:
        assert await self.bench.run(self.commands, cycles=cycles) == self.errors
        wrong = [i for i in range(0, len(self.memory), 4) if self.memory[i : i + 4] != self.expected[i : i + 4]]
        assert not wrong, f"{len(wrong)} words differ, the first at {wrong[0]:#x}"
        self.commands, self.errors = [], []


def _numbers(words: int) -> bytes:
    """Operands of all kinds: float32 of which most products neither vanish nor overflow, some do, and corners; or any int16."""
    numpy = np.random.default_rng(cocotb.RANDOM_SEED)
    if FORMAT is NumberFormat.INT16:
        return numpy.choice([-32768, -1, 0, 1, 32767, *numpy.integers(-(1 << 15), 1 << 15, 40)], 2 * words).astype("<i2").tobytes()
    bits = numpy.standard_normal(words).astype(np.float32).view(np.uint32)
    kind = numpy.integers(0, 4, words)
    bits = np.where(kind == 0, random_pairs(words, cocotb.RANDOM_SEED)[1], bits)
    return np.where(kind == 1, numpy.choice(CORNERS, words), bits).astype("<u4").tobytes()


@cocotb.test()
async def corners(dut):
    """Every operation on corners as real and as imaginary parts: hundreds of all combinations, of integers with any shift."""
    job = Job(dut, "never")
    numpy = np.random.default_rng([cocotb.RANDOM_SEED, 1])
    size = 1 << 14
    integers = FORMAT is NumberFormat.INT16
    numbers = numpy.choice(INTEGER_CORNERS, 3 * size // 2).astype("<i2") if integers else numpy.choice(CORNERS, 3 * size // 4)
    job.memory[: 3 * size] = job.expected[: 3 * size] = numbers.tobytes()
    await job.bench.start()
    for operation in OPERATIONS:
        for shift in (0, 9, 31) if integers else (0,):
            a, b, c = (offset + 16 * job.rng.randrange(400) for offset in (0, size, 2 * size))
            job.add(operation, 300, a, b, 3 * size, c_address=c, shift=shift)
            await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def operations_and_lengths(dut, stall):
    """Every operation with short lengths and a longer one, queued; every result is written beside the others."""
    job = Job(dut, stall)
    await job.bench.start()
    out = 1 << 15
    for index, operation in enumerate(OPERATIONS):
        for length in (1, 2, 3, 4, 5 + index % 5, 26 + index):
            a, b, c = (16 * job.rng.randrange(1900) for _ in range(3))
            job.add(operation, length, a, b, out, c_address=c, shift=job.rng.randrange(32))
            out += -(-length * operation.result_bytes(FORMAT) // 16) * 16
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def second_operands(dut, stall):
    """Vectors of all short lengths that repeat, even and odd, to the longest; and constants."""
    job = Job(dut, stall, kib=128)
    await job.bench.start()
    out = 1 << 16
    operations = [operation for operation in OPERATIONS if operation.operands > 1]
    longest = 8192 // ZIPOperation.MUL.element_bytes(FORMAT)
    periods = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 33, 64] + ([longest] if stall == "never" else [])
    for index, period in enumerate(periods):
        for operation in (operations[index % len(operations)], ZIPOperation.MUL, ZIPOperation.REAL_ADD):
            slot = 8 // operation.element_bytes(FORMAT)
            elements = period * slot if period > 1 else 1
            if elements * operation.element_bytes(FORMAT) > 8192:
                continue
            length = elements + job.rng.randint(0, 3 * elements + 9)
            a, b, c = (16 * job.rng.randrange(1500) for _ in range(3))
            constant = {"b_constant": 1, "constant": int.from_bytes(job.expected[b : b + 8], "little")}
            second = constant if job.rng.random() < 0.2 else {"b_length": elements}
            job.add(operation, length, a, b, out, c_address=c, shift=job.rng.randrange(20), **second)
            out += -(-length * operation.result_bytes(FORMAT) // 16) * 16
    assert out <= len(job.memory)
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def in_place(dut, stall):
    job = Job(dut, stall)
    await job.bench.start()
    for i, operation in enumerate(OPERATIONS):
        a, b, c = 0x800 * i, 0x7000 + 0x800 * i, 0x200 * i
        job.add(operation, 41 + i, a, b, (a, b)[i % 2], c_address=c, shift=7)
        job.add(operation, 9, b, b, b, c_address=b)
    for operation in WITH_C:
        job.add(operation, 50, 0, 0x1000, 0x2000, c_address=0x2000, shift=9)
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def commands_that_touch_each_other(dut, stall):
    """Reads of what was written before, and, for two engines, writes of what is read or written before."""
    job = Job(dut, stall)
    await job.bench.start()
    op = ZIPOperation
    job.add(op.ADD, 66, 0x0000, 0x1000, 0x4000)
    job.add(op.MUL, 66, 0x2000, 0x4000, 0x5000)  # as second operand
    job.add(op.SUB, 40, 0x5010, 0x0000, 0x6000)  # from inside
    job.add(op.CONJUGATE_MUL, 3, 0x1000, 0x6090, 0x4000)  # its last beats
    job.add(op.MULTIPLY_ADD, 10, 0x1000, 0x2000, 0x7000, c_address=0x4000)  # as third operand
    job.add(op.REAL_ADD, 10, 0x3FF0, 0x1000, 0x7000)  # across its first beat
    job.add(op.MAGNITUDE_SQUARED, 90, 0x0000, 0, 0x8000)
    job.add(op.ADD, 3, 0x1000, 0x2000, 0x0280)  # writes what the one before reads
    job.add(op.ADD, 200, 0x1000, 0x2000, 0x9000)
    job.add(op.SUB, 5, 0x1000, 0x2000, 0x9300)  # writes what the one before writes
    job.add(op.MUL, 40, 0x0000, 0x9300, 0x0000, b_length=2)  # repeats what was written just before
    await job.check()


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def mixed_commands_good_and_bad(dut, stall):
    """Random commands, every third with something wrong, over a small memory in which they often touch each other."""
    job = Job(dut, stall, kib=8)
    await job.bench.start()
    too_long = 8192 // FORMAT.real_bytes + 8
    mistakes = [
        {"opcode": max(ZIPOperation) + 1},
        {"opcode": 255},
        {"opcode": 16},
        {"length": 0},
        {"length": 1 << 29},
        {"length": 2**32 - 1},
        {"b_length": too_long, "length": 1 << 20},
        {"b_length": 31},
        {"a_address": 8},
        {"b_address": 33},
        {"c_address": 8, "opcode": ZIPOperation.MULTIPLY_ADD},
        {"out_address": 1028},
        {"b_length": 3, "length": 7, "opcode": ZIPOperation.REAL_MUL},
        {"b_length": 3, "c_address": 1, "length": 2, "opcode": 15},
        {"b_length": 3, "a_address": 1, "length": 3, "opcode": ZIPOperation.REAL_MUL},
        {"b_length": 3, "a_address": 1, "length": 2, "opcode": ZIPOperation.REAL_MUL},
    ]
    for i in range(60):
        a, b, out, c = (16 * job.rng.randrange(i, i + 16) for i in (0, 80, 160, 240))
        if job.rng.random() < 0.5:
            a, b, out = b, out, (b, a, out)[i % 3]
        values = {
            "operation": job.rng.choice(OPERATIONS),
            "length": job.rng.randint(1, 30),
            **{"a": a, "b": b, "out": out, "c_address": c, "shift": job.rng.randrange(17)},
        }
        fields = job.add(**values) if i % 3 != 2 else None
        if fields is None:
            mistake = mistakes[i // 3 % len(mistakes)]
            values |= mistake
            values["operation"] = values.pop("opcode", ZIPOperation.ADD)
            for name in ("a", "b", "out"):
                values[name] = values.pop(f"{name}_address", values[name])
            job.add(**values)
            assert job.errors[-1] != Error.NONE, mistake
    assert set(job.errors) == {Error.NONE, Error.BAD_OPCODE, Error.BAD_LENGTH, Error.MISALIGNED, Error.BAD_PARAMETER}
    await job.check()


@cocotb.test()
async def cycles_of_a_command(dut):
    """The model says the measured cycles, and a long vector keeps the lanes busy."""
    job = Job(dut, "never", kib=64)
    await job.bench.start()
    found, expected = [], []
    lengths = [0, 1, 2, 3, 8, 63, 64, 127, 200, 199, 31, 4, 2000, 90]
    for operation, length in zip(OPERATIONS, lengths, strict=True):
        expected.append(command_cycles(job.add(operation, length, 0, 0x4000, 0x8000), CONFIG))
        await job.check()
        found.append(job.bench.cycles)
    assert found == expected


@cocotb.test(skip=CONFIG.memory_ports > 1)
async def cycles_of_a_queue(dut):
    """A queued command adds its beats and nothing else, as long as it is not very short."""
    job = Job(dut, "never", kib=64)
    await job.bench.start()
    beats = 0
    for i, operation in enumerate(sorted(OPERATIONS, key=lambda operation: operation.divides)):
        second = {"b_length": 8} if operation.operands > 1 and i % 2 else {}
        fields = job.add(operation, 80 + 7 * i, 0x400 * i, 0x400 * i + 0x100, 0x8000 + 0x400 * i, **second)
        beats += beat_cycles(fields, CONFIG)
    last = job.commands[-1]
    await job.check()
    assert job.bench.cycles == beats - beat_cycles(last, CONFIG) + command_cycles(last, CONFIG)


@cocotb.test(skip=CONFIG.memory_ports > 1)
async def cycles_of_what_must_not_overtake(dut):
    """A command that follows quotients or roots waits for them once."""
    job = Job(dut, "never", kib=64)
    await job.bench.start()
    first = job.add(ZIPOperation.MAGNITUDE, 90, 0, 0, 0x4000)
    last = job.add(ZIPOperation.REAL_ADD, 90, 0x1000, 0x2000, 0x5000)
    await job.check()
    waited = LANE.divided_latency - LANE.latency
    assert job.bench.cycles == beat_cycles(first, CONFIG) + waited + command_cycles(last, CONFIG)
