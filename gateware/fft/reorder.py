"""From the bit-reversed order of the last stage to natural order."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.fft.config import MIN_LOG2
from cosoc.gateware.peripheral.core import BEAT_BITS


class ReorderBuffer(wiring.Component):
    """Takes transforms in bit-reversed order, one result per cycle, and delivers them in natural order, two per beat.

    ::

        results --> even bank [half 0 | half 1] --+--> beats of (X[2m], X[2m + 1])
               \\-> odd bank  [half 0 | half 1] --+

    One half is filled while the other is read. Even and odd results lie in two memories, so that a beat is read in one cycle:
    reading takes half as long as filling, and the buffer never limits a stream of transforms.

    Args:
        max_log2: log2 of the longest transform.

    Members:
        en: the cycle counts for the input.
        valid, sample: a result; those of a transform follow each other in enabled cycles.
        log2_length: of the transform that arrives; constant while it does.
        blocked: the result cannot be taken in this cycle: `en` must be 0.
        last: the result is the last one of its transform.
        beats: the transforms in natural order.
    """

    def __init__(self, *, max_log2: int) -> None:
        self.max_log2 = max_log2
        super().__init__(
            {
                "en": In(1),
                "valid": In(1),
                "sample": In(Complex),
                "log2_length": In(range(max_log2 + 1)),
                "blocked": Out(1),
                "last": Out(1),
                "beats": Out(stream.Signature(BEAT_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        banks = [Memory(shape=Complex.size, depth=1 << self.max_log2, init=[]) for _ in range(2)]
        m.submodules.even, m.submodules.odd = banks
        full = Array(Signal(name=f"full{half}") for half in range(2))
        last_row = Array(Signal(self.max_log2 - 1, name=f"last_row{half}") for half in range(2))
        self._fill(m, [bank.write_port() for bank in banks], full, last_row)
        self._drain(m, [bank.read_port() for bank in banks], full, last_row)
        return m

    def _fill(self, m: Module, ports: list[Any], full: Any, last_row: Any) -> None:
        """Writes results where they belong, and marks a half full with the last one."""
        half = Signal()
        position = Signal(self.max_log2)
        index = Signal(self.max_log2)
        last_position = Signal(self.max_log2)
        with m.Switch(self.log2_length):
            for log2 in range(MIN_LOG2, self.max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += [index.eq(Cat(reversed(position[:log2]))), last_position.eq((1 << log2) - 1)]
        m.d.comb += [self.blocked.eq(self.valid & full[half]), self.last.eq(position == last_position)]
        for odd, port in enumerate(ports):
            m.d.comb += [
                port.addr.eq(Cat(index[1:], half)),
                port.data.eq(self.sample),
                port.en.eq(self.en & self.valid & (index[0] == odd)),
            ]
        with m.If(self.en & self.valid):
            m.d.sync += position.eq(position + 1)
            with m.If(self.last):
                m.d.sync += [position.eq(0), half.eq(~half), full[half].eq(1), last_row[half].eq(last_position >> 1)]

    def _drain(self, m: Module, ports: list[Any], full: Any, last_row: Any) -> None:
        """Reads rows of full halves; the memories' registers and the output register move together."""
        half = Signal()
        row = Signal(self.max_log2 - 1)
        read = Signal()
        advance = Signal()
        m.d.comb += advance.eq(~self.beats.valid | self.beats.ready)
        for port in ports:
            m.d.comb += [port.addr.eq(Cat(row, half)), port.en.eq(advance)]
        with m.If(advance):
            m.d.sync += [
                read.eq(full[half]),
                self.beats.valid.eq(read),
                self.beats.payload.eq(Cat(port.data for port in ports)),
            ]
            with m.If(full[half]):
                m.d.sync += row.eq(row + 1)
                with m.If(row == last_row[half]):
                    m.d.sync += [row.eq(0), half.eq(~half), full[half].eq(0)]
