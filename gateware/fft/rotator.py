"""Multiplication by twiddle factors between two stages of the FFT pipeline."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from cosoc.gateware.fft.delay import ControlLine, DelayLine
from cosoc.gateware.fft.formats import Format
from cosoc.gateware.fft.frame import Control


class LaneKind(Enum):
    """What a lane of a rotator needs."""

    MULTIPLIER = auto()
    EIGHTH = auto()
    """No multiplier, but sums: the samples that are turned are all at place 2 of h = 4, by powers of exp(-2 pi i / 8)."""
    WIRE = auto()
    """Nothing: all samples are at place 0."""


def lane_kind(lane: int, log2_half: int, samples: int) -> LaneKind:
    """The kind of a lane of P: its places are `lane`, `lane + P`, .. below h."""
    places = range(lane, 1 << log2_half, samples)
    if all(place == 0 for place in places):
        return LaneKind.WIRE
    return LaneKind.EIGHTH if log2_half == 2 and all(place % 2 == 0 for place in places) else LaneKind.MULTIPLIER


class Rotator(wiring.Component):
    """Multiplies the quarters of each group of 4h samples by the factors that `twiddles` tells.

    The factors of the lane l of P are those of the places l, l + P, l + 2P ..; each lane has its own memory. Columns that are
    interleaved take their factor at the place of the first one. Where the power is 0, samples pass unchanged. A lane of which all
    factors are powers of exp(-2 pi i / 8) has no multiplier (`lane_kind`).

    Latency: the multiplier's.

    Args:
        log2_half: log2 of h, even, at least 2.
        samples: P.
        number_format: of the samples.
        first: no frame has a butterfly in the stage before the one in front: the first two quarters suffice.

    Members:
        en: the rotator advances in cycles in which it is 1.
        i, o: samples, P per cycle.
        control_i, control_o: one enabled cycle ahead of them.
        control_early: `add_latency` enabled cycles ahead of `control_i`.
    """

    def __init__(self, *, log2_half: int, samples: int, number_format: Format, first: bool) -> None:
        self.log2_half = log2_half
        self.samples = samples
        self.format = number_format
        self.first = first
        beat = data.ArrayLayout(number_format.sample, samples)
        super().__init__(
            {
                "en": In(1),
                "control_early": In(Control),
                "i": In(beat),
                "control_i": In(Control),
                "o": Out(beat),
                "control_o": Out(Control),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        latency = self.format.multiply_latency
        m.submodules.control = control = ControlLine(depth=latency)
        m.d.comb += [control.en.eq(self.en), control.i.eq(self.control_i), self.control_o.eq(control.o)]

        address, plain, quarter, shared = self._address(m)
        # The samples come `add_latency` cycles after the address and the flags.
        needless = self._delay(m, "plain", plain, self.format.add_latency + latency)
        factors = self._factors(m, address, shared)
        for lane in range(self.samples):
            kind = lane_kind(lane, self.log2_half, self.samples)
            if kind is LaneKind.EIGHTH:
                power = Mux(plain[lane], 0, Cat(quarter[1], quarter[0]))  # `QUARTER_POWERS` at place 2
                m.submodules[f"eighth{lane}"] = eighth = self.format.eighth()
                m.d.comb += [
                    eighth.en.eq(self.en),
                    eighth.a.eq(self.i[lane]),
                    eighth.power.eq(self._delay(m, f"power{lane}", power, self.format.add_latency)),
                    self.o[lane].eq(eighth.o),
                ]
                continue
            kept = self._delay(m, f"kept{lane}", self.i[lane], latency)
            if kind is LaneKind.WIRE:
                m.d.comb += self.o[lane].eq(kept)
                continue
            m.submodules[f"multiply{lane}"] = multiply = self.format.multiplier()
            m.d.comb += [
                multiply.en.eq(self.en),
                multiply.a.eq(self.i[lane]),
                multiply.b.eq(factors[lane]),
                self.o[lane].eq(Mux(needless[lane], kept, multiply.o)),
            ]
        return m

    def _address(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """Where the factors of a beat lie, which lanes need none, the quarter, and which bits of lanes do not matter."""
        skip = exact_log2(self.samples)
        early, quarter_bits = self.control_early, 1 if self.first else 2
        count = Signal(self.log2_half - skip + quarter_bits)
        place = Signal.like(count)
        m.d.comb += place.eq(Mux(early.first, 0, count))
        masked = [early.interleave_log2 > bit for bit in range(self.log2_half)]
        inside = Cat(place[bit - skip] & ~masked[bit] for bit in range(skip, self.log2_half))
        quarter = place[self.log2_half - skip :]

        address = Signal(len(count) - self.first, reset_less=True)
        shared = Signal(skip, reset_less=True)
        quarter_register = Signal(2, name="quarter", reset_less=True)
        plain = Signal(self.samples, reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                count.eq(place + 1),
                address.eq(Cat(inside, quarter)),  # without the quarter's bit in the first rotator
                quarter_register.eq(quarter),
                shared.eq(Cat(masked[:skip])),
            ]
            for lane in range(self.samples):
                own = Cat(~masked[bit] for bit in range(skip) if lane >> bit & 1)
                m.d.sync += plain[lane].eq(~quarter.any() | ~Cat(inside, own, Const(0, 1)).any())
        return address, plain, quarter_register, shared

    def _factors(self, m: Module, address: Signal, shared: Signal) -> list[Any]:
        """The factor of each lane, `add_latency` cycles after its address."""
        read_latency = 2 if self.samples == 1 else 3
        ahead = self.format.add_latency - read_latency
        address = self._delay(m, "address", address, ahead)
        words = self.format.factor_words(1 << self.log2_half)
        factors_of_places = words[1] if self.first else [word for quarter in words for word in quarter]
        width = self.format.factor.size

        outputs = []
        for lane in range(self.samples):
            init = factors_of_places[lane :: self.samples]
            m.submodules[f"rom{lane}"] = rom = Memory(shape=width, depth=len(init), init=init)
            port = rom.read_port()
            output = Signal(width, name=f"output{lane}", reset_less=True)
            m.d.comb += [port.en.eq(self.en), port.addr.eq(address)]
            with m.If(self.en):
                m.d.sync += output.eq(port.data)
            outputs.append(output)
        if self.samples == 1:
            return outputs

        shared = self._delay(m, "shared", shared, ahead + 2)
        factors = []
        for lane in range(self.samples):
            factor = Signal(width, name=f"factor{lane}", reset_less=True)
            chosen: Any = outputs[lane]
            for bit in range(len(shared)):
                chosen = Mux(shared[bit], outputs[lane >> bit + 1 << bit + 1], chosen)
            with m.If(self.en):
                m.d.sync += factor.eq(chosen)
            factors.append(factor)
        return factors

    def _delay(self, m: Module, name: str, value: Any, depth: int) -> Any:
        value = Value.cast(value)
        m.submodules[f"delay_{name}"] = line = DelayLine(width=len(value), depth=depth)
        m.d.comb += [line.en.eq(self.en), line.i.eq(value)]
        return line.o
