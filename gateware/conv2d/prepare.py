"""Checks a command and derives the jobs of the other units from it."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import COMMAND, WORD_CHANNELS, Conv2DConfig, Conv2DFlag, Conv2DOperation
from cosoc.gateware.conv2d.jobs import SIZE, ComputeJob, LoadJob, RetireJob, StoreJob, WeightJob
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import SEQUENCE_BITS, CoreCommand

JOBS = {"load": LoadJob, "weights": WeightJob, "compute": ComputeJob, "store": StoreJob, "retire": RetireJob}
PREPARE_CYCLES = 15
"""From the cycle in which a command is taken to the one in which its jobs are offered."""


class Prepare(wiring.Component):
    """Takes one command at a time, and offers its jobs, or with an error only `retire`, until all units took them.

    One multiplier forms all products in a fixed sequence. Its result is registered, so a product can be an operand two places
    after its own; a product above its limit makes the command BAD_LENGTH, and products formed from it no longer matter.

    Members:
        command: the core's commands.
        load, weights, compute, store, retire: the jobs.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {"command": In(stream.Signature(CoreCommand))} | {name: Out(stream.Signature(layout)) for name, layout in JOBS.items()}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = Signal(COMMAND.struct())
        sequence = Signal(SEQUENCE_BITS)
        products, too_large, place, places = self._multiply(m, words)
        error = Signal(8)
        m.d.comb += error.eq(self._error(words, too_large))
        taken = Signal(len(JOBS))
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [
                    words.eq(self.command.payload.words),
                    sequence.eq(self.command.payload.sequence),
                    place.eq(0),
                    too_large.eq(0),
                    taken.eq(0),
                ]
                with m.If(self.command.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += place.eq(place + 1)
                with m.If(place == places):
                    m.next = "DERIVE"
            with m.State("DERIVE"):
                m.d.sync += self._derive(words, sequence, products, error)
                m.next = "OFFER"
            with m.State("OFFER"):
                ports = [getattr(self, name) for name in JOBS]
                wanted = [Const(1) if name == "retire" else error == Error.NONE for name in JOBS]
                for i, (port, wants) in enumerate(zip(ports, wanted, strict=True)):
                    m.d.comb += port.valid.eq(wants & ~taken[i])
                    m.d.sync += taken[i].eq(taken[i] | port.ready)
                done = [taken[i] | port.ready | ~wants for i, (port, wants) in enumerate(zip(ports, wanted, strict=True))]
                with m.If(Cat(done).all()):
                    m.next = "TAKE"
        return m

    def _multiply(self, m: Module, command: Any) -> tuple[dict[str, Signal], Signal, Signal, int]:
        """The sequence of products: their registers, whether one is too large, the place in the sequence and its end."""
        config = self._config
        partial = (command.flags & Conv2DFlag.PARTIAL) != 0
        largest = (1 << SIZE) - 1
        names = ["kernel", "row", "steps", "tile", "pixels", "pad_rows", "out_tile", "sums"]
        names += ["row_stride", "pixel_stride", "pad_columns", "out_row"]
        products = {name: Signal(SIZE, name=f"product_{name}") for name in names}
        factors: dict[str, tuple[Value, Value, Value | int]] = {
            "kernel": (command.kernel_height, command.kernel_width, largest),
            "row": (command.in_columns, command.in_words, config.activation_words),
            "steps": (products["kernel"], command.in_words, config.weight_steps),
            "tile": (products["row"], command.in_rows, config.activation_words),
            "pixels": (command.out_rows, command.out_columns, largest),
            "pad_rows": (products["row"], command.pad_top, 1 << 32),
            "out_tile": (products["pixels"], command.out_words, Mux(partial, 1 << 32, config.output_words)),
            "sums": (products["pixels"], command.out_blocks, Mux(command.flags != 0, config.partial_pixels, 1 << 32)),
            "row_stride": (products["row"], command.stride_height, 1 << 32),
            "pixel_stride": (command.in_words, command.stride_width, 1 << 32),
            "pad_columns": (command.in_words, command.pad_left, 1 << 32),
            "out_row": (command.out_columns, command.out_words, 1 << 32),
        }
        place = Signal(range(len(names) + 1))
        too_large = Signal()
        product = Signal(2 * SIZE)
        limit = Signal(2 * SIZE + 1)
        left = Array([factors[name][0] for name in names])[place]
        right = Array([factors[name][1] for name in names])[place]
        m.d.sync += [product.eq(left * right), limit.eq(Array([factors[name][2] for name in names])[place])]
        with m.Switch(place):
            for i, name in enumerate(names):
                with m.Case(i + 1):
                    m.d.sync += [products[name].eq(product), too_large.eq(too_large | (product > limit))]
        return products, too_large, place, len(names)

    def _error(self, command: Any, too_large: Value) -> Value:
        """The first error that applies, in the order of `golden.check`."""
        stores = (command.flags & Conv2DFlag.PARTIAL) == 0
        low = [command.in_address, command.in_row_pitch, command.in_pixel_pitch, command.weight_address, command.channel_address]
        out_low = [command.out_address, command.out_row_pitch, command.out_pixel_pitch]
        misaligned = Cat(value[:4] for value in low).any() | (stores & Cat(value[:4] for value in out_low).any())
        positive = [command.kernel_height, command.kernel_width, command.stride_height, command.stride_width]
        known = Conv2DFlag.ACCUMULATE | Conv2DFlag.PARTIAL
        bad = Cat(value == 0 for value in positive).any() | ((command.flags & ~int(known) & 0xFF) != 0)
        bad |= stores & (command.clamp_min > command.clamp_max)
        sizes = [command.in_rows, command.in_columns, command.in_words]
        sizes += [command.out_blocks, command.out_rows, command.out_columns]
        bad_length = Cat(value == 0 for value in sizes).any() | too_large
        # ceil(blocks * lanes / 16) words hold all blocks.
        block_channels = command.out_blocks * self._config.output_lanes + (WORD_CHANNELS - 1)
        bad_length |= stores & ((command.out_words == 0) | (command.out_words > block_channels >> 4))
        value: Value = Mux(bad_length, Const(Error.BAD_LENGTH, 8), Const(Error.NONE, 8))
        value = Mux(bad, Const(Error.BAD_PARAMETER, 8), value)
        value = Mux(misaligned, Const(Error.MISALIGNED, 8), value)
        return Mux(command.opcode != Conv2DOperation.CONVOLVE, Const(Error.BAD_OPCODE, 8), value)

    def _derive(self, command: Any, sequence: Signal, products: dict[str, Signal], error: Signal) -> list[Any]:
        partial = (command.flags & Conv2DFlag.PARTIAL) != 0
        accumulate = (command.flags & Conv2DFlag.ACCUMULATE) != 0
        load, weights, compute = self.load.payload, self.weights.payload, self.compute.payload
        store, retire = self.store.payload, self.retire.payload
        assignments = self._tile(load.tile, command, "in", products["row"], products["tile"], sequence)
        assignments += self._tile(store.tile, command, "out", products["out_row"], products["out_tile"], sequence)
        _, rows_dense, tile_dense = _density(command, "out", products["out_row"])
        assignments += [
            load.total_words.eq(products["tile"]),
            weights.weight_address.eq(command.weight_address),
            weights.channel_address.eq(command.channel_address),
            weights.blocks.eq(command.out_blocks),
            weights.steps.eq(products["steps"]),
            weights.partial.eq(partial),
            weights.sequence.eq(sequence),
            store.total_words.eq(products["out_tile"]),
            store.pixel_words.eq(command.out_words),
            store.half_word.eq(_half_word(command, self._config)),
            store.partial.eq(partial),
            retire.error.eq(error),
            retire.transfers.eq(Mux(partial, 0, Mux(tile_dense, 1, Mux(rows_dense, command.out_rows, products["pixels"])))),
            compute.accumulate.eq(accumulate),
            compute.partial.eq(partial),
            compute.row_words.eq(products["row"]),
            compute.row_stride_words.eq(products["row_stride"]),
            compute.pixel_stride_words.eq(products["pixel_stride"]),
            compute.origin.eq(-(products["pad_rows"] + products["pad_columns"])),
            compute.rule.zero_point.eq(command.out_zero_point),
            compute.rule.clamp_min.eq(command.clamp_min),
            compute.rule.clamp_max.eq(command.clamp_max),
        ]
        same = [name for name in ComputeJob.members if name in COMMAND.struct()._fields]
        assignments += [compute[name].eq(command[name]) for name in same]
        return assignments

    @staticmethod
    def _tile(tile: data.View[Any], command: Any, side: str, row_words: Signal, total_words: Signal, sequence: Signal) -> list[Any]:
        """The fewest transfers of the input (`in`) or output (`out`) tile."""
        words, rows_dense, tile_dense = _density(command, side, row_words)
        return [
            tile.address.eq(command[f"{side}_address"]),
            tile.row_pitch.eq(command[f"{side}_row_pitch"]),
            tile.pixel_pitch.eq(command[f"{side}_pixel_pitch"]),
            tile.rows.eq(Mux(tile_dense, 1, command[f"{side}_rows"])),
            tile.columns.eq(Mux(rows_dense, 1, command[f"{side}_columns"])),
            tile.words.eq(Mux(tile_dense, total_words, Mux(rows_dense, row_words, words))),
            tile.sequence.eq(sequence),
        ]


def _density(command: Any, side: str, row_words: Signal) -> tuple[Value, Value, Value]:
    """Words of a pixel; whether the pixels of a row, and the rows of the tile, follow one another without a gap."""
    words = command[f"{side}_words"]
    rows_dense = command[f"{side}_pixel_pitch"] == words << 4
    return words, rows_dense, rows_dense & (command[f"{side}_row_pitch"] == row_words << 4)


def _half_word(command: Any, config: Conv2DConfig) -> Value:
    """Whether the blocks end in the middle of the last stored word."""
    if config.output_lanes != WORD_CHANNELS // 2:
        return Const(0)
    blocks = command.out_blocks
    return blocks[0] & (command.out_words == (blocks >> 1) + 1)
