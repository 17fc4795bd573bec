"""What is read from the reports of Yosys and nextpnr, and a component small enough to be synthesized here."""

import json
from pathlib import Path

import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bench.support.synthesis import (
    SynthesisError,
    buffer_reset,
    count_modules,
    count_resources,
    critical_path,
    synthesize,
    synthesize_modules,
)
from cosoc.gateware.resources import Resources


class Multiplier(wiring.Component):
    """A product of 8 x 8 bits with registers at both ends: one DSP slice, 32 flip-flops, no logic."""

    a: In(signed(8))
    b: In(signed(8))
    product: Out(signed(16))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, second = Signal(signed(8)), Signal(signed(8))
        m.d.sync += [first.eq(self.a), second.eq(self.b), self.product.eq(first * second)]
        return m


def test_cells():
    """RAM32M16 is a slice of eight LUTs; inverters, carry chains and wide multiplexers are none."""
    cells = {"LUT2": 3, "LUT6": 4, "RAM32M16": 2, "SRL16E": 5, "INV": 7, "CARRY4": 9, "MUXF7": 3, "FDRE": 11, "FDSE": 1}
    assert count_resources(cells) == Resources(lut=3 + 4 + 16 + 5, ff=12)
    assert count_resources({"DSP48E2": 2, "RAMB36E2": 3, "RAMB18E2": 3}) == Resources(dsp=2, bram36=5)


def test_modules_count_as_often_as_they_are_used():
    cells = {"top": {"LUT2": 1, "pair": 2, "leaf": 1}, "pair": {"leaf": 2, "FDRE": 3}, "leaf": {"DSP48E2": 1, "LUT6": 5}}
    assert count_modules(cells, "top") == Resources(lut=1 + 5 * 5, ff=6, dsp=5)


def _step(kind: str, delay: float, start: str, end: str) -> dict[str, object]:
    return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}


def test_critical_path():
    """Paths from or to ports do not count, however long; names end where the tools' begin."""
    path = [
        _step("clk-to-q", 0.5, "unit.count_TRELLIS_FF_Q_3", "unit.count_TRELLIS_FF_Q_3"),
        _step("routing", 2.0, "unit.count_TRELLIS_FF_Q_3", "unit.sum_LUT4_A"),
        _step("logic", 1.0, "unit.sum_LUT4_A", "unit.sum_LUT4_A"),
        _step("routing", 0.5, "unit.sum_LUT4_A", "unit.total_TRELLIS_FF_Q"),
        _step("setup", 0.0, "unit.total_TRELLIS_FF_Q", "unit.total_TRELLIS_FF_Q"),
    ]
    paths = [
        {"from": "async", "to": "posedge clk", "path": [_step("routing", 9.0, "a", "b")]},
        {"from": "posedge clk", "to": "posedge clk", "path": path},
    ]
    timing = critical_path({"critical_paths": paths})
    assert (timing.start, timing.end) == ("unit.count", "unit.total")
    assert timing.mhz == pytest.approx(250)
    assert timing.logic == pytest.approx(1.5)
    assert timing.routing == pytest.approx(2.5)


def test_no_clock():
    with pytest.raises(SynthesisError, match="no path from register to register"):
        critical_path({"critical_paths": [{"from": "async", "to": "async", "path": []}]})


def test_reset_goes_to_flip_flops_through_a_buffer():
    """Logic keeps the pin, also where what it makes resets a flip-flop. Nets are 2 (clock), 3 (reset), 4, 5, 8; 9 has no cell."""
    connections = {
        "count": {"CLK": [2], "LSR": [3], "Q": [4]},
        "logic": {"A": [3], "B": [4], "Z": [5]},
        "sum": {"CLK": [2], "LSR": [5], "DI": ["0"], "Q": [8]},
    }
    cells = {name: {"type": name, "connections": nets} for name, nets in connections.items()}
    names = {str(bit): {"bits": [bit]} for bit in (2, 3, 4, 5, 8, 9)}
    ports = {"clk": {"bits": [2]}, "rst": {"bits": [3]}}
    top = buffer_reset({"modules": {"top": {"ports": ports, "cells": cells, "netnames": names}}})["modules"]["top"]
    found = {name: cell["connections"] for name, cell in top["cells"].items()}
    assert found["reset_buffer"] == {"CLKI": [3], "CE": ["1"], "CLKO": [10]}
    assert top["cells"]["reset_buffer"]["type"] == "DCCA"
    assert found["count"] == {"CLK": [2], "LSR": [10], "Q": [4]}
    assert (found["logic"]["A"], found["sum"]["LSR"]) == ([3], [5])
    assert [10] in [name["bits"] for name in top["netnames"].values()]


def test_synthesize(tmp_path: Path):
    """Yosys runs once: the second answer is the kept one."""
    assert synthesize(Multiplier(), tmp_path) == Resources(ff=32, dsp=1)
    (entry,) = tmp_path.iterdir()
    entry.write_text(json.dumps({"lut": 1, "ff": 2, "dsp": 3, "bram36": 4}))
    assert synthesize(Multiplier(), tmp_path) == Resources(1, 2, 3, 4)


class Pair(wiring.Component):
    """Two of them side by side."""

    a: In(signed(8))
    b: In(signed(8))
    first: Out(signed(16))
    second: Out(signed(16))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, a, b in (("first", self.a, self.b), ("second", self.b, self.a)):
            m.submodules[name] = multiplier = Multiplier()
            m.d.comb += [multiplier.a.eq(a), multiplier.b.eq(b), getattr(self, name).eq(multiplier.product)]
        return m


def test_synthesize_modules(tmp_path: Path):
    assert synthesize_modules(Pair(), tmp_path) == Resources(ff=64, dsp=2)
