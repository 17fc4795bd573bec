"""Random commands and their operands in an image of memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosoc.gateware.conv2d.config import COMMAND, WORD_CHANNELS, Conv2DConfig, Conv2DFlag
from cosoc.gateware.conv2d.golden import CHANNEL_BYTES, block_words, execute, kernel_steps, new_partial_sums

SMALL = {"activation_words": 256, "weight_steps": 64, "output_words": 128, "partial_pixels": 64}
"""The smallest buffers."""


class Memory:
    """Memory full of random bytes, from which commands take their areas one after the other.

    Attributes:
        data: what the hardware works on.
        partial_sums: state of the golden model.
    """

    def __init__(self, config: Conv2DConfig, seed: int, size: int = 1 << 19) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.data = bytearray(self.rng.bytes(size))
        self.partial_sums = new_partial_sums(config)
        self._next = 0

    def take(self, size: int) -> int:
        """Address of `size` fresh bytes, with a gap below them."""
        address = self._next + 16 * int(self.rng.integers(1, 4))
        self._next = address + -(-size // 16) * 16
        assert self._next <= len(self.data), "the memory of the test is too small"
        return address

    def put(self, values: Any) -> int:
        """Copies an array to fresh bytes and returns their address."""
        content = np.ascontiguousarray(values).tobytes()
        address = self.take(len(content))
        self.data[address : address + len(content)] = content
        return address

    def expect(self, commands: list[dict[str, int]]) -> tuple[list[int], bytearray]:
        """Errors of the commands, and memory after them, by the golden model."""
        after = bytearray(self.data)
        errors = [int(execute(fields, after, self.config, self.partial_sums)) for fields in commands]
        return errors, after

    def command(
        self,
        *,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        size: tuple[int, int] = (4, 4),
        words: int = 1,
        blocks: int = 1,
        out_size: tuple[int, int] | None = None,
        out_words: int | None = None,
        flags: int = 0,
        gaps: tuple[int, int, int, int] = (0, 0, 0, 0),
        **fields: int,
    ) -> dict[str, int]:
        """A command with random operands in fresh memory.

        Args:
            kernel, stride: rows, columns.
            padding: top, left; without `out_size` also bottom, right.
            size: rows and columns to load.
            words: of 16 input channels.
            blocks: of output channels.
            out_size: rows and columns of the output.
            out_words: all by default.
            gaps: words between input pixels, input rows, output pixels, output rows.
            fields: replace fields of the finished command.
        """
        if out_size is None:
            rows, columns = ((n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, padding, kernel, stride, strict=True))
            out_size = max(rows, 1), max(columns, 1)
        out_words = out_words or block_words(blocks, self.config)
        low, high = sorted(int(v) for v in self.rng.integers(-128, 128, 2)) if self.rng.random() < 0.5 else (-128, 127)
        in_pixel, out_pixel = 16 * (words + gaps[0]), 16 * (out_words + gaps[2])
        in_row, out_row = size[1] * in_pixel + 16 * gaps[1], out_size[1] * out_pixel + 16 * gaps[3]
        command = {item.name: 0 for item in COMMAND} | {
            "tag": int(self.rng.integers(1 << 16)),
            "flags": flags,
            "kernel_height": kernel[0],
            "kernel_width": kernel[1],
            "stride_height": stride[0],
            "stride_width": stride[1],
            "pad_top": padding[0],
            "pad_left": padding[1],
            "in_rows": size[0],
            "in_columns": size[1],
            "in_words": words,
            "out_blocks": blocks,
            "out_rows": out_size[0],
            "out_columns": out_size[1],
            "in_zero_point": int(self.rng.integers(-128, 128)),
            "out_zero_point": int(self.rng.integers(-128, 128)),
            "clamp_min": low,
            "clamp_max": high,
            "in_row_pitch": in_row,
            "in_pixel_pitch": in_pixel,
            "out_row_pitch": out_row,
            "out_pixel_pitch": out_pixel,
            "out_words": out_words,
        }
        steps = kernel_steps(command)
        lanes = self.config.output_lanes
        command["in_address"] = self.take(size[0] * in_row)
        command["weight_address"] = self.take(blocks * steps * lanes * WORD_CHANNELS)
        command["channel_address"] = self.put(self.channels(blocks * lanes, steps))
        command["out_address"] = self.take(out_size[0] * out_row)
        return command | fields

    def channels(self, count: int, steps: int) -> Any:
        """Channel parameters with which random operands fill the range of int8, now and then far beyond or nothing of it."""
        channels = np.zeros(count, [("bias", "<i4"), ("multiplier", "<f4")])
        assert channels.itemsize == CHANNEL_BYTES
        spread = 74.0**2 * np.sqrt(steps * WORD_CHANNELS)
        channels["bias"] = self.rng.normal(0, spread, count)
        channels["multiplier"] = 2.0 ** self.rng.uniform(-1, 1, count) * 60 / spread
        odd = self.rng.random(count)
        # Powers of two make ties; the others reach both ends of float32.
        channels["multiplier"][odd < 0.2] = 2.0 ** -np.ceil(np.log2(spread / 60))
        channels["multiplier"][odd < 0.05] = self.rng.choice(np.array([1e-45, 2e-38, 1e-9, 1.0, 3e38], np.float32))
        channels["bias"][odd > 0.9] = self.rng.integers(-(2**31), 2**31, count)[odd > 0.9]
        return channels

    def requantization_cases(self, kind: str, count: int) -> Any:
        """Biases that stand for sums, and multipliers: `ties`, `limits` of both, random `sizes`, or `boundaries` of roundings."""
        channels = np.zeros(count, [("bias", "<i4"), ("multiplier", "<f4")])
        sign = self.rng.choice([-1, 1], count)
        if kind == "ties":
            exponent = self.rng.integers(1, 8, count)
            channels["bias"] = sign * (2 * self.rng.integers(0, 100, count) + 1) << exponent - 1
            channels["multiplier"] = 2.0**-exponent
        elif kind == "limits":
            limits = [-(2**31), -(2**31) + 1, 2**31 - 1, 2**31 - 128, 2**24 + 1, -(2**24) - 3, 1, -1, 0]
            channels["bias"] = self.rng.choice(limits, count)
            channels["multiplier"] = self.rng.choice(
                np.array([1e-45, 1.1754942e-38, 1.1754944e-38, 2**-31, 2**-24, 0.5, 1.0, 3.4028235e38], np.float32), count
            )
        elif kind == "sizes":
            channels["bias"] = self.rng.integers(-(2**31), 2**31, count) >> self.rng.integers(0, 31, count)
            channels["multiplier"] = self.rng.uniform(0.25, 128, count) / np.maximum(1, np.abs(channels["bias"].astype(np.float64)))
        else:
            # Sums of more than 24 bits and products close to a half: either rounding decides the result.
            channels["bias"] = sign * (2 ** self.rng.integers(24, 31, count) + self.rng.integers(0, 256, count))
            product = (self.rng.integers(0, 128, count) + 0.5) / np.abs(channels["bias"].astype(np.float64))
            channels["multiplier"] = product * (1 + self.rng.integers(-2, 3, count) * 2.0**-24)
        return channels

    def chain(self, length: int, **shape: Any) -> list[dict[str, int]]:
        """Commands that sum over `length` parts of the input channels: only the last one stores."""
        flags = [Conv2DFlag.PARTIAL, *[Conv2DFlag.ACCUMULATE | Conv2DFlag.PARTIAL] * (length - 2), Conv2DFlag.ACCUMULATE]
        return [self.command(flags=int(flag), **shape) for flag in flags]
