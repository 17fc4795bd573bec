"""Shared components: one module for all objects of a class, and what cannot be shared is refused."""

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.shared import SharedComponent
from cosoc.gateware.verilog import to_verilog


class Delay(SharedComponent):
    i: In(8)
    o: Out(8)
    reset_less = True

    def logic(self):
        m = Module()
        word = Signal(8, reset_less=self.reset_less)
        m.d.sync += word.eq(self.i)
        m.d.comb += self.o.eq(word)
        return m


class DelayTwice(SharedComponent):
    i: In(8)
    o: Out(8)

    def logic(self):
        return chain(self, [Delay(), Delay()])


class Delays(wiring.Component):
    i: In(8)
    o: Out(8)

    def __init__(self, *delays):
        super().__init__()
        self.delays = delays

    def elaborate(self, platform):
        return chain(self, self.delays)


def chain(component, delays):
    m = Module()
    value = component.i
    for delay in delays:
        m.submodules += delay
        m.d.comb += delay.i.eq(value)
        value = delay.o
    m.d.comb += component.o.eq(value)
    return m


def test_one_module_for_a_class():
    text = to_verilog(Delays(Delay(), DelayTwice(), Delay()), name="delays")
    lines = [line.strip() for line in text.splitlines()]
    assert [line.split("(")[0] for line in lines if line.startswith("module ")] == [
        "module delays",
        "module delays__Delay",
        "module delays__DelayTwice",
    ]
    assert sum(line.startswith("delays__Delay ") for line in lines) == 4
    assert sum(line.startswith("delays__DelayTwice ") for line in lines) == 1
    assert text == to_verilog(Delays(Delay(), DelayTwice(), Delay()), name="delays")


def test_a_shared_component_can_be_the_top():
    lines = [line.strip() for line in to_verilog(DelayTwice(), name="top").splitlines()]
    assert [line.split("(")[0] for line in lines if line.startswith("module ")] == ["module top", "module top__Delay"]
    assert sum(line.startswith("top__Delay ") for line in lines) == 2


def test_a_register_with_reset_is_refused():
    class Resets(Delay):
        reset_less = False

    with pytest.raises(ValueError, match=r"register word of shared component Resets has a reset"):
        to_verilog(Delays(Resets()), name="delays")


def test_two_classes_of_one_name_are_refused():
    another = type("Delay", (Delay,), {})
    with pytest.raises(ValueError, match="two shared components are called Delay"):
        to_verilog(Delays(Delay(), another()), name="delays")
