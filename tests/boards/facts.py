"""What Vivado's IP for the ZCU102 looks like: pins, interfaces, properties, windows. Independent of the generator."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NEWEST = {
    "xilinx.com:ip:zynq_ultra_ps_e:3.5",
    "xilinx.com:ip:smartconnect:1.0",
    "xilinx.com:ip:proc_sys_reset:5.0",
    "xilinx.com:ip:xlconcat:2.1",
    "xilinx.com:inline_hdl:ilconcat:1.0",
}

REGISTER_WINDOW = (0xA000_0000, 256 << 20)
"""The 32-bit window of M_AXI_HPM0_FPD."""

MEMORY_WINDOWS = {"DDR_LOW": (0, 0x8000_0000), "DDR_HIGH": (0x8_0000_0000, 0x8000_0000)}

HP_INDEX = {"HP0": 2, "HP1": 3, "HP2": 4, "HP3": 5}
"""SAXIGP number of each port."""

FIRST_SPI = {"pl_ps_irq0": 89, "pl_ps_irq1": 104}

PS_KEYS = re.compile(
    r"PSU__(USE__M_AXI_GP[0-2]|USE__S_AXI_GP[0-6]|MAXIGP[0-2]__DATA_WIDTH|SAXIGP[0-6]__DATA_WIDTH|USE__IRQ[01]|"
    r"USE__FABRIC__RST|FPGA_PL0_ENABLE|CRL_APB__PL0_REF_CTRL__(FREQMHZ|SRCSEL))"
)


@dataclass
class Shape:
    """Pins and interfaces of one cell with its properties."""

    inputs: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)
    managers: dict[str, str] = field(default_factory=dict)
    """Interfaces, each with the pin that clocks it."""
    subordinates: dict[str, str] = field(default_factory=dict)


def _processing_system(properties: dict[str, str]) -> Shape:
    shape = Shape()

    def enabled(key: str) -> bool:
        return properties.get(f"CONFIG.PSU__{key}") == "1"

    if enabled("FPGA_PL0_ENABLE"):
        shape.outputs.add("pl_clk0")
    if enabled("USE__FABRIC__RST"):
        shape.outputs.add("pl_resetn0")
    shape.inputs |= {f"pl_ps_irq{i}" for i in range(2) if enabled(f"USE__IRQ{i}")}
    for index, name in enumerate(("HPM0_FPD", "HPM1_FPD", "HPM0_LPD")):
        if enabled(f"USE__M_AXI_GP{index}"):
            shape.managers[f"M_AXI_{name}"] = f"maxi{name.lower()}_aclk"
    for port, index in HP_INDEX.items():
        if enabled(f"USE__S_AXI_GP{index}"):
            shape.subordinates[f"S_AXI_{port}_FPD"] = f"saxi{port.lower()}_fpd_aclk"
    shape.inputs |= {*shape.managers.values(), *shape.subordinates.values()}
    return shape


def shape_of(source: str, properties: dict[str, str], modules: dict[str, Shape]) -> Shape:
    """The shape of a cell; `source` is its VLNV or the module that it refers to."""
    if source in modules:
        return modules[source]
    name = source.split(":")[2]
    if name == "zynq_ultra_ps_e":
        return _processing_system(properties)
    if name == "proc_sys_reset":
        return Shape({"slowest_sync_clk", "ext_reset_in"}, {"peripheral_aresetn"})
    if name in ("xlconcat", "ilconcat"):
        return Shape({f"In{i}" for i in range(int(properties["CONFIG.NUM_PORTS"]))}, {"dout"})
    if name == "smartconnect":
        managers = {f"M{i:02}_AXI": "aclk" for i in range(int(properties["CONFIG.NUM_MI"]))}
        subordinates = {f"S{i:02}_AXI": "aclk" for i in range(int(properties["CONFIG.NUM_SI"]))}
        return Shape({"aclk", "aresetn"}, set(), managers, subordinates)
    raise ValueError(f"no facts about {source}")
