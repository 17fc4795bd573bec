"""Walks the steps of a command: blocks, output rows and columns, kernel rows and columns, input words, from outside in."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import WORD_CHANNELS, Conv2DConfig
from cosoc.gateware.conv2d.jobs import SIZE, ComputeJob, Step

GROUPS = 4
"""A pixel's sums leave the array in this many parts, one per cycle, so pixels must end at least this many cycles apart."""

_COORDINATE = signed(SIZE + 2)


class StepGenerator(wiring.Component):
    """Issues one step per cycle as long as its operands are there.

    Addresses are formed by additions alone: kernel columns and input words are adjacent in the activation buffer, so inside a
    kernel row the address counts up. Addresses of positions outside the tile are wrong and not used.

    Between the last step of a command and the first of the next lie two cycles, which lets the last partial sum reach its
    buffer before the next command reads it.

    Members:
        job: commands.
        activations, weights, outputs: a loaded bank of activations, of weights, a free bank of outputs is there.
        claim_tile: takes a bank of activations and one of outputs.
        claim_weights: takes a bank of weights.
        tile_read: the activations of a command were read.
        step: the step issued in this cycle.
        activation_bank, activation_address, weight_address: its operands.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(ComputeJob)),
                "activations": In(1),
                "weights": In(1),
                "outputs": In(1),
                "claim_tile": Out(1),
                "claim_weights": Out(1),
                "tile_read": Out(1),
                "step": Out(Step),
                "activation_bank": Out(1),
                "activation_address": Out(SIZE),
                "weight_address": Out(SIZE),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._job = Signal(ComputeJob)
        self._block_starts, self._draining = Signal(), Signal(range(GROUPS))
        issue, starts, ends = Signal(), Signal(), Signal()
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.job.ready.eq(1)
                m.d.sync += self._job.eq(self.job.payload)
                with m.If(self.job.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += [starts.eq(self.activations & self.outputs), self.claim_tile.eq(starts)]
                with m.If(starts):
                    m.next = "RUN"
            with m.State("RUN"):
                # A block waits for its weights, and the end of a pixel for the sums of the pixel before to leave.
                weights_there, room = ~self._block_starts | self.weights, ~self.step.last | (self._draining == 0)
                m.d.comb += issue.eq(weights_there & room)
                with m.If(issue & ends):
                    m.next = "TAKE"
        m.d.sync += self.tile_read.eq(issue & ends)
        pixel_ends, tile_ends = self._walk_window(m, issue, starts)
        m.d.comb += ends.eq(tile_ends & self._walk_results(m, issue, starts, pixel_ends, tile_ends))
        m.d.comb += self.claim_weights.eq(issue & self._block_starts)
        return m

    def _walk_window(self, m: Module, issue: Signal, starts: Signal) -> tuple[Signal, Signal]:
        """Positions in the activations. Returns whether this step ends a pixel, and the whole tile of one block."""
        job = self._job
        word, ky, kx, ox, oy = Signal(SIZE), Signal(4), Signal(4), Signal(SIZE), Signal(SIZE)
        address, kernel_row_address = self.activation_address, Signal(SIZE)
        pixel_address, row_address = Signal(SIZE), Signal(SIZE)
        row, column = Signal(_COORDINATE), Signal(_COORDINATE)
        pixel_row, pixel_column = Signal(_COORDINATE), Signal(_COORDINATE)
        word_ends, column_ends, pixel_ends = word + 1 == job.in_words, Signal(), Signal()
        row_ends, tile_ends = Signal(), Signal()
        m.d.comb += [
            column_ends.eq(word_ends & (kx + 1 == job.kernel_width)),
            pixel_ends.eq(column_ends & (ky + 1 == job.kernel_height)),
            row_ends.eq(pixel_ends & (ox + 1 == job.out_columns)),
            tile_ends.eq(row_ends & (oy + 1 == job.out_rows)),
            self.step.first.eq(Cat(word, ky, kx) == 0),
            self.step.last.eq(pixel_ends),
            self.step.inside.eq((row >= 0) & (row < job.in_rows) & (column >= 0) & (column < job.in_columns)),
            self.step.zero_point.eq(job.in_zero_point),
        ]

        def to_pixel(new_address: Value, new_row: Value, new_column: Value) -> None:
            m.d.sync += [word.eq(0), ky.eq(0), kx.eq(0)]
            m.d.sync += [address.eq(new_address), kernel_row_address.eq(new_address), pixel_address.eq(new_address)]
            m.d.sync += [row.eq(new_row), pixel_row.eq(new_row), column.eq(new_column), pixel_column.eq(new_column)]

        def to_origin() -> None:
            m.d.sync += [ox.eq(0), oy.eq(0), row_address.eq(job.origin)]
            to_pixel(job.origin, -job.pad_top, -job.pad_left)

        with m.If(starts):
            to_origin()
        with m.Elif(issue):
            m.d.sync += [address.eq(address + 1), word.eq(word + 1)]
            with m.If(word_ends):
                m.d.sync += [word.eq(0), kx.eq(kx + 1), column.eq(column + 1)]
            with m.If(column_ends):
                next_address = kernel_row_address + job.row_words
                m.d.sync += [kx.eq(0), ky.eq(ky + 1), row.eq(row + 1), column.eq(pixel_column)]
                m.d.sync += [address.eq(next_address), kernel_row_address.eq(next_address)]
            with m.If(pixel_ends):
                m.d.sync += ox.eq(ox + 1)
                to_pixel(pixel_address + job.pixel_stride_words, pixel_row, pixel_column + job.stride_width)
            with m.If(row_ends):
                next_row_address = row_address + job.row_stride_words
                m.d.sync += [ox.eq(0), oy.eq(oy + 1), row_address.eq(next_row_address)]
                to_pixel(next_row_address, pixel_row + job.stride_height, -job.pad_left)
            with m.If(tile_ends):
                to_origin()
        return pixel_ends, tile_ends

    def _walk_results(self, m: Module, issue: Signal, starts: Signal, pixel_ends: Signal, tile_ends: Signal) -> Value:
        """Weights, and where the sums go. Returns whether the block is the command's last."""
        job, result, config = self._job, self.step.result, self._config
        block, pixel_word, block_word = Signal(SIZE), Signal(SIZE), Signal(SIZE)
        upper_half, weight_bank, partial_address = Signal(), Signal(), Signal(SIZE)
        bank_start = Mux(weight_bank, config.weight_steps, 0)
        block_words = max(1, config.output_lanes // WORD_CHANNELS)
        last_block = block + 1 == job.out_blocks
        m.d.comb += [
            self.step.valid.eq(issue),
            result.accumulate.eq(job.accumulate),
            result.partial.eq(job.partial),
            result.partial_address.eq(partial_address),
            result.output_bank.eq(self.activation_bank),  # every command takes one bank of each
            result.output_word.eq(pixel_word + block_word),
            result.upper_half.eq(upper_half),
            result.keep.eq(Cat(~job.partial & (block_word + i < job.out_words) for i in range(block_words))),
            result.weight_bank.eq(weight_bank),
            result.rule.eq(job.rule),
            result.block_end.eq(tile_ends),
            result.command_end.eq(tile_ends & last_block),
        ]
        with m.If(self._draining != 0):
            m.d.sync += self._draining.eq(self._draining - 1)
        with m.If(starts):
            m.d.sync += [block.eq(0), pixel_word.eq(0), block_word.eq(0), upper_half.eq(0), partial_address.eq(0)]
            m.d.sync += [self._block_starts.eq(1), self.weight_address.eq(bank_start)]
        with m.Elif(issue):
            m.d.sync += [self._block_starts.eq(0), self.weight_address.eq(self.weight_address + 1)]
            with m.If(pixel_ends):
                m.d.sync += [pixel_word.eq(pixel_word + job.out_words), partial_address.eq(partial_address + 1)]
                m.d.sync += [self.weight_address.eq(bank_start), self._draining.eq(GROUPS - 1)]
            with m.If(tile_ends):
                m.d.sync += [block.eq(block + 1), pixel_word.eq(0), self._block_starts.eq(1)]
                m.d.sync += [weight_bank.eq(~weight_bank), self.weight_address.eq(Mux(weight_bank, 0, config.weight_steps))]
                if config.output_lanes < WORD_CHANNELS:
                    m.d.sync += [upper_half.eq(~upper_half), block_word.eq(block_word + upper_half)]
                else:
                    m.d.sync += block_word.eq(block_word + block_words)
                with m.If(last_block):
                    m.d.sync += self.activation_bank.eq(~self.activation_bank)
        return last_block
