"""SoCs on the ZCU102 for tests, and the modules of their wrappers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.boards.zcu102.block_design import block_design
from cosoc.boards.zcu102.wrapper import wrapper_name, wrapper_verilog
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.ports import Port, manager_names
from cosoc.gateware.soc import Group, SoCConfig
from tests.boards.design import Design, run_tcl
from tests.boards.facts import Shape
from tests.gateware.peripheral.pair_accelerator import PAIR_ACCELERATOR, PAIR_CONFIG


def soc_of(**counts: int) -> SoC:
    """A SoC on the ZCU102, whether its device has the resources or not."""
    platform = load_platform("zcu102")
    placed = SoC.place(SoCConfig.make(counts), replace(platform, device=None))
    return replace(placed, platform=platform)


def with_pairs(pairs: int, **counts: int) -> SoC:
    """A SoC that begins with accelerators of two managers."""
    soc = soc_of(**counts)
    groups = (Group(PAIR_ACCELERATOR, pairs, PAIR_CONFIG), *soc.config.groups)
    return replace(SoC.place(SoCConfig(groups), replace(soc.platform, device=None)), platform=soc.platform)


def example_ports(managers: int = 1) -> list[Port]:
    """Ports of an accelerator, as far as the wrapper is concerned: one of every kind."""
    memory = [
        port
        for name in manager_names(managers)
        for port in (Port(f"{name}_araddr", "output", 64), Port(f"{name}_rdata", "input", 128))
    ]
    return [
        Port("aclk", "input", 1),
        Port("aresetn", "input", 1),
        Port("interrupt", "output", 1),
        Port("s_axi_awaddr", "input", 12),
        Port("s_axi_wdata", "input", 32),
        Port("s_axi_araddr", "input", 12),
        *memory,
    ]


def shape_of_wrapper(verilog: str) -> Shape:
    """What Vivado would infer from the attributes of a wrapper."""
    shape = Shape()
    interfaces: dict[str, set[str]] = {}
    clocked: dict[str, str] = {}
    ports = re.findall(
        r'X_INTERFACE_INFO = "([^"]+)" \*\)\n(?:  \(\* X_INTERFACE_PARAMETER = "([^"]+)" \*\)\n)?  (.*?),?\n', verilog
    )
    for info, parameter, declaration in ports:
        kind, name, signal = re.fullmatch(r"xilinx\.com:\w+:(\w+):1\.0 (\w+) (\w+)", info).groups()  # type: ignore[union-attr]
        direction, port = declaration.split()[0], declaration.split()[-1]
        if kind == "aximm":
            assert port == f"{name}_{signal.lower()}"
            interfaces.setdefault(name, set())
            if signal == "ARADDR":
                interfaces[name].add(direction)
        else:
            assert port == name
            (shape.inputs if direction == "input" else shape.outputs).add(port)
            if kind == "clock":
                bus = re.search(r"ASSOCIATED_BUSIF ([\w:]+)", parameter)
                assert bus is not None
                clocked = dict.fromkeys(bus[1].split(":"), port)
    for name, directions in interfaces.items():
        side = shape.managers if directions == {"output"} else shape.subordinates
        side[name] = clocked[name]
    return shape


def modules() -> dict[str, Shape]:
    """Shapes of all wrappers."""
    shapes = {wrapper_name(a.module): shape_of_wrapper(wrapper_verilog(a.module, example_ports())) for a in ACCELERATORS}
    pair = PAIR_ACCELERATOR.module
    return shapes | {wrapper_name(pair): shape_of_wrapper(wrapper_verilog(pair, example_ports(managers=2)))}


def design_of(soc: SoC, folder: Path, text: str | None = None, **variables: str) -> Design:
    """The block design of a SoC, or of a changed script."""
    script = folder / "design.tcl"
    script.write_text(block_design(soc) if text is None else text)
    return Design.of(run_tcl(script, **variables))
