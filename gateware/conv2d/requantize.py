"""Requantization: `clamp(roundHalfEven(float32(sum + bias) * multiplier) + zero_point)`, bit-exact.

Both roundings of the rule are made: the sum to 24 significant bits, then the product to 24. Products below 2^-126, where
float32 has fewer bits, are far below one half and give zero in any case. The multiplier is a positive finite float32.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.jobs import OutputRule

REQUANTIZE_LATENCY = 9

_MANTISSA = 24
_BIAS = 127
_EXPONENT = signed(10)
_LARGEST = 1023
"""Stands for every magnitude of 512 or more: whatever the zero point, the clamp is reached."""

ChannelParameters = data.StructLayout({"bias": signed(32), "multiplier": 32})


class Requantizer(wiring.Component):
    """`lanes` requantizations per cycle, each with its own channel parameters, `REQUANTIZE_LATENCY` cycles later.

    Members:
        sums: of products, one for each lane.
        channels: their parameters.
        rule: zero point and clamp.
        out: results.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        super().__init__(
            {
                "sums": In(data.ArrayLayout(signed(32), lanes)),
                "channels": In(data.ArrayLayout(ChannelParameters, lanes)),
                "rule": In(OutputRule),
                "out": Out(data.ArrayLayout(signed(8), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rules = [self.rule]
        for stage in range(1, REQUANTIZE_LATENCY):
            rules.append(Signal(OutputRule, name=f"rule_{stage}"))
            m.d.sync += rules[stage].eq(rules[stage - 1])
        for lane in range(self._lanes):
            negative, magnitude = self._magnitude(m, lane)
            m.d.sync += self.out[lane].eq(_clamped(rules[-1], negative, magnitude))
        return m

    def _magnitude(self, m: Module, lane: int) -> tuple[Signal, Signal]:
        """Stages 1 to 8: sign and rounded magnitude of the product."""

        def register(name: str, value: Value, shape: object = None) -> Signal:
            signal = Signal(value.shape() if shape is None else shape, name=f"{name}_{lane}")
            m.d.sync += signal.eq(value)
            return signal

        total = register("total", self.sums[lane] + self.channels[lane].bias, signed(32))
        multiplier = register("multiplier", self.channels[lane].multiplier)

        negative = register("negative_2", total[31])
        magnitude = register("magnitude", Mux(total[31], -total, total), 32)
        multiplier = register("multiplier_2", multiplier)

        # Normalization: the leading one to bit 31, in two stages.
        value, exponent = _normalize(magnitude, Const(31, 5), (16, 8))
        value, exponent = register("value_3", value, 32), register("exponent_3", exponent, 5)
        multiplier, negative = register("multiplier_3", multiplier), register("negative_3", negative)
        value, exponent = _normalize(value, exponent, (4, 2, 1))
        value, exponent = register("value_4", value, 32), register("exponent_4", exponent, 5)
        multiplier, negative = register("multiplier_4", multiplier), register("negative_4", negative)

        mantissa, carry = _round(value[8:], value[7], value[:7].any())
        factor_exponent = multiplier[23:31]
        zero = register("zero_5", ~value[31] | (factor_exponent == 0))
        exponent = register("exponent_5", exponent + carry + factor_exponent - _BIAS, _EXPONENT)
        mantissa, factor = register("mantissa_5", mantissa), register("factor_5", Cat(multiplier[:23], 1))
        negative = register("negative_5", negative)

        product = register("product", mantissa * factor)
        zero, exponent, negative = register("zero_6", zero), register("exponent_6", exponent), register("negative_6", negative)

        high = product[47]
        kept = Mux(high, product[24:48], product[23:47])
        half = Mux(high, product[23], product[22])
        mantissa, carry = _round(kept, half, product[:22].any() | (high & product[22]))
        exponent = register("exponent_7", exponent + high + carry, _EXPONENT)
        mantissa, zero, negative = register("mantissa_7", mantissa), register("zero_7", zero), register("negative_7", negative)

        # The product is mantissa * 2^(exponent - 23), exponent -1..8 where it matters: integer part from bit 24 up.
        fixed = (mantissa << (exponent + 1)[:4])[: _MANTISSA + 10]
        integer = fixed[_MANTISSA:] + (fixed[23] & (fixed[:23].any() | fixed[24]))
        small = zero | (exponent < -1)
        rounded = register("rounded", Mux(small, 0, Mux(exponent > 8, _LARGEST, integer)), 10)
        return register("negative_8", negative), rounded


def _normalize(value: Value, exponent: Value, shifts: tuple[int, ...]) -> tuple[Value, Value]:
    """Shift left over leading zeros by the given amounts, and lower the exponent alike."""
    for shift in shifts:
        empty = value[32 - shift : 32] == 0
        value = Mux(empty, (value << shift)[:32], value)
        exponent = Mux(empty, exponent - shift, exponent)[:5]
    return value, exponent


def _round(mantissa: Value, half: Value, rest: Value) -> tuple[Value, Value]:
    """Round to nearest even. Returns 24 bits, and whether the exponent grows by one."""
    rounded = mantissa + (half & (rest | mantissa[0]))
    carry = rounded[_MANTISSA]
    return Mux(carry, rounded[1 : _MANTISSA + 1], rounded[:_MANTISSA]), carry


def _clamped(rule: data.View[data.StructLayout], negative: Value, magnitude: Value) -> Value:
    value = Mux(negative, -magnitude, magnitude) + rule.zero_point
    return Mux(value < rule.clamp_min, rule.clamp_min, Mux(value > rule.clamp_max, rule.clamp_max, value))
