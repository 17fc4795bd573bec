"""The block-floating-point operators side by side, so that one build of a simulator serves them all."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.arith.block import BlockAdd, Factor, block_layout
from cosoc.gateware.arith.block_convert import BlockFromFloat, FloatFromBlock
from cosoc.gateware.arith.block_multiply import BlockEighth, BlockMultiply
from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.scale import SHIFT_BITS

LATENCY = {
    "loaded": BlockFromFloat.latency,
    "sum": BlockAdd.latency,
    "product": BlockMultiply.latency,
    "stored": FloatFromBlock.latency,
    "eighth": BlockEighth.latency,
}


class BlockOperators(wiring.Component):
    """`loaded` is `x` as a block, `stored` is `a / 2**shift` in float32, `product` is `a * w`,
    `eighth` is `a` times a power of exp(-2 pi i / 8)."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        number = block_layout(bits)
        super().__init__(
            {
                "en": In(1),
                "x": In(Complex),
                "a": In(number),
                "b": In(number),
                "w": In(Factor),
                "subtract": In(1),
                "turn": In(1),
                "keep": In(1),
                "shift": In(SHIFT_BITS),
                "loaded": Out(number),
                "sum": Out(number),
                "product": Out(number),
                "stored": Out(Complex),
                "power": In(2),
                "eighth": Out(number),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.load = load = BlockFromFloat(self.bits)
        m.submodules.add = add = BlockAdd(self.bits)
        m.submodules.multiply = multiply = BlockMultiply(self.bits)
        m.submodules.store = store = FloatFromBlock(self.bits)
        m.submodules.turn_eighth = eighth = BlockEighth(self.bits)
        m.d.comb += [operator.en.eq(self.en) for operator in (load, add, multiply, store, eighth)]
        m.d.comb += [
            load.i.eq(self.x),
            add.a.eq(self.a),
            add.b.eq(self.b),
            add.subtract.eq(self.subtract),
            add.turn.eq(self.turn),
            add.keep.eq(self.keep),
            multiply.a.eq(self.a),
            multiply.b.eq(self.w),
            store.i.eq(self.a),
            store.shift.eq(self.shift),
            self.loaded.eq(load.o),
            self.sum.eq(add.o),
            self.product.eq(multiply.o),
            self.stored.eq(store.o),
            eighth.a.eq(self.a),
            eighth.power.eq(self.power),
            self.eighth.eq(eighth.o),
        ]
        return m
