"""`design.tcl`: the Vivado block design of a SoC on the ZCU102.

The processing system with the board's preset; every accelerator as a module reference; one SmartConnect from M_AXI_HPM0_FPD to
the registers; one SmartConnect to each memory port in use, from all managers that share it; interrupts in the order of the
accelerators; one clock, PL0. Memory ports have 128 bits: their SmartConnect widens what comes from a manager that has fewer.
"""

from __future__ import annotations

from collections.abc import Iterator

from cosoc.boards.platform import BLOCK_BYTES
from cosoc.boards.soc import SoC
from cosoc.boards.zcu102.wrapper import wrapper_name

DESIGN = "cosoc"
LINES_PER_GROUP = 8
"""Interrupt lines of pl_ps_irq0, and of pl_ps_irq1."""

DDR_LOW = (0x0000_0000, 0x8000_0000)
DDR_HIGH = (0x8_0000_0000, 0x8000_0000)
"""Base and size of the two windows of the board's 4 GiB of DDR4."""

SLAVE_INDEX = {"HP0": 2, "HP1": 3, "HP2": 4, "HP3": 5}
"""The processing system numbers its memory ports SAXIGP0..6; HP0 is SAXIGP2."""

_VERBS = """\
# The newest version of an IP that this Vivado has.
proc newest {ip} {
  set found [lsort -dictionary [get_ipdefs $ip:*]]
  if {[llength $found] == 0} { error "this Vivado has no $ip; versions 2022.1 and later are expected to have it" }
  return [lindex $found end]
}

proc ip {name ip} { return [create_bd_cell -type ip -vlnv [newest $ip] $name] }

# Concatenates interrupts; recent versions of Vivado replace xlconcat by an inline form with the same pins.
proc concat_cell {name inputs} {
  if {[llength [get_ipdefs xilinx.com:inline_hdl:ilconcat:*]] > 0} {
    set cell [create_bd_cell -type inline_hdl -vlnv [newest xilinx.com:inline_hdl:ilconcat] $name]
  } else {
    set cell [ip $name xilinx.com:ip:xlconcat]
  }
  set_property -dict [list CONFIG.NUM_PORTS $inputs] $cell
}

proc wire {from args} {
  foreach to $args { connect_bd_net [get_bd_pins $from] [get_bd_pins $to] }
}

proc bus {from to} { connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to] }

proc clocked {args} {
  foreach cell $args {
    wire ps/pl_clk0 $cell/aclk
    wire reset/peripheral_aresetn $cell/aresetn
  }
}

proc smartconnect {name managers subordinates} {
  ip $name xilinx.com:ip:smartconnect
  set_property -dict [list CONFIG.NUM_SI $managers CONFIG.NUM_MI $subordinates] [get_bd_cells $name]
  clocked $name
}

proc address {space segment offset range} {
  assign_bd_address -offset $offset -range $range -target_address_space [get_bd_addr_spaces $space] \\
    [get_bd_addr_segs $segment] -force
}
"""


def block_design(soc: SoC) -> str:
    """The text of design.tcl; it runs inside a project that contains the wrappers."""
    sections = [
        f"# Block design of {soc.config.describe_counts()} on the ZCU102. Generated.",
        _VERBS,
        f"create_bd_design {DESIGN}\n",
        "\n".join(_processing_system(soc)),
        "\n".join(_accelerators(soc)),
        "\n".join(_registers(soc)),
        "\n".join(_memory(soc)),
        "\n".join(_interrupts(soc)),
        "validate_bd_design\nsave_bd_design",
    ]
    return "\n".join(section for section in sections if section) + "\n"


