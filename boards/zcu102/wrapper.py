"""Verilog wrappers that tell Vivado which ports form which interface.

A block design refers to a plain Verilog module and learns its interfaces from attributes on the ports. The generated Verilog of
an accelerator carries none, so each kind gets a wrapper `cosoc_<module>_block`.
"""

from __future__ import annotations

from cosoc.boards.platform import BLOCK_BYTES
from cosoc.gateware.ports import MANAGERS, Port, manager_names

INTERFACES = ("s_axi", *manager_names(MANAGERS))
"""Those that an accelerator may have."""

REGISTER_ADDRESS_BITS = BLOCK_BYTES.bit_length() - 1

_SINGLE = {
    "aclk": ("xilinx.com:signal:clock:1.0 aclk CLK", "ASSOCIATED_BUSIF @INTERFACES@, ASSOCIATED_RESET aresetn"),
    "aresetn": ("xilinx.com:signal:reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"),
    "interrupt": ("xilinx.com:signal:interrupt:1.0 interrupt INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
}


def wrapper_name(module: str) -> str:
    """Verilog module of the wrapper of `cosoc_<module>`."""
    return f"cosoc_{module}_block"


def wrapper_verilog(module: str, ports: list[Port]) -> str:
    """The wrapper of one kind of accelerator.

    Register addresses are widened to the 64 KiB of the block, because Vivado derives the size of an address segment from the
    width of the port; the accelerator's page then repeats inside the block.

    Raises:
        ValueError: a port that belongs to no interface.
    """
    present = [name for name in INTERFACES if any(port.name.startswith(f"{name}_") for port in ports)]
    declarations, connections = [], []
    for port in ports:
        outer = port
        connection = port.name
        if port.name in ("s_axi_awaddr", "s_axi_araddr"):
            outer = Port(port.name, port.direction, REGISTER_ADDRESS_BITS)
            connection = f"{port.name}[{port.width - 1}:0]"
        declarations.append(_attributes(port.name, present) + f"  {outer.declaration()}")
        connections.append(f"    .{port.name}({connection})")
    return (
        f"// Interfaces of cosoc_{module} for a Vivado block design. Generated.\n"
        f"module {wrapper_name(module)} (\n" + ",\n".join(declarations) + "\n);\n"
        f"  cosoc_{module} accelerator (\n" + ",\n".join(connections) + "\n  );\nendmodule\n"
    )


def _attributes(name: str, interfaces: list[str]) -> str:
    if name in _SINGLE:
        info, parameter = _SINGLE[name]
        parameter = parameter.replace("@INTERFACES@", ":".join(interfaces))
        return f'  (* X_INTERFACE_INFO = "{info}" *)\n  (* X_INTERFACE_PARAMETER = "{parameter}" *)\n'
    for interface in interfaces:
        if name.startswith(f"{interface}_"):
            signal = name.removeprefix(f"{interface}_").upper()
            return f'  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 {interface} {signal}" *)\n'
    raise ValueError(f"port {name} belongs to none of the interfaces {', '.join(INTERFACES)}, aclk, aresetn, interrupt")
