"""Contents of memories in the Verilog: zeros in a loop, others word by word."""

import re

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.verilog import to_verilog


class Buffer(wiring.Component):
    """A memory of four words with a write and a read port."""

    def __init__(self, *, width, init):
        self.width, self.init = width, init
        super().__init__({"address": In(2), "write": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self.width, depth=4, init=self.init)
        write, read = words.write_port(), words.read_port()
        m.d.comb += [write.addr.eq(self.address), write.en.eq(self.write), write.data.eq(self.i)]
        m.d.comb += [read.addr.eq(self.address), read.en.eq(1), self.o.eq(read.data)]
        return m


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("init", [[], [0, 0, 0, 0]])
def test_zeros_are_a_loop(width, init):
    text = to_verilog(Buffer(width=width, init=init), name="buffer")
    name = re.search(r"^  reg \[\d:0\] (\w+) \[3:0\];\n  initial begin : \w+\n    integer i;\n", text, re.MULTILINE)[1]
    assert text.count(f"for (i = 0; i < 4; i = i + 1) {name}[i] = 0;\n  end\n") == 1
    assert text.count("initial begin") == 1


@pytest.mark.parametrize("init", [[7], [0, 0, 0, 7], [1, 2, 3, 4]])
def test_other_contents_are_kept(init):
    text = to_verilog(Buffer(width=8, init=init), name="buffer")
    words = dict(re.findall(r"^    \w+\[(\d)\] = 8'h(\w+);$", text, re.MULTILINE))
    assert {int(index): int(word, 16) for index, word in words.items()} == dict(enumerate([*init, 0, 0, 0][:4]))
    assert "for (" not in text
