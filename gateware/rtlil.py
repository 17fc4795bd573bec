"""RTLIL of an Amaranth design, as Amaranth's own back end makes it but for the contents of memories that are all zero.

Amaranth writes contents bit by bit, which took longer than everything else in designs with large buffers. `verilog`
gives the memories their zeros.
"""

from __future__ import annotations

from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Signal, Value, _ast, _ir
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Flow

Ports = dict[str, tuple[Signal, PortDirection]]


def component_ports(component: Any, separator: str) -> Ports:
    """The signals of a component's signature by port name, without the constants, such as an always-ready stream's `ready`."""
    directions = {Flow.In: PortDirection.Input, Flow.Out: PortDirection.Output}
    return {
        separator.join(str(part) for part in path): (Value.cast(value), directions[member.flow])
        for path, member, value in component.signature.flatten(component)
        if isinstance(Value.cast(value), Signal)
    }


def to_rtlil(fragment: Fragment, name: str, ports: Ports) -> str:
    """The modules of an elaborated design; those below the top are called by their path."""
    netlist = _ir.build_netlist(fragment, ports=ports, name=name)
    empty = rtlil.EmptyModuleChecker(netlist)
    design = rtlil.Design(emit_src=False)
    names = _ast.SignalDict()
    for index, module in enumerate(netlist.modules):
        if not empty.is_empty(index):
            builder = design.module(".".join(module.name))
            _ModuleEmitter(builder, netlist, module, names, empty_checker=empty).emit()
    return str(design)


class _ModuleEmitter(rtlil.ModuleEmitter):
    def emit_memory(self, cell_idx: int, cell: Any) -> None:
        if any(cell.init):
            super().emit_memory(cell_idx, cell)
