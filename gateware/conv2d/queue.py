"""Queues between stages: no handshake reaches the other side in the same cycle, and both sides' come from registers.

Counts are compared when they change, so that what depends on them begins with a register.
"""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class Tally:
    """Counts what comes and goes.

    Args:
        limit: highest count.
        init: count after reset.

    Attributes:
        value: the count.
        some: it is not zero; a register.
    """

    def __init__(self, limit: int, *, name: str, init: int = 0) -> None:
        self.value = Signal(range(limit + 1), name=name, init=init)
        self.some = Signal(name=f"{name}_some", init=init != 0)

    def count(self, m: Module, *, up: Value, down: Value) -> None:
        """Counts in every cycle: one more, one less, or the same with both. It may not go below zero or above the limit."""
        with m.If(up & ~down):
            m.d.sync += [self.value.eq(self.value + 1), self.some.eq(1)]
        with m.If(down & ~up):
            m.d.sync += [self.value.eq(self.value - 1), self.some.eq(self.value != 1)]


class Queue(wiring.Component):
    """Payloads in LUT RAM, a cycle after they came.

    Args:
        shape: of a payload.
        depth: payloads that fit. The memory has a power of two of places.
        bounded: whoever fills the queue counts what is in it and never offers more than fits, so that nothing waits for
            `input.ready`; the logic behind an offer is a look-up table shorter.
        behind: registers between the decision to move by `space` and `input`, which never stop: `space` counts what may be there.
        front: the oldest payload is in a register, for few bits that decide about much; each costs a look-up table more.

    Members:
        input, output: one payload per cycle each. Without `front` `output.payload` comes from the memory, all else from registers.
        level: payloads in the queue.
        space: a register: another payload fits, whatever is offered in this cycle. It may hide the last place, also for a cycle
            more than it is taken, so a queue of four, and two more for each register `behind`, is the smallest that lets a
            pipeline which moves only with `space` run freely.
    """

    def __init__(self, shape: Any, depth: int = 4, *, bounded: bool = False, behind: int = 0, front: bool = False) -> None:
        self._depth, self._bounded, self._behind, self._front = depth, bounded, behind, front
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
                "space": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source, target = self.input, self.output
        places = 1 << (self._depth - 1).bit_length()
        m.submodules.memory = memory = Memory(
            shape=len(Value.cast(source.payload)), depth=places, init=[], attrs={"ram_style": "distributed"}
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        puts, takes, room = Signal(), Signal(), Signal(init=1)
        filled = Tally(self._depth, name="filled")
        m.d.comb += [
            source.ready.eq(room),
            target.valid.eq(filled.some),
            self.level.eq(filled.value),
            puts.eq(source.valid if self._bounded else source.valid & room),
            takes.eq(target.valid & target.ready),
            write.en.eq(puts),
            write.data.eq(source.payload),
        ]
        write_position = Signal(range(places))
        # Where the oldest payload lies; when it is in a register, the one behind it.
        read_position = Signal(range(places), init=self._front)
        for moves, port, position in ((puts, write, write_position), (takes, read, read_position)):
            m.d.comb += port.addr.eq(position)
            with m.If(moves):
                m.d.sync += position.eq(position + 1)
        if self._front:
            several = Signal()
            with m.If(puts & ~takes):
                m.d.sync += several.eq(filled.some)
            with m.If(takes & ~puts):
                m.d.sync += several.eq(filled.value > 2)
            with m.If(takes | ~filled.some):
                m.d.sync += Value.cast(target.payload).eq(Mux(several, read.data, source.payload))
        else:
            m.d.comb += Value.cast(target.payload).eq(read.data)
        filled.count(m, up=puts, down=takes)
        m.d.sync += self.space.eq(filled.value + 2 + self._behind <= self._depth)
        with m.If(takes):
            m.d.sync += room.eq(1)
        with m.Elif(puts):
            m.d.sync += room.eq(filled.value != self._depth - 1)
        return m


class RegisterSlice(wiring.Component):
    """Two registers, a cycle and the full rate: all of `output` and `input.ready` are registers.

    Args:
        shape: of a payload.
    """

    def __init__(self, shape: Any) -> None:
        self._shape = shape
        super().__init__({"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source, target = self.input, self.output
        offered, held = Value.cast(source.payload), Signal(len(Value.cast(source.payload)), reset_less=True)
        full = Signal()
        m.d.comb += source.ready.eq(~full)
        with m.If(~full):
            m.d.sync += held.eq(offered)
        with m.If(target.ready | ~target.valid):
            m.d.sync += [
                target.valid.eq(full | source.valid),
                Value.cast(target.payload).eq(Mux(full, held, offered)),
                full.eq(0),
            ]
        with m.Elif(source.valid):
            m.d.sync += full.eq(1)
        return m
