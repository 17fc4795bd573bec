"""Requantization: from sums to activations, bit-exact, one result per lane and cycle.

    product = float32(sum + bias) * multiplier                    two roundings to nearest even
    value   = product + (residual - residual_zero_point) * residual_multiplier / 2^F
    result  = clamp(roundHalfEven(value) + zero_point)

Everything is two's complement: shifting right is then rounding down, rounding to nearest even works alike on both sides of
zero, and nothing is ever negated. A float is a mantissa of 26 bits, magnitude 2^23..2^24 inclusive, so that a mantissa that
rounds up to a power of two needs no other exponent. `value` is floor(value * 2^F) and a sticky bit that tells of more below.

The residual's product is a sum of Booth digits of the residual: no digit needs more than one look-up table beside its adder.
What all lanes have in common, - residual_zero_point * residual_multiplier, is computed once and starts these sums.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.hdl import ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION
from cosoc.gateware.conv2d.types import channel_parameters, output_job
from cosoc.gateware.device import device_of

REQUANTIZE_LATENCY = 18
"""Cycles from a sum to its result."""

_ADD = 13
"""Cycles from a sum to the addition of its product and its residual."""

_MULTIPLIER_BITS = 28
_EXPONENT_BITS = 9
_MANTISSA_BITS = 26
_DSP_BITS = 17
"""Unsigned bits of the narrower factor of one hardware multiplier: the mantissa of the multiplier takes two."""

_PRODUCT_LIMIT = {8: 15, 16: 21}
"""log2 of the magnitude at which products saturate. With 16 bits any bound gives the same results from where it and every
residual, which is below 2^20, add up to more than a result can be; with 8 bits residuals may be larger than the bound."""


def residual_digits(config: Conv2DConfig) -> int:
    """Booth digits of a residual."""
    return config.activation_bits // 2


def residual_delay(config: Conv2DConfig) -> int:
    """Cycles from a sum to the use of its residual."""
    return _ADD - residual_digits(config)


def activations(config: Conv2DConfig) -> data.ArrayLayout:
    """Activations of the channels of a block, for every pixel that is requantized at once."""
    return data.ArrayLayout(data.ArrayLayout(signed(config.activation_bits), config.output_lanes), config.output_pixels)


class Requantizer(wiring.Component):
    """`output_pixels * output_lanes` requantizations per cycle, their results `REQUANTIZE_LATENCY` cycles later.

    Members:
        sums: of products, by pixel and channel.
        channels: their parameters, in the same cycle; multipliers are positive and finite, subnormal ones count as zero.
        rule: zero points, clamp and residual multiplier, in the same cycle.
        residual: `residual_delay` cycles later; ignored when the rule's residual multiplier is zero.
        out: results.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        self._shift_bits = (config.accumulator_bits - 1).bit_length()
        self._fraction = RESIDUAL_FRACTION[config.activation_bits]
        self._limit = _PRODUCT_LIMIT[config.activation_bits]
        self._residual_bits = config.activation_bits + 1 + _MULTIPLIER_BITS
        self._shift_of_one = self._limit + 128 - config.accumulator_bits
        """Shift right of a product whose sum fills the accumulator, before the multiplier's exponent is subtracted."""
        super().__init__(
            {
                "sums": In(
                    data.ArrayLayout(data.ArrayLayout(signed(config.accumulator_bits), config.output_lanes), config.output_pixels)
                ),
                "channels": In(data.ArrayLayout(channel_parameters(config), config.output_lanes)),
                "rule": In(output_job(config)),
                "residual": In(activations(config)),
                "out": Out(activations(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = self._m = Module()
        self._device = device_of(platform)
        rule = self.rule
        factor = self._delay("residual_multiplier", rule.residual_multiplier)
        offset = self._residual_offset(factor)
        zero_point = self._delay("zero_point", rule.zero_point)
        least, greatest = self._delay("clamp_min", rule.clamp_min), self._delay("clamp_max", rule.clamp_max)
        for lane, channel in enumerate(self.channels):
            mantissa = self._delay(f"multiplier_{lane}", channel.multiplier[:23])
            subnormal = self._delay(f"subnormal_{lane}", channel.multiplier[23:31] == 0)
            exponent = self._delay(f"exponent_{lane}", (self._shift_of_one - channel.multiplier[23:31])[:_EXPONENT_BITS])
            for pixel in range(self._config.output_pixels):
                self._lane = f"{pixel}_{lane}"
                total = self._register("total", (self.sums[pixel][lane] + channel.bias)[: self._config.accumulator_bits])
                value, leading = self._normalized(total)
                product, shift = self._product(value, Cat(mantissa.at(6), 1), exponent.at(8), subnormal.at(10), leading)
                fixed, sticky = self._fixed_point(product, shift)
                residual = self._residual(self.residual[pixel][lane], offset, factor)
                value = self._register("value", _add(residual, fixed, Const(0, 1), max(len(residual), len(fixed)) + 1))
                result = self._rounded(value, self._register("sticky_14", sticky), zero_point.at(15))
                above = self._register("above", result > greatest.at(16))
                below = self._register("below", result < least.at(16))
                inside = self._register("inside", result[: self._config.activation_bits])
                m.d.sync += self.out[pixel][lane].eq(Mux(above, greatest.at(17), Mux(below, least.at(17), inside)))
        return m

    def _register(self, name: str, value: ValueLike) -> Signal:
        """`value` a cycle later, in the shape of `value`."""
        value = Value.cast(value)
        signal = Signal(value.shape(), name=f"{name}_{self._lane}", reset_less=True)
        self._m.d.sync += signal.eq(value)
        return signal

    def _delay(self, name: str, value: ValueLike, cycle: int = 0) -> _Delay:
        return _Delay(self._m, name, Value.cast(value), cycle)

    def _normalized(self, total: Signal) -> tuple[Signal, Signal]:
        """Cycles 2 to 6: the sum rounded to a mantissa, and at cycle 8 by how many bits it was shifted left."""
        width, steps = len(total), self._shift_bits
        coarse, middle, last = 1 << steps - 2, 1 << steps - 4, (1 << steps - 4) - 1
        runs = [_all_equal(total[width - 1 - min(k * coarse, width - 1) :]) for k in range(1, 4)]
        runs[2] &= 3 * coarse < width
        coarse_2 = self._register("coarse_2", _count(runs))
        total = self._register("total_2", total)

        total = self._register("total_3", select(coarse_2, [(total << k * coarse)[:width] for k in range(4)]))
        coarse_3 = self._register("coarse_3", coarse_2)

        fine = self._register("fine", _count([_all_equal(total[width - 1 - k :]) for k in range(1, coarse)]))
        total = self._register("total_4", total)
        coarse_4 = self._register("coarse_4", coarse_3)

        # Bits that come below the mantissa and its half, however far the last shift moves them, count only together.
        low = width - 26 - last
        index = fine[steps - 4 :]
        rest = self._register("rest_5", select(index, [total[: max(low - k * middle, 0)].any() for k in range(4)]))
        total = self._register("total_5", select(index, [(total << k * middle)[low:width] for k in range(4)]))
        amount = self._register("amount_5", fine[: steps - 4])
        leading = self._register("leading_5", Cat(fine, coarse_4))

        total = (total << amount)[: width - low]
        mantissa = self._register("mantissa_6", _round(total[last:], total[:last].any() | rest))
        for cycle in (6, 7, 8):
            leading = self._register(f"leading_{cycle}", leading)
        return mantissa, leading

    def _multiply(self, name: str, a: Value, b: Value) -> Signal:
        return self._device.product(self._m, f"product_{name}_{self._lane}", a, b)

    def _partial_products(self, value: Signal, factor: Value) -> tuple[Signal, Value, Value]:
        """Cycles 7 and 8: of value * factor whether any of the lowest _DSP_BITS bits is set, and two terms of what is above them.

        Each product fits one hardware multiplier, and the second cycle has room for its output register. Where multipliers are
        too narrow for the mantissa it is split like the factor.
        """
        low, high = factor[:_DSP_BITS], factor[_DSP_BITS:]
        if self._device.multiplier_bits >= _MANTISSA_BITS:
            product_low, product_high = self._multiply("low", value, low), self._multiply("high", value, high)
            outer: Value = product_low[_DSP_BITS:].as_signed()
            inner: Value = product_high
        else:
            value_low, value_high = value[:_DSP_BITS], value[_DSP_BITS:].as_signed()
            product_low = self._multiply("low", value_low, low)
            inner = self._multiply("inner_0", value_high, low) + self._multiply("inner_1", value_low, high)
            outer = Cat(product_low[_DSP_BITS:], self._multiply("high", value_high, high)).as_signed()
        rest = self._register("rest_8", product_low[:_DSP_BITS].any())
        return rest, self._register("outer", outer), self._register("inner", inner)

    def _product(self, value: Signal, factor: Value, exponent: Value, subnormal: Value, leading: Signal) -> tuple[Signal, Signal]:
        """Cycles 7 to 11: the rounded product, saturated, and the shift right that brings it to its place."""
        rest_8, outer, inner = self._partial_products(value, factor)

        # The product has 49 bits. Those below _DSP_BITS are needed only together.
        rest: Value = self._register("rest_9", rest_8)
        upper = self._register("upper", (outer + inner)[: 49 - _DSP_BITS])
        shift = self._register("shift_9", (exponent + leading)[:_EXPONENT_BITS].as_signed())

        large = upper[-1] ^ upper[-2]
        below = len(upper) - 26
        kept = Mux(large, upper[below:], upper[below - 1 : -1])
        rest = upper[: below - 1].any() | (large & upper[below - 1]) | rest
        mantissa = self._register("mantissa_10", _round(kept, rest))
        shift = self._register("shift_10", (shift - large)[:_EXPONENT_BITS].as_signed())

        # Beyond the bound a product is the bound; what is too small for the shifter becomes something as good.
        saturated = shift < 0
        tiny = ~shift[-1] & shift[self._shift_bits : -1].any()
        negative, zero = mantissa[-1], (mantissa[23:] == 0) | subnormal
        bounded = Signal.like(mantissa, name=f"bounded_{self._lane}")
        self._m.d.comb += bounded.eq(mantissa)
        with self._m.If(saturated | tiny):
            power = Mux(saturated, Cat(0, 1, negative), Cat(1, negative, negative))
            self._m.d.comb += bounded.eq(Cat(Const(0, 23), power & ~zero.replicate(3)))
        amount = (shift[: self._shift_bits] | tiny.replicate(self._shift_bits)) & ~saturated.replicate(self._shift_bits)
        return self._register("mantissa_11", bounded), self._register("shift_11", amount)

    def _fixed_point(self, mantissa: Signal, shift: Signal) -> tuple[Value, Value]:
        """Cycles 12 and 13: floor(product * 2^F), and whether there is more below; the last shift is left to the adder."""
        value = Cat(Const(0, self._limit + self._fraction - 24), mantissa).as_signed()
        sticky: Value = Const(0, 1)
        low = self._shift_bits - 4
        for cycle, unit in ((12, 1 << self._shift_bits - 2), (13, 1 << low)):
            index = shift[-2:] if cycle == 12 else shift[low : low + 2]
            lost = select(index, [value[: k * unit].any() for k in range(4)])
            sticky = self._register(f"sticky_{cycle}", sticky | lost)
            value = self._register(f"fixed_{cycle}", select(index, [value >> k * unit for k in range(4)])[: len(value)].as_signed())
            shift = self._register(f"shift_{cycle}", shift[: low + 2])
        amount = shift[:low]
        lost = Mux(amount[0], value[0], 0) if low == 1 else select(amount, [value[:k].any() for k in range(4)])
        return value >> amount, sticky | lost

    def _residual_offset(self, factor: _Delay) -> _Delay:
        """-residual_zero_point * residual_multiplier, by a tree of adders over the digits of the complement."""
        self._lane = "offset"
        digits = Cat(0, ~self.rule.residual_zero_point)
        carries, terms = [], [Cat(factor.at(0), 0).as_signed()]
        for i in range(residual_digits(self._config)):
            digit, carry = _booth(factor.at(0), digits[2 * i : 2 * i + 3])
            terms.append(digit << 2 * i)
            carries += [carry, Const(0, 1)]
        terms.append(Cat(*carries, 0).as_signed())
        level = 0
        while len(terms) > 1:
            level += 1
            pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
            terms = [self._register(f"offset_{level}_{i}", sum(pair[1:], pair[0])) for i, pair in enumerate(pairs)]
        return self._delay("residual_offset", terms[0][: self._residual_bits].as_signed(), level)

    def _residual(self, residual: Value, offset: _Delay, factor: _Delay) -> Signal:
        """(residual - residual_zero_point) * residual_multiplier at cycle 13, one digit per cycle."""
        start = residual_delay(self._config)
        total = offset.at(start)
        digits = Cat(0, residual)
        for i in range(residual_digits(self._config)):
            digit, carry = _booth(factor.at(start + i), digits[:3])
            upper = _add(total[2 * i :].as_signed(), digit, carry, len(total) - 2 * i)
            total = self._register(f"residual_{i}", Cat(total[: 2 * i], upper).as_signed())
            digits = self._register(f"digits_{i}", digits[2:])
        return total

    def _rounded(self, value: Signal, sticky: Signal, zero_point: Value) -> Signal:
        """Cycles 15 and 16: rounded to an integer and moved by the zero point; far outside any clamp it may be any such value."""
        bits = self._config.activation_bits + 2
        whole = value[self._fraction :]
        far = Cat(whole[-1].replicate(bits)) ^ Cat(Const(-1, bits - 1), 0)
        up = value[self._fraction - 1] & (value[: self._fraction - 1].any() | sticky | whole[0])
        integer = self._register("integer", Mux(_all_equal(whole[bits - 1 :]), whole[:bits], far).as_signed())
        up = self._register("up", up)
        return self._register("result", (Cat(1, integer).as_signed() + Cat(up, zero_point).as_signed()) >> 1)


class _Delay:
    """A value and its registers: `at(cycle)` is the value of `cycle` cycles after the sums to which it belongs."""

    def __init__(self, m: Module, name: str, value: Value, cycle: int) -> None:
        self._m, self._name, self._first = m, name, cycle
        self._values = [value]

    def at(self, cycle: int) -> Value:
        while self._first + len(self._values) <= cycle:
            name = f"{self._name}_{self._first + len(self._values)}"
            register = Signal(self._values[-1].shape(), name=name, reset_less=True)
            self._m.d.sync += register.eq(self._values[-1])
            self._values.append(register)
        return self._values[cycle - self._first]


def _all_equal(bits: Value) -> Value:
    return bits.all() | ~bits.any()


def _count(runs: list[Value]) -> Value:
    """How many of 2^n - 1 flags are set, where each implies those before it."""
    flags = [Const(1, 1), *runs, Const(0, 1)]
    bits = []
    step = 1
    while step < len(runs) + 1:
        ranges = range(step, len(runs) + 1, 2 * step)
        bits.append(Cat(*(flags[i] & ~flags[min(i + step, len(runs) + 1)] for i in ranges)).any())
        step *= 2
    return Cat(*bits)


def select(index: Value, options: Sequence[Value]) -> Value:
    """The option that the low bits of `index` name; there are a power of two of them."""
    for bit in range(len(options).bit_length() - 1):
        options = [Mux(index[bit], high, low) for low, high in zip(options[::2], options[1::2], strict=True)]
    return options[0]


def _round(value: Value, rest: Value) -> Value:
    """A mantissa of 26 bits: `value` without its lowest bit, the half, rounded to nearest even; `rest` tells of bits below."""
    up = value[0] & (rest | value[1])
    return (value[1:].as_signed() + Cat(up, 0).as_signed())[:26].as_signed()


def _add(base: Value, value: Value, carry: Value, width: int) -> Value:
    """`base + value + carry`, signed, in `width` bits.

    Written as a subtraction, because then synthesis knows that the adder's carries start from `base`, and the logic of `value`
    fits the adder's own look-up tables.
    """
    difference = Cat(0, base).as_signed() - Cat(~carry, ~value).as_signed()
    return difference[1 : 1 + width].as_signed()


def _booth(factor: Value, bits: Value) -> tuple[Value, Value]:
    """A digit -2..2 of radix 4, of its two bits and the one below, times `factor`: what is to be added, and a carry with it."""
    single = bits[0] ^ bits[1]
    double = ~single & (bits[1] ^ bits[2])
    magnitude = Mux(single, factor, Mux(double, factor << 1, 0))[: len(factor) + 1]
    return (Cat(magnitude, 0) ^ bits[2].replicate(len(factor) + 2)).as_signed(), bits[2]
