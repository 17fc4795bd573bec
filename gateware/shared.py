"""Components of which a design has many: Verilog is generated once for all objects of a class.

Amaranth elaborates and converts every object of a component by itself, a fraction of a second for a float operator, of which an
FFT has a hundred. Objects of a `SharedComponent` are instances of one module instead.
"""

from __future__ import annotations

from abc import abstractmethod

from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, Module
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from cosoc.gateware.rtlil import Ports, component_ports, to_rtlil


class SharedComponent(wiring.Component):
    """A component whose class alone says what it is: it has no parameters, and only registers without reset, in domain `sync`.

    What is around it resets the design by transformations that do not reach into an instance, hence no resets. Subclasses
    describe their logic in `logic`; conversions other than `to_verilog` take that as any component's.
    """

    @abstractmethod
    def logic(self) -> Module:
        """What `elaborate` returns for other components."""

    def elaborate(self, platform: object) -> Module | Instance:
        if isinstance(platform, SharedModules) and platform.top is not self:
            return platform.instance(self)
        return self.logic()


class SharedModules:
    """The modules of shared components, in the order in which a design first uses them; the platform that it is elaborated for.

    Args:
        prefix: module names are `<prefix>__<class>`.
        top: the design; it is no instance, also if it is a shared component.
    """

    def __init__(self, prefix: str, *, top: object) -> None:
        self.top = top
        self._prefix = prefix
        self._modules: dict[type[SharedComponent], str] = {}

    def instance(self, component: SharedComponent) -> Instance:
        """Stands for `component`, whose module is made if it is the first of its class.

        Raises:
            ValueError: the class has the name of another, or a register with reset.
        """
        kind = type(component)
        name = f"{self._prefix}__{kind.__name__}"
        ports = component_ports(component, "__")
        if kind not in self._modules:
            if any(other.__name__ == kind.__name__ for other in self._modules):
                raise ValueError(f"two shared components are called {kind.__name__}; rename one")
            self._modules[kind] = self._module(component, name, ports)
        directions = {PortDirection.Input: "i", PortDirection.Output: "o"}
        return Instance(
            name,
            ("i", "clk", ClockSignal()),
            *((directions[direction], port, signal) for port, (signal, direction) in ports.items()),
        )

    def rtlil(self) -> str:
        """All modules."""
        return "".join(self._modules.values())

    def _module(self, component: SharedComponent, name: str, ports: Ports) -> str:
        fragment = Fragment.get(component.logic(), self)
        _refuse_resets(fragment, type(component).__name__)
        domain = ClockDomain("sync", reset_less=True)
        fragment.add_domains(domain)
        return to_rtlil(fragment, name, {"clk": (domain.clk, PortDirection.Input), **ports})


def _refuse_resets(fragment: Fragment, name: str) -> None:
    for domain, statements in fragment.statements.items():
        for signal in statements._lhs_signals():
            if domain != "comb" and not signal.reset_less:
                raise ValueError(f"register {signal.name} of shared component {name} has a reset; expected reset_less=True")
    for subfragment, *_ in fragment.subfragments:
        _refuse_resets(subfragment, name)
