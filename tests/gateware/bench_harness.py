"""cocotb tests of the harness itself, on a FIFO: all payloads arrive in order under every pair of stalls."""

from __future__ import annotations

import os
import random

import cocotb

from tests.gateware.harness import STALLS, StreamSink, StreamSource, start, wait_until


@cocotb.test()
@cocotb.parametrize(source=list(STALLS), sink=list(STALLS))
async def passes_everything(dut, source, sink):
    payloads = [random.Random(cocotb.RANDOM_SEED).randrange(256) for _ in range(60)]
    sender = StreamSource(dut, "write", dut.clk, stall=source, seed=1)
    receiver = StreamSink(dut, "read", dut.clk, stall=sink, seed=2)
    await start(dut)
    sender.send(*payloads)
    await wait_until(dut.clk, lambda: len(receiver.received) == 60, cycles=5000, what="60 payloads")
    assert receiver.received == payloads
    assert os.environ.get("EXPECT", "60") == str(len(receiver.received)), "the environment asks for another count"
