"""Device-tree overlay of a SoC on the ZCU102: bitstream, port widths, clock, accelerators and shared memory.

Widths and clock are in the overlay because the first-stage boot loader set them for another design.
"""

from __future__ import annotations

from collections.abc import Iterator

from cosoc.boards.platform import BLOCK_BYTES
from cosoc.boards.soc import Placed, SoC
from cosoc.boards.zcu102.project import BITSTREAM

MEMORY_NAME = "cosoc-memory"
"""Name of the shared buffer under /dev and /sys/class/u-dma-buf."""

_PL_RESET = 116
_PL0_CLOCK = 71
_LEVEL_HIGH = 4

# AFI register index, value: 0..13 are the widths of the seven memory ports, read and write, 0 is 128 bits; 14 holds the widths
# of both full-power register ports, 0xa00 is 128 bits; 15 that of the low-power one.
_AFI = (*((index, 0) for index in range(14)), (14, 0xA00), (15, 0x000))


def overlay(soc: SoC) -> str:
    """The source of the overlay."""
    nodes = "\n".join(line for placed in soc.accelerators for line in _accelerator(placed))
    # dtc warns of cells that no node needs.
    cells = "\t#address-cells = <2>;\n\t#size-cells = <2>;\n\n" if nodes else ""
    return f"""\
// {soc.config.describe_counts()} on the ZCU102. Generated.
/dts-v1/;
/plugin/;

&fpga_full {{
\t#address-cells = <2>;
\t#size-cells = <2>;
\tfirmware-name = "{BITSTREAM}";
\tresets = <&zynqmp_reset {_PL_RESET}>;
}};

&amba {{
{cells}\tcosoc_afi: afi {{
\t\tcompatible = "xlnx,afi-fpga";
\t\tconfig-afi = {", ".join(f"<{index} {value:#x}>" for index, value in _AFI)};
\t}};

\tcosoc_clock: clock {{
\t\tcompatible = "xlnx,fclk";
\t\tclocks = <&zynqmp_clk {_PL0_CLOCK}>;
\t\tassigned-clocks = <&zynqmp_clk {_PL0_CLOCK}>;
\t\tassigned-clock-rates = <{soc.platform.clock_hz}>;
\t}};

\tcosoc_memory: {MEMORY_NAME} {{
\t\tcompatible = "ikwzm,u-dma-buf";
\t\tdevice-name = "{MEMORY_NAME}";
\t\tsize = <{soc.platform.memory_bytes:#x}>;
\t}};
{nodes}
}};
"""


def _accelerator(placed: Placed) -> Iterator[str]:
    """UIO looks for devices by the name, which is that in soc.json."""
    high, low = placed.base >> 32, placed.base & 0xFFFFFFFF
    yield f"\n\t{placed.name}: {placed.name}@{placed.base:x} {{"
    yield '\t\tcompatible = "generic-uio";'
    yield f'\t\tlinux,uio-name = "{placed.name}";'
    yield f"\t\treg = <{high:#x} {low:#x} 0x0 {BLOCK_BYTES:#x}>;"
    yield "\t\tinterrupt-parent = <&gic>;"
    yield f"\t\tinterrupts = <0 {placed.interrupt} {_LEVEL_HIGH}>;"
    yield "\t};"
