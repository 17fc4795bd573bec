"""Runs batches of vectors through a Requantizer in Amaranth's simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Fragment, Value
from amaranth.sim import Simulator, SimulatorContext

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.golden import OutputFormat, requantize
from cosoc.gateware.conv2d.requantize import REQUANTIZE_LATENCY, Requantizer, residual_delay
from cosoc.gateware.device import ULTRASCALE, Device


@dataclass(frozen=True)
class Batch:
    """Vectors of one number format: `sums` and `residual` (N, output_lanes) int64, `bias` and `multiplier` (float32) likewise.

    `residual` is None when none is added; the hardware then gets noise.
    """

    output: OutputFormat
    sums: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    residual: np.ndarray | None = None

    def expected(self) -> np.ndarray:
        return requantize(self.sums + self.bias, self.multiplier, self.output, self.residual)

    def reshaped(self, lanes: int) -> Batch:
        """The vectors in rows of `lanes`, the last row filled up with vectors from the start."""
        count = -(-self.sums.size // lanes) * lanes

        def rows(values: np.ndarray) -> np.ndarray:
            return np.resize(values.reshape(-1), count).reshape(-1, lanes)

        residual = None if self.residual is None else rows(self.residual)
        return replace(self, sums=rows(self.sums), bias=rows(self.bias), multiplier=rows(self.multiplier), residual=residual)


def run(config: Conv2DConfig, batches: list[Batch], device: Device = ULTRASCALE) -> list[np.ndarray]:
    """The results of each batch, as the requantizer of `device` has them; all batches follow each other without a gap."""
    assert config.output_pixels == 1
    dut = Requantizer(config)
    wide = config.activation_bits == 16
    noise = np.random.default_rng(0)
    inputs: list[tuple[int, int, int]] = []
    residuals: list[int] = []
    for batch in batches:
        rule = _rule(dut, batch)
        residual = batch.residual
        if residual is None:
            low = -(1 << config.activation_bits - 1)
            residual = noise.integers(low, -low, batch.sums.shape)
        for n in range(len(batch.sums)):
            channels = [
                (int(bias) & ((1 << 64) - 1 if wide else 0xFFFFFFFF)) | int(factor) << (64 if wide else 32)
                for bias, factor in zip(batch.bias[n], batch.multiplier[n].view(np.uint32), strict=True)
            ]
            inputs.append((_pack(batch.sums[n], config.accumulator_bits), _pack(channels, 8 * config.channel_bytes), rule))
            residuals.append(_pack(residual[n], config.activation_bits))
    outputs: list[int] = []

    async def drive(ctx: SimulatorContext) -> None:
        delay = residual_delay(config)
        for cycle in range(len(inputs) + REQUANTIZE_LATENCY):
            if cycle < len(inputs):
                for port, value in zip((dut.sums, dut.channels, dut.rule), inputs[cycle], strict=True):
                    ctx.set(Value.cast(port), value)
            if 0 <= cycle - delay < len(residuals):
                ctx.set(Value.cast(dut.residual), residuals[cycle - delay])
            if cycle >= REQUANTIZE_LATENCY:
                outputs.append(ctx.get(Value.cast(dut.out)))
            await ctx.tick()

    simulator = Simulator(Fragment.get(dut, device))
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    kind = np.int16 if wide else np.int8
    rows = [np.frombuffer(word.to_bytes(config.output_lanes * config.activation_bytes, "little"), kind) for word in outputs]
    ends = np.cumsum([len(batch.sums) for batch in batches])
    return [np.stack(rows[end - len(batch.sums) : end]) for end, batch in zip(ends, batches, strict=True)]


def _rule(dut: Requantizer, batch: Batch) -> int:
    output = batch.output
    fields = {
        "zero_point": output.zero_point,
        "clamp_min": output.clamp_min,
        "clamp_max": output.clamp_max,
        "residual": batch.residual is not None,
        "residual_zero_point": output.residual_zero_point,
        "residual_multiplier": 0 if batch.residual is None else output.residual_multiplier,
    }
    return int(dut.rule.shape().const({name: int(value) for name, value in fields.items()}).as_bits())


def _pack(values: np.ndarray | list[int], bits: int) -> int:
    return sum((int(value) & (1 << bits) - 1) << bits * i for i, value in enumerate(values))
