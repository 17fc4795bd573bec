"""Delay lines of the FFT's pipeline, for samples and for what accompanies them."""

from __future__ import annotations

import itertools
from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.fft.frame import Control

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


class ControlLine(wiring.Component):
    """As `DelayLine`, for `Control`: what comes out is not valid until `depth` cycles after reset.

    Args:
        depth: cycles of delay, 0 for a wire.
    """

    def __init__(self, *, depth: int) -> None:
        self.depth = depth
        super().__init__({"en": In(1), "i": In(Control), "o": Out(Control)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.line = line = DelayLine(width=Control.size, depth=self.depth)
        missing = Signal(range(self.depth + 1), init=self.depth)
        filled = Signal(init=self.depth == 0)
        with m.If(self.en & ~filled):
            m.d.sync += [missing.eq(missing - 1), filled.eq(missing <= 1)]
        delayed = Control(line.o)
        m.d.comb += [
            line.en.eq(self.en),
            line.i.eq(self.i),
            self.o.eq(delayed),
            self.o.valid.eq(delayed.valid & filled),
            self.o.first.eq(delayed.first & filled),
        ]
        return m
