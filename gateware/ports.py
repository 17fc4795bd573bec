"""Ports of a Verilog module, read from the text that `cosoc.gateware.verilog` writes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)


MANAGERS = 2
"""Most AXI4 managers of an accelerator."""


def manager_names(count: int) -> list[str]:
    """Names of an accelerator's interfaces to memory: `m_axi`, and `m_axi1` of the second manager."""
    return ["m_axi", *(f"m_axi{index}" for index in range(1, count))]


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module."""

    name: str
    direction: str
    width: int

    def declaration(self, prefix: str = "") -> str:
        """As a port of another module, with `prefix` in front of its name."""
        vector = f"[{self.width - 1}:0] " if self.width > 1 else ""
        return f"{self.direction} {vector}{prefix}{self.name}"


def ports_of(verilog: str, module: str) -> list[Port]:
    """The ports of a module, in order of declaration.

    Raises:
        ValueError: the text has no such module.
    """
    match = re.search(rf"^module {module}\b.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"no module {module} in the Verilog")
    return [Port(name, direction, int(high or 0) + 1) for direction, high, name in _PORT.findall(match.group())]
