"""Takes the settings and the next COMPUTE instruction while the one before still runs, and derives all that its walk needs."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, MICRO_ENTRIES, MICRO_OPERATIONS, Opcode
from cosoc.gateware.conv2d.types import ADDRESS_BITS, UnitInstruction, output_job

POSITION = signed(14)
"""Rows and columns of the input. A walk that leaves -8192..8191 wraps."""

MICRO_ADDRESS_BITS = (MICRO_OPERATIONS - 1).bit_length()

PHASE_BITS = 7
"""Phases of a step are 2^0 .. 2^7."""

MicroOperation = data.StructLayout({"offset": ADDRESS_BITS, "row": signed(8), "column": signed(8), "words": 8})
"""An entry of the micro-program memory."""

MicroWrite = data.StructLayout({"enable": 1, "address": MICRO_ADDRESS_BITS, "entry": MicroOperation})

MicroJob = data.StructLayout(
    {
        "address": MICRO_ADDRESS_BITS,
        "last_entry": MICRO_ADDRESS_BITS,  # entries - 1
        "last_group": 20,  # groups of pixels - 1
        "last_block": 8,  # blocks - 1
        "block_step": ADDRESS_BITS,
    }
)
"""The micro-operations of a COMPUTE: `last_entry + 1` from `address` up, for every group of every block."""

LanePosition = data.StructLayout(
    {
        "address": ADDRESS_BITS,
        "row": POSITION,
        "column": POSITION,
        "out_address": ADDRESS_BITS,
        "turn": signed(13),  # output column + pixel_lanes % out_columns - out_columns
    }
)
"""Where a pixel lane is, or by how much it moves. When `turn` is not negative, the lane's next pixel is one row further down
than it would otherwise be, so the sign alone chooses by how much all fields move, without a comparison."""


_KINDS = (Opcode.MICRO, Opcode.GEOMETRY, Opcode.OUTPUT, Opcode.COMPUTE)
"""Instructions of the unit."""


def walk_job(config: Conv2DConfig) -> data.StructLayout:
    """All that steps and lanes need to know of a COMPUTE instruction."""
    lanes = config.pixel_lanes
    return data.StructLayout(
        {
            "start": data.ArrayLayout(LanePosition, lanes),
            "move": LanePosition,  # from a group to the next
            "move_turn": LanePosition,  # the same when `turn` is not negative
            "last_lanes": lanes,  # lanes that have a result in the last group
            "last_reads": lanes,  # lanes that read in the last group
            "window": 1,
            "rows": 12,
            "columns": 12,
            "zero_point": signed(config.activation_bits),
            "plane_pitch": ADDRESS_BITS,
            "last_phase": PHASE_BITS,  # phases - 1
            "weight_address": ADDRESS_BITS,
            "accumulate": 1,
            "keep": 1,
            "out_plane_pitch": ADDRESS_BITS,
            "part": 2,
            "channel": 9,
        }
    )


def prepare_cycles(config: Conv2DConfig) -> int:
    """Cycles from the one in which a COMPUTE instruction is taken to the one in which its jobs are offered."""
    return config.pixel_lanes + 3


class Prepare(wiring.Component):
    """Executes settings in one cycle each (MICRO: one per entry), and makes the jobs of a COMPUTE instruction.

    The jobs hold copies of the settings, so that settings may follow while the instruction runs or waits. One pixel after the
    other, one per cycle, is walked to find where the lanes start; the pixel after the last lane's tells how far lanes move from
    a group to the next, without a multiplication. The next walk starts when all jobs were taken.

    Members:
        instruction: MICRO, GEOMETRY, OUTPUT and COMPUTE instructions.
        write: to the micro-program memory.
        micro, walk, output: the jobs of a COMPUTE instruction, one of each.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "write": Out(MicroWrite),
                "micro": Out(stream.Signature(MicroJob)),
                "walk": Out(stream.Signature(walk_job(config))),
                "output": Out(stream.Signature(output_job(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = Signal(self.instruction.payload.word.shape())
        # What decides over wide registers comes from registers: kind of the instruction, last cycle, jobs that are not taken.
        kind = Signal(len(_KINDS))
        pending, ends = Signal(), Signal()
        offered = self.instruction.payload.word
        opcode = _view(Opcode.MICRO, offered).opcode
        m.d.comb += self.instruction.ready.eq(~pending | ends)
        with m.If(self.instruction.ready):
            m.d.sync += [
                pending.eq(self.instruction.valid),
                word.eq(offered),
                kind.eq(Cat(self.instruction.valid & (opcode == each) for each in _KINDS)),
                ends.eq((opcode != Opcode.COMPUTE) & ((opcode != Opcode.MICRO) | (_view(Opcode.MICRO, offered).count == 1))),
            ]

        geometry = Signal(INSTRUCTIONS[Opcode.GEOMETRY].struct())
        output = Signal(INSTRUCTIONS[Opcode.OUTPUT].struct())
        is_micro, is_geometry, is_output, is_compute = kind
        m.d.sync += self.write.enable.eq(is_micro)
        with m.If(is_micro):
            self._write_entries(m, _view(Opcode.MICRO, word), ends)
        with m.If(is_geometry):
            m.d.sync += geometry.eq(word)
        with m.If(is_output):
            m.d.sync += output.eq(word)
        ports = (self.micro, self.walk, self.output)
        busy = Signal()
        m.d.sync += busy.eq(Cat(port.valid & ~port.ready for port in ports).any())
        for port in ports:
            with m.If(port.ready):
                m.d.sync += port.valid.eq(0)
        with m.If(is_compute & ends):
            m.d.sync += [busy.eq(1), *(port.valid.eq(1) for port in ports)]
        self._make_jobs(m, _view(Opcode.COMPUTE, word), geometry, output, is_compute & ~busy, ends)
        return m

    def _write_entries(self, m: Module, micro: Any, ends: Signal) -> None:
        """Writes the entries of a MICRO instruction, one per cycle; `ends` is set for the last of them."""
        index, write = Signal(range(MICRO_ENTRIES)), self.write
        m.d.sync += [write.address.eq(micro.address + index), index.eq(index + 1)]
        with m.Switch(index):
            for i in range(MICRO_ENTRIES):
                with m.Case(i):
                    m.d.sync += [write.entry[name].eq(micro[f"{name}{i}"]) for name in ("offset", "row", "column", "words")]
        with m.If(ends):
            m.d.sync += index.eq(0)
        with m.Else():
            m.d.sync += ends.eq(index + 2 == micro.count)

    def _make_jobs(self, m: Module, compute: Any, geometry: Any, output: Any, starts: Value, ends: Signal) -> None:
        """Fills the jobs' payloads when `starts` says so; `ends` is set for the last cycle."""
        pixel = Signal(LanePosition)
        moved = Signal(LanePosition)
        last_pixel = Signal(20)
        turn_step, out_turn_step = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        row_columns = Signal(15)
        remaining = Signal(range(self._config.pixel_lanes + 1))
        turns = Signal()
        # A bit for each state but the first: many registers look at them.
        walks, finishes = Signal(), Signal()
        m.d.sync += finishes.eq(walks & (remaining == 1))
        with m.If(walks):
            self._walk_pixel(m, compute, geometry, output, pixel, moved, turns, turn_step, out_turn_step)
            m.d.sync += remaining.eq(remaining - 1)
            with m.If(remaining == self._config.pixel_lanes):
                m.d.sync += row_columns.eq(row_columns + _shifted(geometry, 2))
            with m.If(remaining == 1):
                m.d.sync += [ends.eq(1), walks.eq(0)]
        with m.Elif(finishes):
            self._finish(m, geometry, output, moved, last_pixel, row_columns)
        with m.Else():
            with m.If(starts):
                self._copy_settings(m, compute, geometry, output)
                m.d.sync += walks.eq(1)
            m.d.sync += [
                pixel.address.eq(compute.in_address),
                pixel.row.eq(compute.in_row),
                pixel.column.eq(compute.in_column),
                pixel.out_address.eq(compute.out_address),
                pixel.turn.eq(geometry.group_columns - geometry.out_columns),
                moved.address.eq(geometry.group_step),
                moved.row.eq(0),
                moved.column.eq(0),
                moved.out_address.eq(output.group_step),
                moved.turn.eq(geometry.group_columns),
                turn_step.eq(geometry.row_step + geometry.stride_columns),
                out_turn_step.eq(output.row_step + 1),
                last_pixel.eq(compute.pixels - ~geometry.window),
                row_columns.eq(_shifted(geometry, 0) + _shifted(geometry, 1)),
                remaining.eq(self._config.pixel_lanes),
                turns.eq(geometry.out_columns == 1),
            ]

    def _copy_settings(self, m: Module, compute: Any, geometry: Any, output: Any) -> None:
        """The fields of the jobs that are those of the instructions, or nearly."""
        micro, walk, job = self.micro.payload, self.walk.payload, self.output.payload
        m.d.sync += [
            micro.address.eq(compute.micro_address),
            micro.last_entry.eq(compute.micro_count - 1),
            micro.last_block.eq(compute.blocks - 1),
            micro.block_step.eq(compute.block_step),
            walk.last_phase.eq((1 << geometry.phases_log2) - 1),
            walk.out_plane_pitch.eq(output.plane_pitch),
            walk.part.eq(compute.out_part),
            walk.channel.eq(compute.channel_address),
            job.residual_offset.eq(compute.residual_address - compute.out_address),
        ]
        m.d.sync += [walk[name].eq(geometry[name]) for name in ("rows", "columns", "zero_point", "plane_pitch", "window")]
        m.d.sync += [walk[name].eq(compute[name]) for name in ("weight_address", "accumulate", "keep")]
        names = ("zero_point", "clamp_min", "clamp_max", "residual", "residual_zero_point", "residual_multiplier")
        m.d.sync += [job[name].eq(output[name]) for name in names]

    def _walk_pixel(
        self,
        m: Module,
        compute: Any,
        geometry: Any,
        output: Any,
        pixel: Any,
        moved: Any,
        turns: Signal,
        turn_step: Signal,
        out_turn_step: Signal,
    ) -> None:
        """Makes `pixel` the start of the lane after those before, and goes on to the next pixel.

        `turns` tells whether that is in the next row.
        """
        start = self.walk.payload.start
        m.d.sync += [
            turns.eq(pixel.turn + 2 == geometry.group_columns),
            start.as_value().eq(Cat(start.as_value(), pixel)[LanePosition.size :]),
            pixel.address.eq(pixel.address + Mux(turns, turn_step, geometry.stride_columns)),
            pixel.out_address.eq(pixel.out_address + Mux(turns, out_turn_step, 1)),
            pixel.column.eq(pixel.column + geometry.stride_columns),
            pixel.turn.eq(pixel.turn + 1),
            moved.column.eq(moved.column + geometry.stride_columns),
        ]
        with m.If(turns):
            m.d.sync += [
                pixel.row.eq(pixel.row + geometry.stride_rows),
                pixel.column.eq(compute.in_column),
                pixel.turn.eq(geometry.group_columns - geometry.out_columns),
                turns.eq(geometry.out_columns == 1),
                moved.address.eq(moved.address + geometry.row_step),
                moved.out_address.eq(moved.out_address + output.row_step),
                moved.row.eq(moved.row + geometry.stride_rows),
                moved.column.eq(0),
            ]

    def _finish(self, m: Module, geometry: Any, output: Any, moved: Any, last_pixel: Signal, row_columns: Signal) -> None:
        """How lanes move, and how many there are, now that `moved` tells by how much pixel_lanes pixels are apart.

        With windows, lanes have the results of the pixels before theirs: of one pixel more than there are, whose word is not read.
        """
        walk, lanes = self.walk.payload, self._config.pixel_lanes
        last_lane = last_pixel[: (lanes - 1).bit_length()]
        m.d.sync += [
            walk.move.eq(moved),
            walk.move_turn.address.eq(moved.address + geometry.row_step),
            walk.move_turn.row.eq(moved.row + geometry.stride_rows),
            walk.move_turn.column.eq(moved.column - row_columns),
            walk.move_turn.out_address.eq(moved.out_address + output.row_step),
            walk.move_turn.turn.eq(moved.turn - geometry.out_columns),
            walk.last_lanes.eq(Cat(lane <= last_lane for lane in range(lanes))),
            walk.last_reads.eq(Cat(lane + walk.window <= last_lane for lane in range(lanes))),
            self.micro.payload.last_group.eq(last_pixel >> (lanes - 1).bit_length()),
        ]


def _view(opcode: Opcode, word: Signal) -> Any:
    return data.View(INSTRUCTIONS[opcode].struct(), word)


def _shifted(geometry: Any, bit: int) -> Any:
    """The part of `out_columns * stride_columns` that comes from one bit of the stride."""
    return Mux(geometry.stride_columns[bit], geometry.out_columns << bit, 0)