def ps_properties(soc: SoC) -> dict[str, int | str]:
    """Every key of the processing system on which the design relies, whatever the board's preset says."""
    used = {port for port, _ in soc.ports()}
    lines = len(soc.accelerators)
    properties: dict[str, int | str] = {
        "PSU__FPGA_PL0_ENABLE": 1,
        "PSU__CRL_APB__PL0_REF_CTRL__SRCSEL": "IOPLL",
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": soc.platform.clock_hz // 1_000_000,
        "PSU__USE__FABRIC__RST": 1,
        "PSU__USE__M_AXI_GP0": int(lines > 0),
        "PSU__USE__M_AXI_GP1": 0,
        "PSU__USE__M_AXI_GP2": 0,
        "PSU__USE__IRQ0": int(lines > 0),
        "PSU__USE__IRQ1": int(lines > LINES_PER_GROUP),
        "PSU__USE__S_AXI_GP0": 0,
        "PSU__USE__S_AXI_GP1": 0,
        "PSU__USE__S_AXI_GP6": 0,
    }
    if lines:
        properties["PSU__MAXIGP0__DATA_WIDTH"] = 128
    for port, index in SLAVE_INDEX.items():
        properties[f"PSU__USE__S_AXI_GP{index}"] = int(port in used)
        if port in used:
            properties[f"PSU__SAXIGP{index}__DATA_WIDTH"] = 128
    return properties


def _processing_system(soc: SoC) -> Iterator[str]:
    yield "# Processing system, clock and reset."
    yield "ip ps xilinx.com:ip:zynq_ultra_ps_e"
    yield ('apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset "1"} [get_bd_cells ps]')
    yield "set_property -dict [list \\"
    for key, value in ps_properties(soc).items():
        yield f"  CONFIG.{key} {{{value}}} \\"
    yield "] [get_bd_cells ps]"
    yield "ip reset xilinx.com:ip:proc_sys_reset"
    yield "wire ps/pl_clk0 reset/slowest_sync_clk"
    yield "wire ps/pl_resetn0 reset/ext_reset_in\n"


def _accelerators(soc: SoC) -> Iterator[str]:
    for placed in soc.accelerators:
        module = placed.instance.accelerator.module
        yield f"create_bd_cell -type module -reference {wrapper_name(module)} {placed.name}"
        yield f"clocked {placed.name}"


def _registers(soc: SoC) -> Iterator[str]:
    if not soc.accelerators:
        return
    yield "\n# Registers: the CPU reaches them through M_AXI_HPM0_FPD."
    yield f"smartconnect registers 1 {len(soc.accelerators)}"
    yield "wire ps/pl_clk0 ps/maxihpm0_fpd_aclk"
    yield "bus ps/M_AXI_HPM0_FPD registers/S00_AXI"
    for index, placed in enumerate(soc.accelerators):
        yield f"bus registers/M{index:02}_AXI {placed.name}/s_axi"
        yield f"address ps/Data {placed.name}/s_axi/reg0 {placed.base:#x} {BLOCK_BYTES:#x}"


def _memory(soc: SoC) -> Iterator[str]:
    for port, users in soc.ports():
        cell = f"memory_{port.lower()}"
        slave = f"ps/SAXIGP{SLAVE_INDEX[port]}/{port}"
        yield f"\n# Memory port {port}."
        yield f"smartconnect {cell} {len(users)} 1"
        yield f"wire ps/pl_clk0 ps/saxi{port.lower()}_fpd_aclk"
        yield f"bus {cell}/M00_AXI ps/S_AXI_{port}_FPD"
        for index, manager in enumerate(users):
            yield f"bus {manager} {cell}/S{index:02}_AXI"
            yield from _memory_addresses(manager, slave)


def _memory_addresses(space: str, slave: str) -> Iterator[str]:
    for segment, (base, size) in (("DDR_LOW", DDR_LOW), ("DDR_HIGH", DDR_HIGH)):
        yield f"address {space} {slave}_{segment} {base:#x} {size:#x}"
    # What else the port reaches is no memory for accelerators; an unassigned segment would be a critical warning.
    yield f"foreach segment [get_bd_addr_segs -quiet {{{slave}_QSPI {slave}_LPS_OCM}}] {{"
    yield f"  exclude_bd_addr_seg $segment -target_address_space [get_bd_addr_spaces {space}]"
    yield "}"


def _interrupts(soc: SoC) -> Iterator[str]:
    for group in range(0, len(soc.accelerators), LINES_PER_GROUP):
        members = soc.accelerators[group : group + LINES_PER_GROUP]
        number = group // LINES_PER_GROUP
        yield f"\n# Interrupts {members[0].interrupt}..{members[-1].interrupt}, in the numbers of a device tree."
        yield f"concat_cell interrupts{number} {len(members)}"
        for index, placed in enumerate(members):
            yield f"wire {placed.name}/interrupt interrupts{number}/In{index}"
        yield f"wire interrupts{number}/dout ps/pl_ps_irq{number}"
