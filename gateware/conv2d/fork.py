"""One instruction for all memory ports of a unit: its parts go to the ports' engines, and their ends are joined again."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

JOIN_BITS = 4
"""An engine is fewer than 16 instructions ahead of another."""

JOIN_LATENCY = 1
"""Cycles from the last engine's end of an instruction to `finished`."""


class Fork(wiring.Component):
    """Hands each engine its part of a payload, and takes the next payload when every engine has its part.

    A payload is held in a register, so one passes in two cycles.

    Args:
        shape: layout of a part.
        count: number of engines.

    Members:
        input: the parts of all engines.
        output: one stream for each engine.
    """

    def __init__(self, shape: Any, count: int) -> None:
        self._count = count
        super().__init__(
            {
                "input": In(stream.Signature(data.ArrayLayout(shape, count))),
                "output": Out(stream.Signature(shape)).array(count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pending = Signal(self._count)
        payload = Signal.like(self.input.payload)
        m.d.comb += self.input.ready.eq(pending == 0)
        with m.If(self.input.ready):
            m.d.sync += [payload.eq(self.input.payload), pending.eq(self.input.valid.replicate(self._count))]
        for i in range(self._count):
            m.d.comb += [self.output[i].valid.eq(pending[i]), self.output[i].payload.eq(payload[i])]
            with m.If(pending[i] & self.output[i].ready):
                m.d.sync += pending[i].eq(0)
        return m


class Join(wiring.Component):
    """Tells when all engines have finished an instruction; each finishes its parts in the order of the instructions.

    Args:
        count: number of engines.

    Members:
        done: a bit for each engine, high for a cycle when it ends its part of an instruction.
        finished: high for a cycle for each instruction.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        super().__init__({"done": In(count), "finished": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ahead = [Signal(JOIN_BITS, name=f"ahead_{i}") for i in range(self._count)]
        m.d.comb += self.finished.eq(Cat(count != 0 for count in ahead).all())
        for i, count in enumerate(ahead):
            with m.If(self.done[i] & ~self.finished):
                m.d.sync += count.eq(count + 1)
            with m.Elif(~self.done[i] & self.finished):
                m.d.sync += count.eq(count - 1)
        return m
