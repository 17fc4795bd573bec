"""The multiplier array: `input_lanes` x `output_lanes` x `pixel_lanes` products in a cycle, and their sums, kept in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import WINDOW_TAPS
from cosoc.gateware.conv2d.taps import Taps
from cosoc.gateware.device import Device, device_of
from cosoc.gateware.peripheral.core import BEAT_BITS

WEIGHT_BITS = 8

FIELD_BITS = 18
"""Bits of the lower of two sums that share multipliers and adders.

Weights are -127..127 and activations -128..127, so a product is at most 128 * 127 = 16,256 in magnitude, and a sum of
`CHAIN` = 8 of them 130,048 < 2^17: it fits 18 bits with sign.
"""

CHAIN = 8
"""Products that are added before the two sums are told apart."""

OPERAND_STAGES = 2
"""Cycles from the words of the feature buffer to the multipliers: choice of channels, pairs of pixels."""


def array_latency(config: Conv2DConfig) -> int:
    """Cycles from the words of a step to the one in which the accumulators hold its sums: operands, products, adders, sums."""
    return OPERAND_STAGES + 1 + _levels(config.input_lanes) + 1


@dataclass(frozen=True)
class _Total:
    """A sum of products of one pixel; `borrow` is one bit more to add."""

    value: Value
    borrow: Value | None


class Array(wiring.Component):
    """Multiplies and accumulates.

    With int8 activations and several pixel lanes, two pixels share a multiplier: (a1 * 2^18 + a0) * w = a1 * w * 2^18 + a0 * w.
    The lower sum of a chain is its low 18 bits; when it is negative it has borrowed one from the upper sum, which gets it back as
    the carry of the next adder. Nothing stops the array: it takes a step whenever one comes.

    Stages: 1 operands, held until all phases of a step have brought theirs, 2 choice of taps, pairs of pixels, and weights, 3
    products, then one for each level of adders, accumulators.

    Members:
        words: a word for each pixel lane.
        used, inside: which lanes take their operand, and from `words` rather than `zero_point`.
        part: which `input_lanes` channels of the words count; with `window` which `output_lanes`.
        zero_point: the operand outside the input.
        complete, clear, last: with this cycle's operands the step is complete; its products start new sums; end them.
        window: operands 0..2 of every output are taps of a row, of the output's own channel; docs/conv2d.md tells which. The phases
            of a step must be one.
        row_start: the lane's pixel is the first of its row; with `used`.
        weights: of the step, a cycle later; element o * input_lanes + i.
        sums: the accumulators.
        done: they hold the sums of a step with `last`, in this cycle only.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        lanes, weights = config.pixel_lanes, config.input_lanes * config.output_lanes
        super().__init__(
            {
                "words": In(data.ArrayLayout(unsigned(BEAT_BITS), lanes)),
                "used": In(lanes),
                "inside": In(lanes),
                "part": In(2),
                "zero_point": In(signed(config.activation_bits)),
                "complete": In(1),
                "clear": In(1),
                "last": In(1),
                "window": In(1),
                "row_start": In(lanes),
                "weights": In(data.ArrayLayout(signed(WEIGHT_BITS), weights)),
                "sums": Out(data.ArrayLayout(data.ArrayLayout(signed(config.accumulator_bits), config.output_lanes), lanes)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        device = self._device = device_of(platform)
        config, inputs, outputs = self._config, self._config.input_lanes, self._config.output_lanes
        latency = array_latency(config)
        complete = delayed(m, self.complete, latency - 1, name="complete", resets=True)
        clear = delayed(m, self.clear, latency - 1, name="clear")
        m.d.comb += self.done.eq(delayed(m, self.complete & self.last, latency, name="done", resets=True))

        operands = [self._operands(m, lane, inputs, "operand") for lane in range(config.pixel_lanes)]
        tapped = self._tapped(m, operands)
        weights = [Signal(signed(WEIGHT_BITS), name=f"weight_{k}", reset_less=True) for k in range(inputs * outputs)]
        m.d.sync += [weight.eq(self.weights[k]) for k, weight in enumerate(weights)]

        shared = 2 if packs(config, device) else 1
        for first in range(0, config.pixel_lanes, shared):
            lanes = range(first, first + shared)
            common = [
                self._factor(m, [operands[lane][channel] for lane in lanes], f"{first}_{channel}")
                for channel in range(WINDOW_TAPS, inputs)
            ]
            for output in range(outputs):
                taps = [
                    self._factor(m, [tapped[lane][output][tap] for lane in lanes], f"{first}_{output}_{tap}")
                    for tap in range(WINDOW_TAPS)
                ]
                totals = self._totals(m, f"{first}_{output}", [*taps, *common], weights[output * inputs :][:inputs])
                for lane, total in enumerate(totals, first):
                    m.d.comb += self.sums[lane][output].eq(self._accumulate(m, f"{lane}_{output}", total, complete, clear))
        return m

    def _operands(self, m: Module, lane: int, channels: int, name: str) -> list[Signal]:
        """The lane's operands from one of the parts of `channels` channels of its word."""
        bits, parts = self._config.activation_bits, self._config.word_channels // channels
        operands = [Signal(signed(bits), name=f"{name}_{lane}_{channel}", reset_less=True) for channel in range(channels)]
        for channel, operand in enumerate(operands):
            choice = [self.words[lane][bits * (part * channels + channel) :][:bits] for part in range(parts)]
            chosen = choice[0] if parts == 1 else data.View(data.ArrayLayout(bits, parts), Cat(choice))[self.part]
            with m.If(self.used[lane]):
                m.d.sync += operand.eq(Mux(self.inside[lane], chosen, self.zero_point))
        return operands

    def _tapped(self, m: Module, operands: Sequence[Sequence[Signal]]) -> list[list[list[Value]]]:
        """For each lane and output the operands that windows replace: `operands` or three taps of the output's channel."""
        config, outputs = self._config, self._config.output_lanes
        m.submodules.taps = taps = Taps(config)
        # The parts of a word are the same for both when there are as many outputs as inputs.
        current = operands
        if outputs != config.input_lanes:
            current = [self._operands(m, lane, outputs, "current") for lane in range(config.pixel_lanes)]
        zero_point = Signal.like(self.zero_point, name="tap_zero_point", reset_less=True)
        m.d.sync += zero_point.eq(self.zero_point)
        m.d.comb += [getattr(taps, name).eq(getattr(self, name)) for name in ("window", "row_start", "complete", "last")]
        m.d.comb += taps.current.eq(Cat(*(Cat(*word) for word in current)))

        def operand(lane: int, output: int, tap: int) -> Value:
            word = Mux(taps.chosen[lane][tap], taps.words[lane + tap][output], operands[lane][tap])
            return Mux(taps.outside[lane][tap], zero_point, word)

        return [
            [[operand(lane, output, tap) for tap in range(WINDOW_TAPS)] for output in range(outputs)]
            for lane in range(config.pixel_lanes)
        ]

    def _factor(self, m: Module, operands: Sequence[Value], name: str) -> Signal:
        """What is multiplied by the weights: one operand or two."""
        if len(operands) == 1:
            factor = Signal(operands[0].shape(), name=f"factor_{name}", reset_less=True)
            m.d.sync += factor.eq(operands[0])
            return factor
        low, high = operands
        factor = Signal(signed(FIELD_BITS + len(high) + 1), name=f"factor_{name}", reset_less=True)
        m.d.sync += factor.eq((high << FIELD_BITS) + low)
        return factor

    def _totals(self, m: Module, name: str, factors: Sequence[Signal], weights: Sequence[Signal]) -> list[_Total]:
        """The sums of the products for the one or two pixels that share them, all levels of adders registered."""
        bits = self._config.activation_bits - 1 + WEIGHT_BITS
        packed = packs(self._config, self._device)
        products = [
            self._device.product(m, f"product_{name}_{channel}", factor, weight, bits=bits + FIELD_BITS * packed)
            for channel, (factor, weight) in enumerate(zip(factors, weights, strict=True))
        ]
        if not packed:
            return [_Total(_tree(m, products, f"sum_{name}"), None)]
        chains = [_tree(m, products[k : k + CHAIN], f"chain_{name}_{k}") for k in range(0, len(products), CHAIN)]
        return [_lower(m, chains, name), _upper(m, chains, name)]

    def _accumulate(self, m: Module, name: str, total: _Total, complete: Value, clear: Value) -> Signal:
        accumulator = Signal(signed(self._config.accumulator_bits), name=f"accumulator_{name}", reset_less=True)
        start = Mux(clear, 0, accumulator)
        with m.If(complete):
            m.d.sync += accumulator.eq(start + total.value if total.borrow is None else _add(start, total.value, total.borrow))
        return accumulator


def packs(config: Conv2DConfig, device: Device) -> bool:
    """Whether two pixels share a multiplier: then it takes a sum of two operands, one of them shifted by a field."""
    return config.activation_bits == 8 and config.pixel_lanes > 1 and device.multiplier_bits >= FIELD_BITS + 9


def delayed(m: Module, value: Value, cycles: int, *, name: str, resets: bool = False) -> Value:
    """`value` as it was `cycles` cycles ago; `resets` makes it zero after reset."""
    for stage in range(1, cycles + 1):
        register = Signal(value.shape(), name=f"{name}_{stage}", reset_less=not resets)
        m.d.sync += register.eq(value)
        value = register
    return value


def _levels(values: int) -> int:
    return (values - 1).bit_length()


def _tree(m: Module, values: Sequence[Signal], name: str) -> Signal:
    """The sum of 2^n values, n cycles later."""
    level = 0
    while len(values) > 1:
        level += 1
        width = signed(len(values[0]) + 1)
        sums = [Signal(width, name=f"{name}_{level}_{k}", reset_less=True) for k in range(len(values) // 2)]
        m.d.sync += [total.eq(values[2 * k] + values[2 * k + 1]) for k, total in enumerate(sums)]
        values = sums
    return values[0]


def _lower(m: Module, chains: Sequence[Signal], name: str) -> _Total:
    """The sum of the lower fields of one or two chains."""
    fields = [chain[:FIELD_BITS].as_signed() for chain in chains]
    if len(fields) == 1:
        return _Total(fields[0], None)
    total = Signal(signed(FIELD_BITS + 1), name=f"lower_{name}", reset_less=True)
    m.d.sync += total.eq(fields[0] + fields[1])
    return _Total(total, None)


def _upper(m: Module, chains: Sequence[Signal], name: str) -> _Total:
    """The sum of the upper fields of one or two chains; what the lower ones borrowed is given back on the way."""
    fields = [chain[FIELD_BITS:].as_signed() for chain in chains]
    borrows = [chain[FIELD_BITS - 1] for chain in chains]
    if len(fields) == 1:
        return _Total(fields[0], borrows[0])
    total = Signal(signed(FIELD_BITS + 1), name=f"upper_{name}", reset_less=True)
    borrow = Signal(name=f"borrow_{name}", reset_less=True)
    m.d.sync += [total.eq(_add(fields[0], fields[1], borrows[0])), borrow.eq(borrows[1])]
    return _Total(total, borrow)


def _add(a: Value, b: Value, carry: Value) -> Value:
    """a + b + carry with one chain of carries: the lowest bit of the longer sum makes the carry."""
    return (Cat(Const(1, 1), a).as_signed() + Cat(carry, b).as_signed()) >> 1
