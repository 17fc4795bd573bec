"""cocotb test of any accelerator's peripheral: who it says it is, and what it does with commands that it does not know."""

from __future__ import annotations

import os
from dataclasses import astuple

import cocotb

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.layout.page import CAPABILITIES, ID_PREFIX, Error
from tests.gateware.peripheral.smallest import smallest
from tests.gateware.peripheral_bench import PeripheralBench, seed


@cocotb.test()
async def identity_and_unknown_commands(dut):
    accelerator = next(item for item in ACCELERATORS if item.name == os.environ["ACCELERATOR"])
    config = smallest(accelerator)
    bench = PeripheralBench(dut, accelerator.command, stall="random", seed=seed())
    await bench.start()
    await bench.set_up_ring(base=0x1000, slots_log2=2)
    assert await bench.read("id") == ID_PREFIX | accelerator.kind
    assert await bench.read("layout_hash") == accelerator.layout_hash()
    assert await bench.read("config_hash") == config.hash()
    capabilities = [await bench.read(f"capability{i}") for i in range(CAPABILITIES)]
    assert capabilities == [*astuple(config), *[0] * (CAPABILITIES - len(astuple(config)))]
    completions = await bench.run([{"opcode": 0xFF, "tag": tag, "interrupt": 1} for tag in (1, 2, 3)], cycles=3000)
    assert [(completion["tag"], completion["error"]) for completion in completions] == [(i, Error.BAD_OPCODE) for i in (1, 2, 3)]
    assert await bench.read("interrupt_status") == 3
    assert dut.interrupt.value == 1
    assert await bench.read64("beats_read") == 0
    await bench.soft_reset()
    await bench.set_up_ring(base=0x1000, slots_log2=2)
    completions = await bench.run([{"opcode": 0xFE, "tag": 9}], cycles=3000)
    assert [completion["error"] for completion in completions] == [Error.BAD_OPCODE]
