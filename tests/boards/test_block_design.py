"""The generated block design under an ordinary Tcl interpreter: it executes and obeys every rule; mutants do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosoc.boards.soc import SoC
from cosoc.boards.zcu102.block_design import block_design
from tests.boards.design import TclError
from tests.boards.socs import design_of, modules, soc_of, with_pairs

COUNTS: list[dict[str, int]] = [
    {"c2d": 2, "fft": 1, "zip": 1},
    {"c2d": 1},
    {"fft": 1},
    {"c2d": 3, "fft": 3, "zip": 2},
    {"c2d": 4, "fft": 3, "zip": 2},
    {"c2d": 8, "fft": 4, "zip": 4},
    {},
    {"pairs": 1},
    {"pairs": 4},
    {"pairs": 7, "c2d": 4, "fft": 3, "zip": 2},
]


def soc_from(counts: dict[str, int]) -> SoC:
    """`pairs` are accelerators of two managers."""
    return with_pairs(**{"pairs": 0} | counts)


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("variables", [{}, {"COSOC_INLINE_CONCAT": "1"}], ids=["xlconcat", "ilconcat"])
def test_obeys_every_rule(counts: dict[str, int], variables: dict[str, str], tmp_path: Path) -> None:
    design = design_of(soc_from(counts), tmp_path, **variables)
    assert design.problems(modules()) == []


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_agrees_with_soc_json(counts: dict[str, int], tmp_path: Path) -> None:
    soc = soc_from(counts)
    design = design_of(soc, tmp_path)
    assert design.interrupts() == {placed.name: placed.interrupt for placed in soc.accelerators}
    registers = {segment.partition("/")[0]: offset for space, segment, offset, _ in design.addresses if space == "ps/Data"}
    assert registers == {placed.name: placed.base for placed in soc.accelerators}
    ports = {space: segment.split("/")[2][:3] for space, segment, _, _ in design.addresses if space != "ps/Data"}
    described = {entry["name"]: entry["memory_ports"] for entry in json.loads(soc.json())["accelerators"]}
    names = ("m_axi", "m_axi1")
    assert ports == {f"{name}/{names[index]}": port for name, own in described.items() for index, port in enumerate(own)}
    present = {f"cosoc_{group.accelerator.module}_block" for group in soc.config.present()}
    assert {source for source in design.cells.values() if source.startswith("cosoc_")} == present


def test_ninth_interrupt_is_in_the_second_group() -> None:
    numbers = [placed.interrupt for placed in soc_of(c2d=10).accelerators]
    assert numbers == [89, 90, 91, 92, 93, 94, 95, 96, 104, 105]


def test_managers_take_the_ports_in_turn() -> None:
    ports = [placed.memory_ports for placed in with_pairs(2, c2d=2, fft=1).accelerators]
    assert ports == [("HP0", "HP3"), ("HP1", "HP0"), ("HP3",), ("HP1",), ("HP0",)]
    assert [placed.memory_ports for placed in soc_of(c2d=4).accelerators] == [("HP0",), ("HP3",), ("HP1",), ("HP0",)]


def test_preset_is_applied_before_keys_are_set() -> None:
    text = block_design(soc_of(c2d=1))
    assert text.index("apply_board_preset") < text.index("PSU__USE__M_AXI_GP0")


def test_is_deterministic() -> None:
    assert block_design(soc_of(c2d=3, fft=2)) == block_design(soc_of(c2d=3, fft=2))


MUTANTS = {
    "a wrong pin": ("ps/pl_clk0 ps/maxihpm0_fpd_aclk", "ps/pl_clk0 ps/maxihpm0_aclk", "no input"),
    "an unclocked port": ("wire ps/pl_clk0 ps/saxihp0_fpd_aclk\n", "", "S_AXI_HP0_FPD is not clocked"),
    "two drivers": (
        "wire zip0/interrupt interrupts0/In3",
        "wire zip0/interrupt interrupts0/In3\nwire fft0/interrupt interrupts0/In3",
        "2 drivers",
    ),
    "an open interrupt": ("wire fft0/interrupt interrupts0/In2\n", "", "interrupts0/In2 has 0 drivers"),
    "no reset": ("    wire reset/peripheral_aresetn $cell/aresetn\n", "", "is not reset"),
    "too many managers": ("smartconnect memory_hp0 2 1", "smartconnect memory_hp0 3 1", "memory_hp0/S02_AXI is connected 0"),
    "too few subordinates": ("smartconnect registers 1 4", "smartconnect registers 1 3", "registers/M03_AXI is no manager"),
    "overlapping registers": ("fft0/s_axi/reg0 0xa0020000", "fft0/s_axi/reg0 0xa0010000", "overlaps"),
    "a misaligned address": ("c2d0/s_axi/reg0 0xa0000000", "c2d0/s_axi/reg0 0xa0000800", "not aligned"),
    "an address outside the window": ("zip0/s_axi/reg0 0xa0030000", "zip0/s_axi/reg0 0xb0030000", "leaves its window"),
    "a missing address": ("address ps/Data fft0/s_axi/reg0 0xa0020000 0x10000\n", "", "fft0 has no register address"),
    "another port's addresses": (
        "address c2d1/m_axi ps/SAXIGP5/HP3_DDR_LOW",
        "address c2d1/m_axi ps/SAXIGP2/HP0_DDR_LOW",
        "its port",
    ),
    "a port with a wrong number": ("ps/SAXIGP3/HP1_DDR_LOW", "ps/SAXIGP4/HP1_DDR_LOW", "no segment"),
    "a disabled port": ("CONFIG.PSU__USE__S_AXI_GP5 {1}", "CONFIG.PSU__USE__S_AXI_GP5 {0}", "S_AXI_HP3_FPD is no subordinate"),
    "a disabled clock": ("CONFIG.PSU__FPGA_PL0_ENABLE {1}", "CONFIG.PSU__FPGA_PL0_ENABLE {0}", "ps/pl_clk0 is no output"),
    "disabled interrupts": ("CONFIG.PSU__USE__IRQ0 {1}", "CONFIG.PSU__USE__IRQ0 {0}", "ps/pl_ps_irq0 is no input"),
    "a misspelt key": ("CONFIG.PSU__USE__FABRIC__RST", "CONFIG.PSU__USE_FABRIC_RST", "unknown key"),
    "an old version": ("lsort -dictionary", "lsort -decreasing", "not the newest"),
    "an open manager": ("bus pair0/m_axi1 memory_hp3/S00_AXI\n", "", "pair0/m_axi1 reaches no memory port"),
    "a manager without addresses": (
        "address pair0/m_axi1 ps/SAXIGP5/HP3_DDR_HIGH 0x800000000 0x80000000\n",
        "",
        "pair0/m_axi1 has addresses",
    ),
    "an unknown module": ("-reference cosoc_fft_block", "-reference cosoc_fft", "not the newest known IP"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_finds_mutants(name: str, tmp_path: Path) -> None:
    soc = with_pairs(int("pair0" in MUTANTS[name][0]), c2d=2, fft=1, zip=1)
    old, new, message = MUTANTS[name]
    text = block_design(soc)
    assert old in text
    problems = design_of(soc, tmp_path, text.replace(old, new)).problems(modules())
    assert any(message in problem for problem in problems), problems


def test_swapped_interrupts_disagree_with_soc_json(tmp_path: Path) -> None:
    soc = soc_of(c2d=2)
    text = block_design(soc).replace("c2d0/interrupt interrupts0/In0", "c2d0/interrupt interrupts0/In9")
    text = text.replace("c2d1/interrupt interrupts0/In1", "c2d1/interrupt interrupts0/In0").replace(
        "interrupts0/In9", "interrupts0/In1"
    )
    assert design_of(soc, tmp_path, text).interrupts() != {placed.name: placed.interrupt for placed in soc.accelerators}


def test_unknown_commands_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TclError, match="invalid command name"):
        design_of(soc_of(), tmp_path, "connect_bd_wire a b")
