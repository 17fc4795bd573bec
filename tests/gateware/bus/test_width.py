"""The width converter where reads of several IDs come interleaved, which no memory of the other benches does."""

import random

import pytest
from amaranth.sim import Simulator

from cosoc.gateware.bus.width import WidthConverter, longest_burst

READERS = 3
WORDS = 60


@pytest.mark.parametrize("port_bits", [32, 64])
def test_interleaved_reads(port_bits):
    """Each ID gets its own words in order; a word is bad when one of its parts is."""
    rng = random.Random(port_bits)
    ratio = 128 // port_bits
    parts = {index: [(rng.getrandbits(port_bits), rng.random() < 0.1) for _ in range(WORDS * ratio)] for index in range(READERS)}
    order = [index for index in range(READERS) for _ in range(WORDS * ratio)]
    rng.shuffle(order)
    dut = WidthConverter(port_bits=port_bits, readers=READERS)
    received = {index: [] for index in range(READERS)}

    async def memory(ctx):
        sent = dict.fromkeys(range(READERS), 0)
        for index in order:
            while rng.random() < 0.3:
                await ctx.tick()
            value, bad = parts[index][sent[index]]
            sent[index] += 1
            assert ctx.get(dut.narrow.rready)
            for signal, content in ((dut.narrow.rid, index), (dut.narrow.rdata, value), (dut.narrow.rresp, 2 * bad)):
                ctx.set(signal, content)
            ctx.set(dut.narrow.rvalid, 1)
            await ctx.tick()
            ctx.set(dut.narrow.rvalid, 0)
        await ctx.tick().repeat(3)

    async def watch(ctx):
        async for *_, valid, index, value, response in ctx.tick().sample(
            dut.wide.rvalid, dut.wide.rid, dut.wide.rdata, dut.wide.rresp
        ):
            if valid:
                received[index].append((value, bool(response)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(memory)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    for index, given in parts.items():
        words = [given[i : i + ratio] for i in range(0, len(given), ratio)]
        assert received[index] == [
            (sum(value << port_bits * i for i, (value, _) in enumerate(word)), any(bad for _, bad in word)) for word in words
        ]


def test_longest_burst_has_256_beats_of_the_port():
    assert [longest_burst(bits) * 128 // bits for bits in (32, 64, 128)] == [256] * 3
