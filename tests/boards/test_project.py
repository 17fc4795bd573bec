"""project.tcl under an ordinary Tcl interpreter, and the Verilog wrappers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cosoc.boards.zcu102.block_design import block_design
from cosoc.boards.zcu102.project import project
from cosoc.boards.zcu102.wrapper import wrapper_verilog
from cosoc.gateware.ports import Port, ports_of
from tests.boards.design import TclError, run_tcl
from tests.boards.socs import example_ports, shape_of_wrapper, soc_of


def write_project(folder: Path) -> Path:
    """The files that project.tcl expects around it."""
    soc = soc_of(c2d=1)
    (folder / "verilog").mkdir()
    (folder / "vivado").mkdir()
    (folder / "verilog" / "conv2d.v").write_text("module cosoc_conv2d; endmodule\n")
    (folder / "vivado" / "conv2d_block.v").write_text("module cosoc_conv2d_block; endmodule\n")
    (folder / "vivado" / "design.tcl").write_text(block_design(soc))
    script = folder / "vivado" / "project.tcl"
    script.write_text(project(soc))
    return script


def test_project_runs_to_the_bitstream(tmp_path: Path) -> None:
    script = write_project(tmp_path)
    records = run_tcl(script)
    steps = [record[0] for record in records]
    assert steps.index("project") < steps.index("file") < steps.index("design") < steps.index("wrapper") < steps.index("launch")
    assert ["file", "conv2d.v"] in records
    assert ["file", "conv2d_block.v"] in records
    assert ["property", "project", "board_part", "xilinx.com:zcu102:part0:3.4"] in records
    assert ["property", "sources_1", "top", "cosoc_wrapper"] in records
    assert [record[1] for record in records if record[0] == "wait"] == ["synth_1", "impl_1"]
    assert records[-1][0] == "exec"
    assert "[destination_device = pl] cosoc.bit" in (script.parent / "cosoc.bif").read_text()
    assert (script.parent / "cosoc.bit").exists()


@pytest.mark.parametrize("run", ["synth_1", "impl_1"])
def test_failed_run_stops(run: str, tmp_path: Path) -> None:
    with pytest.raises(TclError, match=f"{run} failed: synth_design ERROR"):
        run_tcl(write_project(tmp_path), COSOC_FAIL_RUN=run)


def test_wrapper_has_every_interface() -> None:
    shape = shape_of_wrapper(wrapper_verilog("conv2d", example_ports()))
    assert shape.inputs == {"aclk", "aresetn"}
    assert shape.outputs == {"interrupt"}
    assert shape.managers == {"m_axi": "aclk"}
    assert shape.subordinates == {"s_axi": "aclk"}


def test_wrapper_of_two_managers() -> None:
    shape = shape_of_wrapper(wrapper_verilog("conv2d", example_ports(managers=2)))
    assert shape.managers == {"m_axi": "aclk", "m_axi1": "aclk"}
    assert shape.subordinates == {"s_axi": "aclk"}


@pytest.mark.parametrize("managers", [1, 2])
def test_wrapper_names_every_port_and_compiles(managers: int, tmp_path: Path) -> None:
    ports = example_ports(managers)
    inner = "\n".join(f"  {port.declaration()};" for port in ports)
    verilog = f"module cosoc_conv2d({', '.join(port.name for port in ports)});\n{inner}\nendmodule\n"
    assert ports_of(verilog, "cosoc_conv2d") == ports
    text = wrapper_verilog("conv2d", ports_of(verilog, "cosoc_conv2d"))
    source = tmp_path / "block.v"
    source.write_text(verilog + text)
    result = subprocess.run(
        ["iverilog", "-Wall", "-s", "cosoc_conv2d_block", "-o", str(tmp_path / "out"), str(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "[15:0] s_axi_awaddr" in text, "Vivado takes the size of the segment from the width"


def test_wrapper_refuses_unknown_ports() -> None:
    with pytest.raises(ValueError, match="port debug belongs to none of the interfaces"):
        wrapper_verilog("conv2d", [Port("debug", "output", 1)])


def test_missing_module_is_named() -> None:
    with pytest.raises(ValueError, match="no module cosoc_fft"):
        ports_of("module cosoc_zip(a);\n  input a;\nendmodule\n", "cosoc_fft")
