"""Queues between stages: no handshake reaches the other side in the same cycle, and both sides' come from registers."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class Queue(wiring.Component):
    """Payloads in LUT RAM, a cycle after they came.

    Args:
        shape: of a payload.
        depth: payloads that fit. The memory has a power of two of places.

    Members:
        input, output: one payload per cycle each. `output.payload` comes from the memory, all else from registers.
        level: payloads in the queue.
    """

    def __init__(self, shape: Any, depth: int = 4) -> None:
        self._depth = depth
        super().__init__(
            {"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape)), "level": Out(range(depth + 1))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source, target, level = self.input, self.output, self.level
        places = 1 << (self._depth - 1).bit_length()
        m.submodules.memory = memory = Memory(
            shape=len(Value.cast(source.payload)), depth=places, init=[], attrs={"ram_style": "distributed"}
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        puts, takes, room = Signal(), Signal(), Signal(init=1)
        m.d.comb += [
            source.ready.eq(room),
            puts.eq(source.valid & room),
            takes.eq(target.valid & target.ready),
            write.en.eq(puts),
            write.data.eq(source.payload),
            Value.cast(target.payload).eq(read.data),
        ]
        for moves, port in ((puts, write), (takes, read)):
            position = Signal(range(places), name="write_position" if port is write else "read_position")
            m.d.comb += port.addr.eq(position)
            with m.If(moves):
                m.d.sync += position.eq(position + 1)
        with m.If(puts & ~takes):
            m.d.sync += [level.eq(level + 1), room.eq(level != self._depth - 1), target.valid.eq(1)]
        with m.If(takes & ~puts):
            m.d.sync += [level.eq(level - 1), target.valid.eq(level != 1), room.eq(1)]
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
