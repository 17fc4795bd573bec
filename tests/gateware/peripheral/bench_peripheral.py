"""cocotb tests of a whole peripheral around the copying core."""

from __future__ import annotations

import random
from dataclasses import astuple

import cocotb

from cosoc.gateware.layout.page import CAPABILITIES, ID_PREFIX, VERSION, Error
from tests.gateware.copy_core import COPY
from tests.gateware.harness import STALLS
from tests.gateware.peripheral.copy_accelerator import COPY_CONFIG
from tests.gateware.peripheral_bench import INTERRUPT_ENABLE, RUN, PeripheralBench, seed

RING = 0x2000


def copy(source: int, target: int, length: int, **more: int) -> dict[str, int]:
    return {"in_address": source, "out_address": target, "length": length, **more}


async def begin(dut, *, stall="never", slots_log2=3, **kwargs) -> PeripheralBench:
    bench = PeripheralBench(dut, COPY, stall=stall, seed=seed())
    bench.memory.data[:] = random.Random(seed()).randbytes(len(bench.memory.data))
    await bench.start()
    await bench.set_up_ring(base=RING, slots_log2=slots_log2, **kwargs)
    return bench


@cocotb.test()
async def identifies_itself(dut):
    bench = await begin(dut)
    assert await bench.read("id") == ID_PREFIX | 200
    assert await bench.read("version") == VERSION
    parameters = astuple(COPY_CONFIG)
    assert [await bench.read(f"capability{i}") for i in range(CAPABILITIES)] == [
        *parameters,
        *[0] * (CAPABILITIES - len(parameters)),
    ]


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def copies_around_the_ring(dut, stall):
    """Several commands at once, more than the ring has slots; every byte of memory is as it should be."""
    rng = random.Random(seed())
    bench = await begin(dut, stall=stall, slots_log2=2)
    expected = bytearray(bench.memory.data)
    for round_index in range(3):
        await bench.write("burst_beats", rng.choice([1, 3, 16, 256]))
        commands = []
        for index in range(4):
            length = rng.choice([1, 15, 16, 17, 64, 300, 700])
            source = 0x8000 + rng.choice([0xFF0, 0xF80, 16 * rng.randrange(256)])
            target = 0x10000 + 0x1000 * (4 * round_index + index) + rng.choice([0xFF0, 0xF80, 0])
            expected[target : target + length] = expected[source : source + length]
            commands.append(copy(source, target, length, tag=rng.randrange(1 << 16)))
        completions = await bench.run(commands)
        for command, completion in zip(commands, completions, strict=True):
            assert completion["error"] == Error.NONE
            assert completion["tag"] == command["tag"]
            assert 0 < completion["cycles"] < 20_000
    assert bench.memory.data[0x8000:] == expected[0x8000:]
    assert await bench.read("ring_head") == 12
    assert bench.monitor.quiet


@cocotb.test()
async def more_commands_than_sequences(dut):
    """20 commands with one doorbell, of which 15 can be on their way; each reads what the one before wrote."""
    bench = await begin(dut, slots_log2=5, stall="random")
    first = bench.memory.data[0x8000:0x8020]
    completions = await bench.run([copy(0x8000 + 32 * i, 0x8020 + 32 * i, 32, tag=i) for i in range(20)])
    assert [(completion["tag"], completion["error"]) for completion in completions] == [(i, 0) for i in range(20)]
    assert bench.memory.data[0x8000 : 0x8000 + 21 * 32] == first * 21


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def errors_end_their_command_only(dut, stall):
    bench = await begin(dut, stall=stall, slots_log2=4)
    await bench.write64("window_base", 0x8000)
    await bench.write64("window_limit", 0x1FFFF)
    bench.memory.bad |= {0x9050, 0x12030}
    before = bytes(bench.memory.data)
    cases = [
        (copy(0x8000, 0x10000, 100), Error.NONE),
        (copy(0x8000, 0x11000, 16, opcode=3), Error.BAD_OPCODE),
        (copy(0x8000, 0x11000, 0), Error.BAD_LENGTH),
        (copy(0x8008, 0x14000, 40), Error.MISALIGNED),
        (copy(0x8000, 0x11001, 40), Error.MISALIGNED),
        (copy(0x7FF0, 0x15000, 40), Error.OUTSIDE_WINDOW),
        (copy(0x8000, 0x1FFF0, 17), Error.OUTSIDE_WINDOW),
        (copy(0x8000, (1 << 64) - 16, 32), Error.OUTSIDE_WINDOW),
        (copy(0x9000, 0x16000, 256), Error.READ_RESPONSE),
        (copy(0x8000, 0x12000, 100), Error.WRITE_RESPONSE),
        (copy(0x8100, 0x1FFF0, 16), Error.NONE),
        (copy(0x8100, 0x13000, 1000), Error.NONE),
    ]
    completions = await bench.run([command for command, _ in cases])
    assert [completion["error"] for completion in completions] == [code for _, code in cases]
    data = bench.memory.data
    assert data[0x10000:0x10064] == before[0x8000:0x8064]
    assert data[0x10064:0x12000] == before[0x10064:0x12000], "a failed command wrote"
    # A failed read gives zeros: all of it where nothing is read, and the bad word where memory answers with an error.
    assert data[0x14000:0x14028] == bytes(40)
    assert data[0x15000:0x15028] == bytes(40)
    assert data[0x16000:0x16100] == before[0x9000:0x9050] + bytes(16) + before[0x9060:0x9100]
    assert data[0x1FFF0:0x20000] == before[0x8100:0x8110]
    assert data[0x13000:0x133E8] == before[0x8100:0x84E8]
    assert data[0x20000:] == before[0x20000:], "a write left the window"
    assert await bench.read("error_code") == Error.WRITE_RESPONSE
    assert await bench.read("interrupt_status") == 2
    assert dut.interrupt.value == 1


