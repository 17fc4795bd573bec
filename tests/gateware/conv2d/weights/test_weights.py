"""The WEIGHTS unit against images of its buffers, with stalls on every stream; and its cycles."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Value

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.fork import JOIN_LATENCY
from cosoc.gateware.conv2d.isa import Opcode
from cosoc.gateware.conv2d.types import WEIGHT_LATENCY
from cosoc.gateware.conv2d.weights import WEIGHTS_IDLE, WEIGHTS_LATENCY, WEIGHTS_REQUEST_LATENCY, WeightUnit
from tests.gateware.conv2d.unit_bench import BenchInstruction, UnitBench

ORIGIN = 0xFFFF_8000
"""Transfers cross 2^32."""

MEMORY = random.Random(2).randbytes(8192 * WORD_BYTES)


def small(bits: int = 8, inputs: int = 8, outputs: int = 8, ports: int = 1) -> Conv2DConfig:
    return Conv2DConfig(
        activation_bits=bits,
        input_lanes=inputs,
        output_lanes=outputs,
        pixel_lanes=1,
        memory_ports=ports,
        weight_steps=64,
        channel_blocks=8,
    )


class WeightBench(UnitBench):
    """Keeps images of both buffers, each entry from when its instruction finishes, and reads the buffers all the time.

    What the unit gives for an entry that no running instruction writes must be what its image says.
    """

    def __init__(self, config: Conv2DConfig, **arguments: Any) -> None:
        super().__init__(WeightUnit(config), MEMORY, origin=ORIGIN, **arguments)
        self.config = config
        self.reads = 0
        self._rng = random.Random(config.step_beats)
        self._program: list[BenchInstruction] = []
        self._images: dict[tuple[Opcode, int], bytes] = {}
        self.seen: set[tuple[Opcode, int]] = set()
        self._asked: list[list[bytes | None]] = []
        self.on_finished = self._finish

    def execute(self, program: list[BenchInstruction], *, rest: int = 40) -> None:
        self._program = program
        self.run(program, cycles=20_000, rest=rest, each=self._read)

    def _entries(self, instruction: BenchInstruction) -> dict[tuple[Opcode, int], bytes]:
        """The content that an instruction gives to entries, by the memory layout of docs/conv2d.md."""
        start = instruction.memory - ORIGIN
        fields, config = instruction.fields, self.config
        if instruction.opcode == Opcode.CHANNELS:
            count, depth, ports, size = fields["blocks"], config.channel_blocks, 1, config.output_lanes * config.channel_bytes
        else:
            count, depth, ports, size = fields["steps"], config.weight_steps, config.memory_ports, WORD_BYTES * config.step_beats
        parts = np.frombuffer(MEMORY, np.uint8, count * size, start).reshape(ports, count, size // ports)
        entries = parts.transpose(1, 0, 2).reshape(count, size)
        return {(instruction.opcode, (fields["address"] + i) % depth): entry.tobytes() for i, entry in enumerate(entries)}

    def _finish(self, count: int) -> None:
        self._images |= self._entries(self._program[count - 1])

    def _read(self, ctx: Any, cycle: int) -> None:
        """A random address for each buffer; addresses above their sizes wrap."""
        steps, blocks = self._rng.randrange(1 << 16), self._rng.randrange(1 << 9)
        ctx.set(self.unit.weight_address, steps)
        ctx.set(self.unit.channel_address, blocks)
        keys = (Opcode.WEIGHTS, steps % self.config.weight_steps), (Opcode.CHANNELS, blocks % self.config.channel_blocks)
        unfinished = {key for instruction in self._program[len(self.finished) :] for key in self._entries(instruction)}
        self._asked.append([None if key in unfinished else self._images.get(key) for key in keys])
        self.seen |= {key for key, image in zip(keys, self._asked[-1], strict=True) if image is not None}
        if cycle < WEIGHT_LATENCY:
            return
        for image, value in zip(self._asked[-1 - WEIGHT_LATENCY], (self.unit.weights, self.unit.channels), strict=True):
            if image is not None:
                content = Value.cast(value)
                assert ctx.get(content).to_bytes(len(content) // 8, "little") == image
                self.reads += 1


def weights(steps: int, address: int = 0, *, offset: int = 0, sequence: int = 0) -> BenchInstruction:
    return BenchInstruction(Opcode.WEIGHTS, {"steps": steps, "address": address, "offset": offset}, ORIGIN, sequence)


def channels(blocks: int, address: int = 0, *, offset: int = 0, sequence: int = 0) -> BenchInstruction:
    return BenchInstruction(Opcode.CHANNELS, {"blocks": blocks, "address": address, "offset": offset}, ORIGIN, sequence)


def random_program(rng: random.Random, length: int) -> list[BenchInstruction]:
    program = []
    for count in range(length):
        common = {"offset": rng.randrange(6000), "sequence": count % 16}
        if rng.random() < 0.5:
            program.append(weights(rng.randint(1, 12), rng.randrange(1 << 16), **common))
        else:
            program.append(channels(rng.randint(1, 8), rng.randrange(1 << 16), **common))
    return program


@pytest.mark.parametrize("stalls", [("never",), ("random",), ("mostly", "never"), ("never", "mostly"), ("alternating", "random")])
@pytest.mark.parametrize(
    ("bits", "inputs", "outputs", "ports"),
    [(8, 4, 4, 1), (8, 16, 8, 2), (8, 4, 8, 2), (16, 4, 4, 1), (16, 8, 8, 2), (8, 16, 16, 1)],
)
def test_random_programs(bits, inputs, outputs, ports, stalls):
    rng = random.Random(f"{bits} {inputs} {outputs} {stalls}")
    bench = WeightBench(small(bits, inputs, outputs, ports), stalls=stalls, latency=rng.choice([1, 20]), seed=rng.randint(0, 1000))
    program = random_program(rng, 12)
    bench.execute(program)
    assert bench.reads > 20


@pytest.mark.parametrize("ports", [1, 2])
def test_every_byte_of_both_buffers(ports):
    """Whole buffers, twice over each other: the last contents stay, and every entry is read."""
    bench = WeightBench(small(ports=ports))
    program = [weights(64), channels(8, 3, offset=300), weights(64, 5, offset=1000), channels(8, 0, offset=50)]
    bench.execute(program, rest=800)
    assert bench.seen == {(Opcode.WEIGHTS, i) for i in range(64)} | {(Opcode.CHANNELS, i) for i in range(8)}


def test_requests_of_each_port():
    """Each port asks once for its half of the weights; port 0 alone for the parameters."""
    bench = WeightBench(small(inputs=16, outputs=8, ports=2))
    bench.execute([weights(5, sequence=3), channels(2, offset=100, sequence=4), weights(7, offset=200, sequence=5)])
    start = ORIGIN + 16 * 100, ORIGIN + 16 * 200
    assert bench.requests[0] == [(ORIGIN, 5 * 64, 3), (start[0], 2 * 64, 4), (start[1], 7 * 64, 5)]
    assert bench.requests[1] == [(ORIGIN + 5 * 64, 5 * 64, 3), (start[1] + 7 * 64, 7 * 64, 5)]


def test_longest_instruction_wraps():
    """More steps than the buffer holds: the last ones stay."""
    bench = WeightBench(small(inputs=4, outputs=4))
    bench.execute([weights(200, 60), channels(30, 7, offset=900)])
    assert bench.reads > 20


def test_the_widest_buffers_elaborate():
    """Of few entries: RTLIL lists every entry of a memory."""
    widest = Conv2DConfig(input_lanes=16, output_lanes=16, weight_steps=64, channel_blocks=512, memory_ports=2)
    assert "read__1__request__payload" in rtlil.convert(WeightUnit(widest))


@pytest.mark.parametrize("ports", [1, 2])
def test_latencies(ports):
    bench = WeightBench(small(ports=ports), latency=5)
    bench.execute([weights(1)])
    asked = bench.instruction.taken[0] + WEIGHTS_REQUEST_LATENCY
    beats = bench.config.step_beats // ports
    last = asked + 5 + beats - 1
    for port in range(ports):
        assert bench.request[port].taken == [asked]
        assert bench.data[port].taken == list(range(asked + 5, last + 1))
    assert bench.finished == [last + WEIGHTS_LATENCY + JOIN_LATENCY]


@pytest.mark.parametrize("ports", [1, 2])
def test_one_beat_per_cycle_in_spite_of_latency(ports):
    bench = WeightBench(small(ports=ports), latency=40)
    program = [weights(8, 8 * i) if i % 3 else channels(6, i) for i in range(9)]
    bench.execute(program)
    taken = bench.data[0].taken
    idle = len(program) - 1
    assert taken[-1] - taken[0] + 1 == len(taken) + WEIGHTS_IDLE * idle


def test_instructions_of_one_beat_take_two_cycles():
    bench = WeightBench(small(inputs=4, outputs=4), latency=1)
    bench.execute([weights(1, i) for i in range(20)])
    assert np.diff(bench.data[0].taken).tolist() == [1 + WEIGHTS_IDLE] * 19


def test_parameters_by_name():
    """Bias and multiplier come out under their names; weights in the order of their lanes."""
    for bits, kind in ((8, "<i4"), (16, "<i8")):
        bench = WeightBench(small(bits, 4, 4))
        seen: dict[str, Any] = {}

        def look(ctx: Any, cycle: int, bench=bench, seen=seen) -> None:
            if bench.finished:
                lanes = range(4)
                seen["bias"] = [ctx.get(bench.unit.channels[lane].bias) for lane in lanes]
                seen["multiplier"] = [ctx.get(bench.unit.channels[lane].multiplier) for lane in lanes]
                seen["weights"] = [ctx.get(bench.unit.weights[i]) for i in range(16)]

        bench.on_finished = lambda count: None
        bench.run([channels(1, offset=9), weights(1, offset=30)], cycles=200, each=look)
        size = bench.config.channel_bytes
        block = [MEMORY[9 * 16 + size * lane :][:size] for lane in range(4)]
        assert seen["bias"] == [np.frombuffer(item, kind)[0] for item in block]
        at = np.dtype(kind).itemsize
        assert seen["multiplier"] == [int.from_bytes(item[at : at + 4], "little") for item in block]
        assert seen["weights"] == np.frombuffer(MEMORY, np.int8, 16, 30 * 16).tolist()
