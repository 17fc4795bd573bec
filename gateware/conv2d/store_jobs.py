"""What the engines of the STORE unit are told of an instruction, and their requests for transfers."""

from __future__ import annotations

from functools import partial
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.isa import INSTRUCTIONS, Opcode
from cosoc.gateware.conv2d.queue import Queue, RegisterSlice
from cosoc.gateware.conv2d.tiles import Counter
from cosoc.gateware.conv2d.types import ADDRESS_BITS, UnitInstruction
from cosoc.gateware.conv2d.window import COUNT_BITS, WindowColumns, axis_job
from cosoc.gateware.device import device_of
from cosoc.gateware.peripheral.core import SEQUENCE_BITS, Transfer

STORE_PREPARE = 3
"""Cycles from an accepted instruction to its jobs, and between the jobs of two instructions."""

TRANSFERS_RUNNING = 64
"""Transfers of a port whose `done` is awaited."""

_MEMORY_BITS = 60
"""Addresses and pitches in memory are in units of beats."""

WalkJob = axis_job(WindowColumns)
"""Windows along the rows of an engine, and how each row is walked."""

RequestJob = data.StructLayout(
    {
        "memory": _MEMORY_BITS,
        "row_step": 21,
        "pixel_step": 10,
        "beats": 20,
        "rows": COUNT_BITS,
        "columns": COUNT_BITS,
        "sequence": SEQUENCE_BITS,
    }
)
"""Transfers of an engine's rows: `columns` of `beats` beats for each row, one if a row has no gaps."""


