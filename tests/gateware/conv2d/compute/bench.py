"""Runs programs on the COMPUTE unit in Amaranth's simulator, with models of the buffers around it."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.lib import data
from amaranth.sim import Simulator

from cosoc.gateware.conv2d.compute import ComputeUnit
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import INSTRUCTION_BITS, INSTRUCTIONS
from cosoc.gateware.conv2d.types import FEATURE_LATENCY, WEIGHT_LATENCY, group_result, output_job
from tests.gateware.conv2d.compute.model import Model, Program, Result, Trace


@dataclass
class Run:
    """What a run showed.

    Attributes:
        busy: for each cycle, whether a step was issued.
        taken, read, offered, accepted: cycles in which instructions were taken, operands read, results first offered, and taken.
        operands: number of operands read.
    """

    jobs: list[dict[str, int]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    busy: list[bool] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    operands: int = 0

    @property
    def gaps(self) -> list[int]:
        """Lengths of the idle times between the first and the last step."""
        runs = "".join("x" if busy else "." for busy in self.busy).strip(".").split("x")
        return [len(gap) for gap in runs if gap]


class Bench:
    """The unit between models of its neighbours.

    Args:
        model: holds the buffers.
        instruction_stall, job_stall, result_stall: probability that the side of the bench holds a stream up for a cycle.
        result_interval: least cycles from one result that is taken to the next.
    """

    def __init__(
        self,
        model: Model,
        *,
        seed: int = 0,
        instruction_stall: float = 0,
        job_stall: float = 0,
        result_stall: float = 0,
        result_interval: int = 1,
    ) -> None:
        self.config = model.config
        self.dut = ComputeUnit(self.config)
        self._model = model
        self._rng = random.Random(seed)
        self._stalls = {"instruction": instruction_stall, "job": job_stall, "result": result_stall}
        self._interval = result_interval
        self._features = [_pack(row, self.config.activation_bits) for row in model.features]
        self._weights = [_pack(step.reshape(-1), 8) for step in model.weights]
        self._garbage = self._rng.getrandbits(8 * self.config.macs + 128 * self.config.pixel_lanes)

    def run(self, program: Program, *, expected: Trace, cycles: int) -> Run:
        """Executes `program` until as many results were taken as expected, and a little longer.

        Raises:
            AssertionError: not within `cycles` cycles, a read of two words of one bank, or a stream that changed its mind.
        """
        run = Run()

        async def testbench(ctx: Any) -> None:
            await self._loop(ctx, program, expected, cycles, run)

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()
        return run

    async def _loop(self, ctx: Any, program: Program, expected: Trace, cycles: int, run: Run) -> None:
        dut, config = self.dut, self.config
        words = deque(sum(w << 32 * i for i, w in enumerate(INSTRUCTIONS[op].encode(fields))) for op, fields in program)
        features: deque[int] = deque([0] * (FEATURE_LATENCY - 1))
        weights: deque[int] = deque([0] * (WEIGHT_LATENCY - 1))
        observed = (dut.pixels.enable, dut.pixels.address.as_value(), dut.weight_address, dut.busy, dut.instruction.ready)
        streams = (dut.job.valid, dut.job.payload.as_value(), dut.result.valid, dut.result.payload.as_value())
        offered: dict[str, int] = {}
        drives = {"instruction": False, "job": False, "result": False}
        pause, after = 0, 50
        for cycle in range(cycles):
            _, _, enable, address, step, busy, taken, *outputs = await ctx.tick().sample(*observed, *streams)
            if drives["instruction"] and taken:
                words.popleft()
                run.taken.append(cycle)
                drives["instruction"] = False
            run.busy.append(bool(busy))
            features.append(self._read(enable, address))
            weights.append(self._weights[step % len(self._weights)])
            if enable:
                run.read.append(cycle)
                run.operands += enable.bit_count()
            pause = max(0, pause - 1)
            for i, name in enumerate(("job", "result")):
                valid, payload = outputs[2 * i : 2 * i + 2]
                if name in offered:
                    assert (valid, payload) == (1, offered[name]), f"{name} changed before it was taken"
                elif valid and name == "result":
                    run.offered.append(cycle)
                offered.pop(name, None)
                if valid and not drives[name]:
                    offered[name] = payload
                elif valid and name == "job":
                    run.jobs.append(_job(config, payload))
                elif valid:
                    run.results.append(_result(config, payload))
                    run.accepted.append(cycle)
                    pause = self._interval - 1
            drives["instruction"] = bool(words) and (drives["instruction"] or self._moves("instruction"))
            drives["job"] = self._moves("job")
            drives["result"] = pause == 0 and self._moves("result")
            ctx.set(dut.instruction.valid, drives["instruction"])
            if words:
                ctx.set(
                    dut.instruction.payload.word, words[0] if drives["instruction"] else self._garbage % (1 << INSTRUCTION_BITS)
                )
            ctx.set(dut.job.ready, drives["job"])
            ctx.set(dut.result.ready, drives["result"])
            ctx.set(dut.pixels.data.as_value(), features.popleft())
            ctx.set(dut.weights.as_value(), weights.popleft())
            after -= len(run.results) >= len(expected.results) and not words
            if not after:
                return
        raise AssertionError(f"{len(run.results)} of {len(expected.results)} results within {cycles} cycles")

    def _moves(self, name: str) -> bool:
        return self._rng.random() >= self._stalls[name]

    def _read(self, enable: int, addresses: int) -> int:
        """The lanes' words; lanes that are not read show garbage."""
        value = self._garbage % (1 << 128 * self.config.pixel_lanes)
        banks: set[int] = set()
        for lane in range(self.config.pixel_lanes):
            if enable >> lane & 1:
                address = (addresses >> 16 * lane & 0xFFFF) % len(self._features)
                assert address % self.config.banks not in banks, f"lane {lane} and another read the same bank"
                banks.add(address % self.config.banks)
                value = value & ~(((1 << 128) - 1) << 128 * lane) | self._features[address] << 128 * lane
        return value


