"""What the COMPUTE unit must do, as docs/conv2d.md tells it: divisions where the hardware adds, no pipeline, no packing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, MICRO_ENTRIES, Opcode

Fields = Mapping[str, int]
Program = Sequence[tuple[Opcode, Fields]]


@dataclass(frozen=True)
class Micro:
    """A micro-operation."""

    offset: int = 0
    row: int = 0
    column: int = 0
    words: int = 1


@dataclass
class Result:
    """A group's results. `addresses` and `sums` have an entry for each pixel lane with a pixel."""

    last: bool
    part: int = 0
    channel: int = 0
    addresses: dict[int, int] = field(default_factory=dict)
    sums: dict[int, list[int]] = field(default_factory=dict)


@dataclass
class Trace:
    """What a program makes the unit do: jobs, results, cycles of the array for each COMPUTE, and the number of operands read."""

    jobs: list[dict[str, int]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    operands: int = 0


class Model:
    """The buffers and the state of the unit.

    Args:
        features: the feature buffer, `[word, channel]`.
        weights: the weight buffer, `[step, output, input]`.
    """

    def __init__(self, config: Conv2DConfig, features: np.ndarray, weights: np.ndarray) -> None:
        self.config, self.features, self.weights = config, features, weights
        self._micro: dict[int, Micro] = {}
        self._settings: dict[Opcode, dict[str, int]] = {}
        self._sums = np.zeros((config.pixel_lanes, config.output_lanes), np.int64)

    def run(self, program: Program) -> Trace:
        """Executes `program`."""
        trace = Trace()
        for opcode, given in program:
            layout = INSTRUCTIONS[opcode]
            fields = layout.decode(layout.encode(given))
            if opcode == Opcode.MICRO:
                for i in range(fields["count"]):
                    entry = Micro(**{name: fields[f"{name}{i}"] for name in ("offset", "row", "column", "words")})
                    self._micro[fields["address"] + i] = entry
            elif opcode == Opcode.COMPUTE:
                self._compute(fields, trace)
            else:
                self._settings[opcode] = fields
        return trace

    def _compute(self, compute: dict[str, int], trace: Trace) -> None:
        config, out = self.config, self._settings[Opcode.OUTPUT]
        geometry = self._settings[Opcode.GEOMETRY]
        names = ("zero_point", "clamp_min", "clamp_max", "residual", "residual_zero_point", "residual_multiplier")
        bits = (1 << config.activation_bits) - 1
        job = {name: out[name] & (bits if name.endswith(("point", "min", "max")) else -1) for name in names}
        trace.jobs.append(job | {"residual_offset": (compute["residual_address"] - compute["out_address"]) & 0xFFFF})
        micro = [self._micro[compute["micro_address"] + i] for i in range(compute["micro_count"])]
        if geometry["window"]:
            return self._compute_window(compute, geometry, out, micro, trace)
        groups = -(-compute["pixels"] // config.pixel_lanes)
        step = 0
        for block in range(compute["blocks"]):
            for group in range(groups):
                pixels = range(group * config.pixel_lanes, min((group + 1) * config.pixel_lanes, compute["pixels"]))
                if not compute["accumulate"]:
                    self._sums[:] = 0
                used, operands = self._multiply(compute, geometry, micro, pixels, block, step)
                trace.operands += operands
                last = block == compute["blocks"] - 1 and group == groups - 1
                if not compute["keep"]:
                    trace.results.append(self._result(compute, geometry, out, pixels, block, last))
            step += used
        if compute["keep"]:
            trace.results.append(Result(last=True))
        trace.cycles.append(compute["blocks"] * groups * used << geometry["phases_log2"])

    def _multiply(
        self, compute: Fields, geometry: Fields, micro: Sequence[Micro], pixels: range, block: int, step: int
    ) -> tuple[int, int]:
        """Adds the products of a group, whose first step is number `step`. Returns how many steps and reads there were."""
        config, first_step, operands_read = self.config, step, 0
        for entry in micro:
            for word in range(entry.words):
                operands = np.full((config.pixel_lanes, config.word_channels), geometry["zero_point"], np.int64)
                for lane, address in self.reads(compute, geometry, entry, word, pixels, block):
                    operands[lane] = self.features[address]
                    operands_read += config.word_steps
                for part in range(config.word_steps):
                    weights = self.weights[(compute["weight_address"] + step) % len(self.weights)].astype(np.int64)
                    inputs = operands[:, part * config.input_lanes :][:, : config.input_lanes]
                    self._sums += inputs @ weights.T
                    step += 1
        return step - first_step, operands_read

    def _compute_window(self, compute: dict[str, int], geometry: Fields, out: Fields, micro: Sequence[Micro], trace: Trace) -> None:
        """Three taps of a row in each step; lane l of group g has pixel g * pixel_lanes + l - 1."""
        config, lanes, pixels = self.config, self.config.pixel_lanes, compute["pixels"]
        groups = pixels // lanes + 1
        for block in range(compute["blocks"]):
            first = ((compute["out_part"] + block) % config.word_parts) * config.output_lanes
            channels = slice(first, first + config.output_lanes)
            sums = np.zeros((pixels, config.output_lanes), np.int64)
            for index, entry in enumerate(micro):
                words = np.full((pixels, config.word_channels), geometry["zero_point"], np.int64)
                for p, address in self.reads(compute, geometry, entry, 0, range(pixels), block):
                    words[p] = self.features[address]
                    trace.operands += 1
                step = compute["weight_address"] + block * len(micro) + index
                weights = self.weights[step % len(self.weights)].astype(np.int64)
                for p in range(pixels):
                    for tap in range(3):
                        inside = 0 <= p % geometry["columns"] + tap - 1 < geometry["columns"]
                        sums[p] += (words[p + tap - 1][channels] if inside else geometry["zero_point"]) * weights[:, tap]
            for group in range(groups):
                self._sums[:] = 0
                valid = {lane: p for lane in range(lanes) if 0 <= (p := group * lanes + lane - 1) < pixels}
                for lane, p in valid.items():
                    self._sums[lane] = sums[p]
                last = block == compute["blocks"] - 1 and group == groups - 1
                result = self._result(compute, geometry, out, range(group * lanes - 1, group * lanes + lanes - 1), block, last)
                result.addresses = {lane: result.addresses[lane] for lane in valid}
                result.sums = {lane: result.sums[lane] for lane in valid}
                trace.results.append(result)
        trace.cycles.append(compute["blocks"] * groups * len(micro))

    def reads(
        self, compute: Fields, geometry: Fields, entry: Micro, word: int, pixels: range, block: int
    ) -> Iterator[tuple[int, int]]:
        """Pixel lane and address of each operand that lies inside the input."""
        for lane, p in enumerate(pixels):
            out_row, out_column = divmod(p, geometry["out_columns"])
            row = compute["in_row"] + geometry["stride_rows"] * out_row + entry.row
            column = compute["in_column"] + geometry["stride_columns"] * out_column + entry.column
            address = compute["in_address"] + geometry["stride_columns"] * p + geometry["row_step"] * out_row
            address += entry.offset + word * geometry["plane_pitch"] + block * compute["block_step"]
            if 0 <= row < geometry["rows"] and 0 <= column < geometry["columns"]:
                yield lane, address % len(self.features)

    def _result(self, compute: Fields, geometry: Fields, out: Fields, pixels: range, block: int, last: bool) -> Result:
        plane, part = divmod(compute["out_part"] + block, self.config.word_parts)
        result = Result(last=last, part=part, channel=(compute["channel_address"] + block) % 512)
        bits = self.config.accumulator_bits
        for lane, p in enumerate(pixels):
            out_row = p // geometry["out_columns"]
            result.addresses[lane] = (compute["out_address"] + p + out["row_step"] * out_row + plane * out["plane_pitch"]) % 65536
            result.sums[lane] = [((int(s) + (1 << bits - 1)) % (1 << bits)) - (1 << bits - 1) for s in self._sums[lane]]
        return result


def set_micro(address: int, entries: Sequence[Micro]) -> list[tuple[Opcode, Fields]]:
    """MICRO instructions that write `entries`."""
    program: list[tuple[Opcode, Fields]] = []
    for first in range(0, len(entries), MICRO_ENTRIES):
        part = entries[first : first + MICRO_ENTRIES]
        fields: dict[str, int] = {"address": address + first, "count": len(part)}
        for i, entry in enumerate(part):
            fields |= {f"{name}{i}": getattr(entry, name) for name in ("offset", "row", "column", "words")}
        program.append((Opcode.MICRO, fields))
    return program


def geometry(config: Conv2DConfig, *, out_columns: int, stride_columns: int = 1, **fields: Any) -> tuple[Opcode, Fields]:
    """A GEOMETRY instruction with the fields that follow from others."""
    derived = {
        "out_columns": out_columns,
        "stride_columns": stride_columns,
        "stride_rows": 1,
        "group_rows": config.pixel_lanes // out_columns,
        "group_columns": config.pixel_lanes % out_columns,
        "group_step": config.pixel_lanes * stride_columns,
    }
    return Opcode.GEOMETRY, derived | fields


def output(config: Conv2DConfig, **fields: int) -> tuple[Opcode, Fields]:
    """An OUTPUT instruction, likewise."""
    return Opcode.OUTPUT, {"group_step": config.pixel_lanes, **fields}


def phases_needed(model: Model, setting: Fields, compute: Fields, micro: Sequence[Micro]) -> int:
    """The least `phases_log2` with which no two lanes that are read together share a bank."""
    config = model.config
    groups = -(-compute["pixels"] // config.pixel_lanes)
    needed = 0
    for group in range(groups):
        pixels = range(group * config.pixel_lanes, min((group + 1) * config.pixel_lanes, compute["pixels"]))
        for entry in micro:
            banks = [(lane, address % config.banks) for lane, address in model.reads(compute, setting, entry, 0, pixels, 0)]
            while any(a != b and bank_a == bank_b and (a - b) % (1 << needed) == 0 for a, bank_a in banks for b, bank_b in banks):
                needed += 1
    return needed