class StorePrepare(wiring.Component):
    """Derives the engines' jobs from an instruction: products in one cycle, sums in the next.

    Args:
        ports: number of engines.

    Members:
        instruction: of the unit; taken while the engines still have to take the jobs of the one before.
        started: for each instruction the engines that have rows of it; when this is taken, they get their jobs.
        walk, requests: jobs for each engine.
    """

    def __init__(self, ports: int) -> None:
        self._ports = ports
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "started": Out(stream.Signature(ports)),
                "walk": Out(stream.Signature(WalkJob)).array(ports),
                "requests": Out(stream.Signature(RequestJob)).array(ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(UnitInstruction, reset_less=True)
        fields = data.View(INSTRUCTIONS[Opcode.STORE].struct(), held.word)
        valid, multiplied, starts = Signal(), Signal(), Signal()
        product = partial(device_of(platform).product, m)
        offset = product("offset", fields.origin_row, fields.address_row_pitch, bits=ADDRESS_BITS)
        step = product("step", fields.stride_rows, fields.address_row_pitch, bits=ADDRESS_BITS)
        row_beats = product("row_beats", fields.columns, fields.words, bits=20)
        outputs = [*self.walk, *self.requests]
        m.d.comb += [
            self.instruction.ready.eq(~valid),
            self.started.valid.eq(valid & multiplied & ~Cat(output.valid for output in outputs).any()),
            self.started.payload.eq(Cat(fields.rows > port for port in range(self._ports))),
            starts.eq(self.started.valid & self.started.ready),
        ]
        m.d.sync += multiplied.eq(valid & ~starts)
        with m.If(~valid):
            m.d.sync += [valid.eq(self.instruction.valid), held.eq(self.instruction.payload)]
        with m.Elif(starts):
            m.d.sync += valid.eq(0)
        for output in outputs:
            with m.If(output.ready):
                m.d.sync += output.valid.eq(0)
        for port in range(self._ports):
            with m.If(starts):
                m.d.sync += self._walk(self.walk[port].payload, fields, port, offset, step)
                m.d.sync += self._requests(self.requests[port].payload, held, fields, port, row_beats)
                m.d.sync += [output.valid.eq(self.started.payload[port]) for output in (self.walk[port], self.requests[port])]
        return m

    def _walk(self, walk: Any, fields: Any, port: int, offset: Value, step: Value) -> list[Any]:
        """The windows of a port's rows; a row's address is `address` + row * `address_row_pitch`."""
        row = walk.rest
        return [
            walk.address.eq(fields.address),
            walk.offset.eq(offset + step * port),
            walk.step.eq(step * self._ports),
            walk.position.eq(fields.origin_row + fields.stride_rows * port),
            walk.stride.eq(fields.stride_rows * self._ports),
            walk.window.eq(fields.window_rows),
            walk.limit.eq(fields.in_rows),
            walk.count.eq(self._rows(fields, port)),
            row.columns.eq(fields.columns),
            row.limit.eq(fields.in_columns),
            row.window.eq(fields.window_columns),
            row.stride.eq(fields.stride_columns),
            row.origin.eq(fields.origin_column),
            row.words.eq(fields.words),
            row.row_pitch.eq(fields.address_row_pitch),
            row.plane_pitch.eq(fields.address_plane_pitch),
        ]

    def _requests(self, requests: Any, instruction: Any, fields: Any, port: int, row_beats: Value) -> list[Any]:
        dense = fields.pixel_pitch == fields.words
        return [
            requests.memory.eq(instruction.memory[4:] + fields.row_pitch * port),
            requests.row_step.eq(fields.row_pitch * self._ports),
            requests.pixel_step.eq(fields.pixel_pitch),
            requests.beats.eq(Mux(dense, row_beats, fields.words)),
            requests.rows.eq(self._rows(fields, port)),
            requests.columns.eq(Mux(dense, 1, fields.columns)),
            requests.sequence.eq(instruction.sequence),
        ]

    def _rows(self, fields: Any, port: int) -> Value:
        """Rows of a port."""
        return (fields.rows + (self._ports - 1 - port)) // self._ports


class StoreRequests(wiring.Component):
    """Asks for the transfers of a tile, one per cycle, and counts what memory has accepted.

    Members:
        job: taken in the cycle after all transfers of the one before were asked for.
        request: transfers.
        done: a transfer is in memory.
        finished: all transfers of a job are, in order.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "job": In(stream.Signature(RequestJob)),
                "request": Out(stream.Signature(Transfer)),
                "done": In(1),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        new = self.job.payload
        job = Signal(RequestJob, reset_less=True)
        next_row = Signal(_MEMORY_BITS, reset_less=True)
        # Two registers for one bit: what takes a job is wide, and what asks decides over much.
        active, idle = Signal(), Signal(init=1)
        columns, rows = Counter("columns"), Counter("rows")
        # What was asked for waits here for its `done`: whether it is the last of its job.
        m.submodules.awaited = awaited = Queue(1, TRANSFERS_RUNNING, front=True)
        m.submodules.requests = requests = RegisterSlice(Transfer)
        wiring.connect(m, requests.output, wiring.flipped(self.request))
        request, asks = requests.input, Signal()
        last = columns.last & rows.last
        m.d.comb += [
            request.valid.eq(active & awaited.input.ready),
            request.payload.address.eq(job.memory << 4),
            request.payload.length.eq(job.beats << 4),
            request.payload.sequence.eq(job.sequence),
            asks.eq(request.valid & request.ready),
            awaited.input.valid.eq(asks),
            awaited.input.payload.eq(last),
            awaited.output.ready.eq(self.done),
            self.finished.eq(self.done & awaited.output.payload),
            self.job.ready.eq(idle),
        ]
        with m.If(idle):
            m.d.sync += [
                active.eq(self.job.valid),
                idle.eq(~self.job.valid),
                job.eq(new),
                next_row.eq(new.memory + new.row_step),
                columns.start(new.columns),
                rows.start(new.rows),
            ]
        with m.Elif(asks):
            m.d.sync += [active.eq(~last), idle.eq(last)]
            with m.If(columns.last):
                m.d.sync += [
                    job.memory.eq(next_row),
                    next_row.eq(next_row + job.row_step),
                    columns.start(job.columns),
                    rows.step(),
                ]
            with m.Else():
                m.d.sync += [job.memory.eq(job.memory + job.pixel_step), columns.step()]
        return m
