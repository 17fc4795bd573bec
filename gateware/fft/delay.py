"""Delay lines of the FFT's stages."""

from __future__ import annotations

import itertools
from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

SHIFT_REGISTER_DEPTH = 8
"""Longest line that is made of registers, which become SRLs; a longer one is a memory."""


class DelayLine(wiring.Component):
    """`o` is what `i` was `depth` cycles ago, counting the cycles in which `en` is 1.

    A line of more than `SHIFT_REGISTER_DEPTH` words is a memory that is written and read every cycle, with the output
    register of a block RAM. Contents are not reset: whoever reads must know which words are valid.

    Args:
        width: bits of a word.
        depth: words of delay, 0 for a wire.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        self.width = width
        self.depth = depth
        super().__init__({"en": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.depth <= SHIFT_REGISTER_DEPTH:
            words = [self.i, *(Signal(self.width, name=f"word{k}", reset_less=True) for k in range(self.depth))]
            with m.If(self.en):
                m.d.sync += [after.eq(before) for before, after in itertools.pairwise(words)]
            m.d.comb += self.o.eq(words[-1])
        else:
            self._memory(m)
        return m

    def _memory(self, m: Module) -> None:
        """A ring: the word read now reaches `o` two cycles later, so it must be `depth - 2` words behind the one written."""
        m.submodules.ring = ring = Memory(shape=self.width, depth=1 << ceil_log2(self.depth - 1), init=[])
        write, read = ring.write_port(), ring.read_port()
        output = Signal(self.width, reset_less=True)
        m.d.comb += [
            write.en.eq(self.en),
            write.data.eq(self.i),
            read.en.eq(self.en),
            read.addr.eq(write.addr - (self.depth - 2)),
            self.o.eq(output),
        ]
        with m.If(self.en):
            m.d.sync += [write.addr.eq(write.addr + 1), output.eq(read.data)]


def delayed(m: Module, signal: Any, depth: int, en: Any) -> Any:
    """A control bit `depth` enabled cycles later, 0 after reset."""
    for _ in range(depth):
        register = Signal()
        m.d.sync += register.eq(Mux(en, signal, register))
        signal = register
    return signal
