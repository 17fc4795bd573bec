"""FPGA resources, for the check that a SoC fits its device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Amounts of the four resources of an UltraScale+ device."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram36: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp, self.bram36 + other.bram36)

    def __mul__(self, count: int) -> Resources:
        return Resources(self.lut * count, self.ff * count, self.dsp * count, self.bram36 * count)