def check(run: Run, expected: Trace) -> None:
    """Compares what a run showed with what the model expects."""
    assert run.jobs == expected.jobs
    assert len(run.results) == len(expected.results)
    for i, (found, wanted) in enumerate(zip(run.results, expected.results, strict=True)):
        if not wanted.addresses:  # the place of an empty result is not defined
            found.part, found.channel = wanted.part, wanted.channel
        assert found == wanted, f"result {i}"
    assert sum(run.busy) == sum(expected.cycles)
    assert run.operands == expected.operands


def make_model(config: Conv2DConfig, rng: np.random.Generator, *, features: Any = None, weights: Any = None) -> Model:
    """A model with random buffers, or filled with a value or with picks from several."""
    low, high = -(1 << config.activation_bits - 1), 1 << config.activation_bits - 1
    size = (config.feature_words, config.word_channels)
    step_size = (config.weight_steps, config.output_lanes, config.input_lanes)
    words = rng.integers(low, high, size) if features is None else rng.choice(np.atleast_1d(features), size)
    steps = rng.integers(-127, 128, step_size) if weights is None else rng.choice(np.atleast_1d(weights), step_size)
    return Model(config, words, steps)


def _pack(values: np.ndarray, bits: int) -> int:
    return sum((int(value) & ((1 << bits) - 1)) << bits * i for i, value in enumerate(values))


def _job(config: Conv2DConfig, payload: int) -> dict[str, int]:
    layout = output_job(config)
    return {name: payload >> item.offset & ((1 << item.width) - 1) for name, item in layout}


def _result(config: Conv2DConfig, payload: int) -> Result:
    view: Any = data.Const(group_result(config), payload)
    lanes = [lane for lane in range(config.pixel_lanes) if view.valid >> lane & 1]
    return Result(
        last=bool(view.last),
        part=view.part,
        channel=view.channel,
        addresses={lane: view.address[lane] for lane in lanes},
        sums={lane: [view.sums[lane][o] for o in range(config.output_lanes)] for lane in lanes},
    )
