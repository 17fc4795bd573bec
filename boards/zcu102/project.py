"""`project.tcl`: from the Verilog to the bitstream, in one run of Vivado."""

from __future__ import annotations

from cosoc.boards.soc import SoC
from cosoc.boards.zcu102.block_design import DESIGN

BITSTREAM = "cosoc.bit.bin"
"""Name under /lib/firmware; the device tree names the same."""

_TEMPLATE = """\
# Makes the bitstream of @COUNTS@ for the ZCU102: vivado -mode batch -source project.tcl
# Results: @BITSTREAM@ (for the board), cosoc.xsa, utilization.rpt, timing.rpt, all beside this file.
set here [file dirname [file normalize [info script]]]

create_project @DESIGN@ [file join $here project] -part @PART@ -force
set boards [lsort -dictionary [get_board_parts *zcu102*]]
if {[llength $boards] == 0} { error "this Vivado has no board files of the ZCU102; install them and call again" }
set_property board_part [lindex $boards end] [current_project]

add_files [glob [file join $here .. verilog *.v]]
add_files [glob [file join $here *_block.v]]
update_compile_order -fileset sources_1
source [file join $here design.tcl]

set wrapper [make_wrapper -files [get_files @DESIGN@.bd] -top]
add_files $wrapper
set_property top @DESIGN@_wrapper [current_fileset]
update_compile_order -fileset sources_1

proc complete {run} {
  wait_on_run $run
  if {[get_property PROGRESS [get_runs $run]] ne "100%"} {
    error "$run failed: [get_property STATUS [get_runs $run]]; its log is runme.log in the folder of the run"
  }
}

launch_runs synth_1
complete synth_1
launch_runs impl_1 -to_step write_bitstream
complete impl_1

open_run impl_1
report_utilization -file [file join $here utilization.rpt]
report_timing_summary -file [file join $here timing.rpt]
set slack [get_property SLACK [get_timing_paths]]
if {$slack < 0} { puts "WARNING: timing is not met: worst slack $slack ns at @CLOCK@ MHz" }
write_hw_platform -fixed -include_bit -force -file [file join $here cosoc.xsa]

# The FPGA manager of Linux takes the byte order that bootgen writes.
set bitstream [get_property DIRECTORY [get_runs impl_1]]/@DESIGN@_wrapper.bit
file copy -force $bitstream [file join $here cosoc.bit]
cd $here
set description [open cosoc.bif w]
puts $description "all: { \\[destination_device = pl\\] cosoc.bit }"
close $description
exec bootgen -image cosoc.bif -arch zynqmp -process_bitstream bin -w on
"""


def project(soc: SoC) -> str:
    """The text of project.tcl; beside it lie design.tcl and the wrappers, and the Verilog in ../verilog."""
    device = soc.platform.device
    assert device is not None, "the ZCU102 has an FPGA"
    values = {
        "COUNTS": soc.config.describe_counts(),
        "BITSTREAM": BITSTREAM,
        "DESIGN": DESIGN,
        "PART": device.part,
        "CLOCK": str(soc.platform.clock_hz // 1_000_000),
    }
    text = _TEMPLATE
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
