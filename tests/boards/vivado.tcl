# Stand-ins for the commands of Vivado that the generated scripts use. Each prints one line of tab-separated fields to the file
# named in COSOC_RECORD; the Python tests read them. A command that is not here is an error, as in Vivado a wrong one would be.
#
#   tclsh vivado.tcl script.tcl
set record [open $env(COSOC_RECORD) w]
proc record {args} { puts $::record [join $args "\t"] }

set catalogue {
  xilinx.com:ip:zynq_ultra_ps_e:3.3 xilinx.com:ip:zynq_ultra_ps_e:3.5 xilinx.com:ip:smartconnect:1.0
  xilinx.com:ip:proc_sys_reset:5.0 xilinx.com:ip:axi_interconnect:2.1
}
if {[info exists env(COSOC_INLINE_CONCAT)]} {
  lappend catalogue xilinx.com:inline_hdl:ilconcat:1.0
} else {
  lappend catalogue xilinx.com:ip:xlconcat:2.1
}
proc get_ipdefs {pattern} { return [lsearch -all -inline -glob $::catalogue $pattern] }

# Block design.
proc create_bd_design {name} { record design $name }
proc create_bd_cell {args} {
  if {[llength $args] != 5} { error "create_bd_cell $args" }
  lassign $args option kind source_option source name
  if {$option ne "-type" || $source_option ne [expr {$kind eq "module" ? "-reference" : "-vlnv"}]} {
    error "create_bd_cell $args"
  }
  record cell $name $kind $source
  return $name
}
proc apply_bd_automation {args} { record automation $args }
proc set_property {args} {
  if {[lindex $args 0] eq "-dict"} {
    foreach {key value} [lindex $args 1] { record property [lindex $args 2] $key $value }
  } else {
    record property [lindex $args 2] [lindex $args 0] [lindex $args 1]
  }
}
proc get_bd_cells {name} { return $name }
proc get_bd_pins {name} { return $name }
proc get_bd_intf_pins {name} { return $name }
proc get_bd_addr_spaces {name} { return $name }
proc get_bd_addr_segs {args} { return [lindex $args end] }
proc connect_bd_net {from to} { record net $from $to }
proc connect_bd_intf_net {from to} { record bus $from $to }
proc assign_bd_address {args} {
  if {[llength $args] != 8 || [lindex $args end] ne "-force"} { error "assign_bd_address $args" }
  array set given [lrange $args 0 5]
  record address $given(-target_address_space) [lindex $args 6] [expr {$given(-offset)}] [expr {$given(-range)}]
}
proc exclude_bd_addr_seg {segment option space} { record exclude $space $segment }
proc validate_bd_design {} { record validate }
proc save_bd_design {} { record save }

# Project.
proc create_project {name folder args} { record project $name $args; set ::run_folder [file join $folder run]; file mkdir $::run_folder }
proc current_project {} { return project }
proc current_fileset {} { return sources_1 }
proc get_board_parts {pattern} { return {xilinx.com:zcu102:part0:3.3 xilinx.com:zcu102:part0:3.4} }
proc add_files {files} { foreach name $files { record file [file tail $name] } }
proc update_compile_order {args} {}
proc get_files {name} { return $name }
proc make_wrapper {args} { record wrapper $args; return wrapper.v }
proc launch_runs {args} { record launch $args }
proc wait_on_run {run} { record wait $run }
proc get_runs {run} { return $run }
proc open_run {run} { record open $run }
proc get_timing_paths {} { return path }
proc get_property {name object} {
  switch $name {
    PROGRESS { return [expr {[info exists ::env(COSOC_FAIL_RUN)] && $::env(COSOC_FAIL_RUN) eq $object ? "40%" : "100%"}] }
    STATUS { return "synth_design ERROR" }
    SLACK { return 0.1 }
    DIRECTORY { close [open [file join $::run_folder cosoc_wrapper.bit] w]; return $::run_folder }
    default { error "get_property $name" }
  }
}
proc report_utilization {args} { record report utilization }
proc report_timing_summary {args} { record report timing }
proc write_hw_platform {args} { record platform $args }
rename exec tcl_exec
proc exec {args} { record exec $args }

set argv0 [lindex $argv 0]
source $argv0
close $record
