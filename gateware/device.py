"""What of an FPGA decides how arithmetic is best written: handed to `elaborate` as the platform."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, Signal, Value


@dataclass(frozen=True)
class Device:
    """A family of FPGAs, whose multipliers synthesis infers.

    Attributes:
        multiplier_bits: width with sign of the wider operand of a hardware multiplier; the other has 18 bits.
    """

    multiplier_bits: int

    def product(self, m: Module, name: str, a: Value, b: Value, *, bits: int | None = None, enable: Value | None = None) -> Signal:
        """`a * b` a cycle later: a register of this name that hardware multipliers have at their output.

        Args:
            bits: how many low bits of the product are wanted; all without it.
            enable: the register takes a product in cycles in which this is 1; always without it.
        """
        shape = (a * b).shape()
        product = Signal(Shape(bits or shape.width, shape.signed), name=name, reset_less=True)
        with m.If(Const(1, 1) if enable is None else enable):
            m.d.sync += product.eq(a * b)
        return product


class Ecp5(Device):
    """Lattice ECP5: synthesis leaves a product's register in the fabric, so the multiplier is instantiated with it."""

    def product(self, m: Module, name: str, a: Value, b: Value, *, bits: int | None = None, enable: Value | None = None) -> Signal:
        shape = (a * b).shape()
        product = Signal(Shape(bits or shape.width, shape.signed), name=name)
        outputs = Signal(36, name=f"{name}_outputs")
        wires = _wires(a, b, outputs) | {"i_CE0": Const(1, 1) if enable is None else enable}
        m.submodules[f"{name}_multiplier"] = Instance("MULT18X18D", **_REGISTERED, **wires)
        m.d.comb += product.eq(outputs)
        return product


ULTRASCALE = Device(multiplier_bits=27)
"""DSP48E2: 27 x 18 bits."""

ECP5 = Ecp5(multiplier_bits=18)
"""MULT18X18D: 18 x 18 bits."""


def device_of(platform: object) -> Device:
    """The device that a component is elaborated for: `ULTRASCALE` unless the platform is another."""
    return platform if isinstance(platform, Device) else ULTRASCALE


_REGISTERED = {
    "p_REG_INPUTA_CLK": "NONE",
    "p_REG_INPUTB_CLK": "NONE",
    "p_REG_PIPELINE_CLK": "NONE",
    "p_REG_OUTPUT_CLK": "CLK0",
    "p_REG_OUTPUT_CE": "CE0",
    "p_REG_OUTPUT_RST": "RST0",
    "p_GSR": "DISABLED",
    "p_RESETMODE": "SYNC",
}
"""MULT18X18D with a register at its output alone."""


def _wires(a: Value, b: Value, outputs: Signal) -> dict[str, object]:
    """The connections of a MULT18X18D that always multiplies a by b, each with or without sign."""
    wires: dict[str, object] = {"i_CLK0": ClockSignal(), "i_RST0": Const(0, 1)}
    for letter, operand in (("A", a), ("B", b)):
        shape = operand.shape()
        if shape.width > 18:
            raise ValueError(f"an operand of a MULT18X18D has at most 18 bits, not {shape.width}: split it")
        bits = [*operand, *[operand[-1] if shape.signed else Const(0, 1)] * (18 - shape.width)]
        wires |= {f"i_SIGNED{letter}": Const(shape.signed, 1), f"i_SOURCE{letter}": Const(0, 1)}
        wires |= {f"i_{letter}{place}": bit for place, bit in enumerate(bits)}
    return wires | {f"o_P{bit}": outputs[bit] for bit in range(36)}
