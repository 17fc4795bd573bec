"""Parameters and command of the Conv2D accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosoc.gateware.layout.command import CommandField, CommandLayout
from cosoc.gateware.parameters import Config, ParameterError, parameter

WORD_BYTES = 16
"""Bytes of a word of the feature buffer: one beat of the bus."""

BASES = 8
"""Base addresses of a command."""


def _powers(low: int, high: int) -> list[int]:
    return [1 << i for i in range(low.bit_length() - 1, high.bit_length())]


@dataclass(frozen=True, kw_only=True)
class Conv2DConfig(Config):
    """Parameters of the Conv2D accelerator: `input_lanes * output_lanes * pixel_lanes` multiplications per cycle.

    Attributes:
        activation_bits: width of activations; weights have 8 bits.
        input_lanes: input channels multiplied at once.
        output_lanes: output channels computed at once; their results fit one word.
        pixel_lanes: output pixels computed at once.
        feature_words: capacity of the feature buffer in words of 16 bytes.
        weight_steps: capacity of the weight buffer in steps; a step has `input_lanes * output_lanes` weights.
        channel_blocks: capacity of the buffer of channel parameters, in blocks of `output_lanes` channels.
        memory_ports: AXI managers, each with a loader of features, a loader of weights and a store engine.
        memory_port_bits: bits of data of each manager; the core always sees beats of 128.
    """

    activation_bits: int = parameter(8, allowed=[8, 16], help="bits of an activation")
    input_lanes: int = parameter(16, allowed=[4, 8, 16], help="input channels multiplied at once")
    output_lanes: int = parameter(8, allowed=[4, 8, 16], help="output channels computed at once")
    pixel_lanes: int = parameter(2, allowed=[1, 2, 4, 8, 16], help="output pixels computed at once")
    feature_words: int = parameter(16384, allowed=_powers(256, 65536), help="words of 16 bytes of the feature buffer")
    weight_steps: int = parameter(1024, allowed=_powers(64, 16384), help="steps of the weight buffer")
    channel_blocks: int = parameter(128, allowed=_powers(8, 512), help="blocks of output channels with parameters on chip")
    memory_ports: int = parameter(1, allowed=[1, 2], help="AXI managers")
    memory_port_bits: int = parameter(128, allowed=[32, 64, 128], help="bits of data of an AXI manager")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_lanes", "output_lanes"):
            if getattr(self, name) > self.word_channels:
                raise ParameterError(
                    f"{type(self).__name__}.{name} = {getattr(self, name)} is not possible with activation_bits = "
                    f"{self.activation_bits}; allowed: up to {self.word_channels}"
                )
        if self.step_beats < self.memory_ports:
            raise ParameterError(
                f"{type(self).__name__}.memory_ports = {self.memory_ports} needs input_lanes * output_lanes of at least "
                f"{16 * self.memory_ports}, not {self.input_lanes * self.output_lanes}"
            )

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle."""
        return self.input_lanes * self.output_lanes * self.pixel_lanes

    @property
    def activation_bytes(self) -> int:
        return self.activation_bits // 8

    @property
    def accumulator_bits(self) -> int:
        return 32 if self.activation_bits == 8 else 48

    @property
    def word_channels(self) -> int:
        """Channels of a word of the feature buffer."""
        return WORD_BYTES // self.activation_bytes

    @property
    def word_steps(self) -> int:
        """Steps in which the array consumes a word of every pixel."""
        return self.word_channels // self.input_lanes

    @property
    def word_parts(self) -> int:
        """Blocks of output channels that fill a word."""
        return self.word_channels // self.output_lanes

    @property
    def step_beats(self) -> int:
        """Beats of the weights of a step."""
        return self.input_lanes * self.output_lanes // WORD_BYTES

    @property
    def output_pixels(self) -> int:
        """Pixels that are requantized at once."""
        return max(1, self.pixel_lanes // 4)

    @property
    def banks(self) -> int:
        """Banks of the feature buffer: the bank of a word is its address modulo this."""
        return max(4, 2 * self.pixel_lanes)

    @property
    def channel_bytes(self) -> int:
        """Bytes of a channel's parameters: bias and float32 multiplier (16: bias of 64 bits, multiplier, 4 bytes unused)."""
        return 8 if self.activation_bits == 8 else 16


class Conv2DOperation(IntEnum):
    """Opcodes of commands."""

    RUN = 0


COMMAND = CommandLayout(
    (
        CommandField("instruction_address", 1, 0, 64, "first instruction, a multiple of 16"),
        CommandField("instruction_count", 3, 0, 32, "instructions of 32 bytes, at least one"),
        *(CommandField(f"base{i}", 4 + 2 * i, 0, 64, f"base address {i} of transfers, a multiple of 16") for i in range(BASES)),
    )
)
