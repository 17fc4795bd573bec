"""What of an FPGA decides how arithmetic is best written: handed to `elaborate` as the platform."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A family of FPGAs.

    Attributes:
        multiplier_bits: width with sign of the wider operand of a hardware multiplier; the other has 18 bits.
    """

    multiplier_bits: int


ULTRASCALE = Device(multiplier_bits=27)
"""DSP48E2: 27 x 18 bits."""

ECP5 = Device(multiplier_bits=18)
"""MULT18X18D: 18 x 18 bits."""


def device_of(platform: object) -> Device:
    """The device that a component is elaborated for: `ULTRASCALE` unless the platform is another."""
    return platform if isinstance(platform, Device) else ULTRASCALE
