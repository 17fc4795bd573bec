"""Verilog of an accelerator with all that surrounds it: what the build, Vivado and the simulators use."""

from __future__ import annotations

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.parameters import Config
from cosoc.gateware.peripheral.accelerator import AcceleratorPeripheral
from cosoc.gateware.verilog import to_verilog


def peripheral_verilog(accelerator: Accelerator, config: Config) -> str:
    """One file with the module `cosoc_<module>`.

    Its ports are `aclk`, `aresetn`, `s_axi_*`, `m_axi_*`, `interrupt`, and with two managers `m_axi1_*`.
    """
    return to_verilog(AcceleratorPeripheral(accelerator, config), name=f"cosoc_{accelerator.module}", separator="_")
