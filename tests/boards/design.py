"""A block design as the stand-in commands recorded it, and the rules that it must obey."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.boards import facts
from tests.boards.facts import Shape

STUBS = Path(__file__).with_name("vivado.tcl")


class TclError(Exception):
    """The script did not execute."""


def run_tcl(script: Path, **variables: str) -> list[list[str]]:
    """Executes a script with the stand-ins; the fields of every line that they recorded."""
    record = script.with_suffix(".record")
    result = subprocess.run(
        ["tclsh", str(STUBS), str(script)],
        env=os.environ | {"COSOC_RECORD": str(record)} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if result.returncode != 0:
        raise TclError(result.stderr)
    return [line.split("\t") for line in record.read_text().splitlines()]


@dataclass
class Design:
    """Cells, connections and addresses."""

    cells: dict[str, str] = field(default_factory=dict)
    """Name -> VLNV or module."""
    properties: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    nets: list[tuple[str, str]] = field(default_factory=list)
    buses: list[tuple[str, str]] = field(default_factory=list)
    addresses: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Space, segment, offset, size."""

    @classmethod
    def of(cls, records: list[list[str]]) -> Design:
        design = cls()
        for kind, *values in records:
            if kind == "cell":
                design.cells[values[0]] = values[2]
            elif kind == "property":
                design.properties[values[0]][values[1]] = values[2]
            elif kind == "net":
                design.nets.append((values[0], values[1]))
            elif kind == "bus":
                design.buses.append((values[0], values[1]))
            elif kind == "address":
                design.addresses.append((values[0], values[1], int(values[2]), int(values[3])))
        return design

    def interrupts(self) -> dict[str, int]:
        """Interrupt number (SPI) of every cell whose interrupt reaches the processing system."""
        inputs = {to: source.partition("/")[0] for source, to in self.nets if "/In" in to}
        numbers = {}
        for source, to in self.nets:
            concat, _, pin = source.partition("/")
            if pin == "dout":
                first = facts.FIRST_SPI[to.partition("/")[2]]
                for name, cell in inputs.items():
                    if name.startswith(f"{concat}/In"):
                        numbers[cell] = first + int(name.partition("/In")[2])
        return numbers

    def problems(self, modules: dict[str, Shape]) -> list[str]:
        """Every rule that is broken; `modules` are the shapes of the modules that cells refer to."""
        found = [f"{s} is not the newest known IP" for s in self.cells.values() if s not in facts.NEWEST | modules.keys()]
        found += [f"unknown key {k}" for k in self.properties["ps"] if not facts.PS_KEYS.fullmatch(k.removeprefix("CONFIG."))]
        if found:
            return found
        shapes = {name: facts.shape_of(source, self.properties[name], modules) for name, source in self.cells.items()}
        return [*self._net_problems(shapes), *self._bus_problems(shapes), *self._address_problems(shapes)]

    def _net_problems(self, shapes: dict[str, Shape]) -> list[str]:
        found = []
        outputs = {f"{cell}/{pin}" for cell, shape in shapes.items() for pin in shape.outputs}
        inputs = {f"{cell}/{pin}" for cell, shape in shapes.items() for pin in shape.inputs}
        drivers = defaultdict(list)
        for source, to in self.nets:
            if source not in outputs:
                found.append(f"{source} is no output")
            if to not in inputs:
                found.append(f"{to} is no input")
            drivers[to].append(source)
        found += [f"{pin} has {len(drivers[pin])} drivers" for pin in sorted(inputs) if len(drivers[pin]) != 1]
        for cell, shape in shapes.items():
            for interface, clock in (shape.managers | shape.subordinates).items():
                if drivers[f"{cell}/{clock}"] != ["ps/pl_clk0"]:
                    found.append(f"{cell}/{interface} is not clocked by pl_clk0")
            if "aresetn" in shape.inputs and drivers[f"{cell}/aresetn"] != ["reset/peripheral_aresetn"]:
                found.append(f"{cell} is not reset")
        return found

    def _bus_problems(self, shapes: dict[str, Shape]) -> list[str]:
        found = []
        managers = {f"{cell}/{name}" for cell, shape in shapes.items() for name in shape.managers}
        subordinates = {f"{cell}/{name}" for cell, shape in shapes.items() for name in shape.subordinates}
        used = [end for bus in self.buses for end in bus]
        for manager, subordinate in self.buses:
            if manager not in managers:
                found.append(f"{manager} is no manager")
            if subordinate not in subordinates:
                found.append(f"{subordinate} is no subordinate")
        found += [f"{end} is connected {used.count(end)} times" for end in sorted(managers | subordinates) if used.count(end) != 1]
        return found

    def _address_problems(self, shapes: dict[str, Shape]) -> list[str]:
        found = []
        spaces: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for space, segment, offset, size in self.addresses:
            window = _window(segment)
            if window is None:
                found.append(f"no segment {segment}")
                continue
            if size & (size - 1) or offset % size:
                found.append(f"{segment} at {offset:#x} is not aligned to {size:#x}")
            if not window[0] <= offset <= offset + size <= window[0] + window[1]:
                found.append(f"{segment} at {offset:#x} leaves its window")
            for other, start, length in spaces[space]:
                if offset < start + length and start < offset + size:
                    found.append(f"{segment} overlaps {other}")
            spaces[space].append((segment, offset, size))
        for cell, shape in shapes.items():
            if "s_axi" in shape.subordinates:
                for manager in shape.managers:
                    found += self._reach_problems(f"{cell}/{manager}", {s for s, _, _ in spaces[f"{cell}/{manager}"]})
                if f"{cell}/s_axi/reg0" not in {segment for segment, _, _ in spaces["ps/Data"]}:
                    found.append(f"{cell} has no register address")
        return found

    def _reach_problems(self, manager: str, segments: set[str]) -> list[str]:
        """A manager must have the addresses of the port to which it is connected, and no other."""
        links = dict(self.buses)
        connect = links.get(manager, "").partition("/")[0]
        match = re.fullmatch(r"ps/S_AXI_(HP\d)_FPD", links.get(f"{connect}/M00_AXI", ""))
        if match is None:
            return [f"{manager} reaches no memory port"]
        expected = {f"ps/SAXIGP{facts.HP_INDEX[match[1]]}/{match[1]}_{name}" for name in facts.MEMORY_WINDOWS}
        return [] if segments == expected else [f"{manager} has addresses {sorted(segments)}, its port has {sorted(expected)}"]


def _window(segment: str) -> tuple[int, int] | None:
    if segment.endswith("/s_axi/reg0"):
        return facts.REGISTER_WINDOW
    match = re.fullmatch(r"ps/SAXIGP(\d)/(HP\d)_(DDR_\w+)", segment)
    if match is None or facts.HP_INDEX.get(match[2]) != int(match[1]):
        return None
    return facts.MEMORY_WINDOWS.get(match[3])