@cocotb.test()
async def a_command_that_cannot_be_fetched(dut):
    """The commands around it are executed; a completion that cannot be written counts too."""
    bench = await begin(dut)
    bench.memory.bad |= {RING + 128 + 0x20, RING + 3 * 128 + 0x70}
    await bench.write("ring_tail", 0)
    completions = await bench.run([copy(0x8000, 0x10000 + 64 * i, 64, tag=7 + i, interrupt=1) for i in range(3)])
    assert [(completion["error"], completion["tag"]) for completion in completions] == [(0, 7), (Error.READ_RESPONSE, 0), (0, 9)]
    assert bench.memory.data[0x10080:0x100C0] == bench.memory.data[0x8000:0x8040]
    assert await bench.read("error_code") == Error.READ_RESPONSE
    completions = await bench.run([copy(0x8000, 0x10400, 64), copy(0x8000, 0x10440, 64)])
    assert completions[0]["done"] == 0
    assert completions[1]["done"] == 1
    assert await bench.read("error_code") == Error.WRITE_RESPONSE


@cocotb.test()
async def interrupts(dut):
    bench = await begin(dut)
    await bench.run([copy(0x8000, 0x10000, 16)])
    assert await bench.read("interrupt_status") == 0
    await bench.run([copy(0x8000, 0x10000, 16, interrupt=1)])
    assert await bench.read("interrupt_status") == 1
    assert dut.interrupt.value == 1
    await bench.write("control", RUN)
    assert dut.interrupt.value == 0
    await bench.write("control", RUN | INTERRUPT_ENABLE)
    assert dut.interrupt.value == 1
    await bench.write("interrupt_status", 2)
    assert await bench.read("interrupt_status") == 1, "another bit was cleared"
    await bench.write("interrupt_status", 1)
    assert dut.interrupt.value == 0


@cocotb.test()
async def bad_doorbells_are_refused(dut):
    bench = await begin(dut, slots_log2=2)
    bench.place([copy(0x8000, 0x10000, 16)] * 2)
    for tail in (5, 0xFFFFFFFF, 0x80000000):
        await bench.write("ring_tail", tail)
        assert await bench.read("error_code") == Error.BAD_PARAMETER
        assert await bench.read("interrupt_status") == 2
        await bench.write("interrupt_status", 2)
        assert await bench.read("status") == 0
    await bench.ring()
    await bench.wait_completed(2)
    await bench.write("ring_tail", 1)
    assert await bench.read("interrupt_status") == 2, "commands were taken back"
    await bench.write("ring_log2", 11)
    await bench.write("interrupt_status", 2)
    await bench.write("ring_tail", 3)
    assert await bench.read("interrupt_status") == 2, "a ring of 2048 slots was accepted"
    await bench.write("ring_log2", 2)
    completions = await bench.run([copy(0x8000, 0x11000, 48)] * 2)
    assert [completion["error"] for completion in completions] == [0, 0]
    assert bench.memory.data[0x11000:0x11030] == bench.memory.data[0x8000:0x8030]
    assert await bench.read("ring_head") == 4


@cocotb.test()
async def nothing_runs_before_run(dut):
    bench = await begin(dut, control=0)
    bench.place([copy(0x8000, 0x10000, 16)])
    await bench.ring()
    await bench.wait(100)
    assert await bench.read("status") == 0
    assert not bench.monitor.bursts
    await bench.write("control", RUN)
    await bench.wait_completed(1)


@cocotb.test()
@cocotb.parametrize(stall=["never", "random", "mostly"])
async def soft_reset_in_mid_transfer(dut, stall):
    """Whatever is going on, the reset ends, the bus is quiet afterwards, and the next commands are right."""
    rng = random.Random(seed())
    bench = await begin(dut, stall=stall)
    for _ in range(3):
        await bench.write("burst_beats", rng.choice([4, 16, 64]))
        bench.place([copy(0x8000, 0x10000 + 0x1000 * i, 2000, interrupt=1) for i in range(6)])
        await bench.ring()
        await bench.wait(rng.randrange(1, 250))
        await bench.soft_reset()
        assert bench.monitor.quiet
        bursts = len(bench.monitor.bursts)
        for name in ("status", "ring_head", "ring_tail", "ring_base_lo", "interrupt_status", "error_code", "beats_read_lo"):
            assert await bench.read(name) == 0, name
        assert await bench.read("burst_beats") == 16
        await bench.wait(30)
        assert len(bench.monitor.bursts) == bursts, "something went on after the reset"
        await bench.set_up_ring(base=RING, slots_log2=3)
        completions = await bench.run([copy(0x9000 + 0x100 * i, 0x10000 + 0x200 * i, 257, tag=i) for i in range(3)])
        for i, completion in enumerate(completions):
            assert (completion["tag"], completion["error"]) == (i, 0)
            source = bench.memory.data[0x9000 + 0x100 * i :][:257]
            assert bench.memory.data[0x10000 + 0x200 * i :][:257] == source


@cocotb.test()
async def counters_count(dut):
    bench = await begin(dut)
    completions = await bench.run([copy(0x8000, 0x10000, 100), copy(0x8000, 0x11000, 16 * 33)])
    assert await bench.read64("beats_read") == 7 + 33
    assert await bench.read64("beats_written") == 7 + 33
    busy = await bench.read64("cycles_busy")
    assert max(completion["cycles"] for completion in completions) <= busy <= sum(c["cycles"] for c in completions) + 100
    assert 0 < await bench.read64("cycles_starved") < busy
    await bench.wait(20)
    assert await bench.read64("cycles_busy") == busy
