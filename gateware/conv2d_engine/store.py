"""The STORE unit: maxima over windows of the feature buffer to memory.

    instruction --> prepare --+--> walk -----> read[p] ------> reduce --> write[p].data
                              +--> requests -----------------------------> write[p].request
                              `--> running <-- finished parts <----------- write[p].done

Engine p carries the rows y with y % memory_ports == p. Its walk runs ahead of its reduction by the words that it has room for,
and into the next instruction.

Cycles: one word of the buffer per cycle, so a window costs as many cycles as it has positions inside the tile, at least one.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d_engine.config import Conv2DConfig
from cosoc.gateware.conv2d_engine.isa import INSTRUCTIONS, Opcode
from cosoc.gateware.conv2d_engine.tiles import Counter
from cosoc.gateware.conv2d_engine.types import ADDRESS_BITS, FEATURE_LATENCY, FeatureRead, UnitInstruction
from cosoc.gateware.conv2d_engine.window import COUNT_BITS, Operand, Queue, WindowColumns, WindowWalk, axis_job
from cosoc.gateware.peripheral.core import BEAT_BITS, SEQUENCE_BITS, Transfer, WritePort

STORE_START = 16
"""Cycles from an accepted instruction to the offer of its first address, when the unit is idle."""

STORE_LATENCY = FEATURE_LATENCY + 2
"""Cycles from the accepted address of a window's last word to the offer of the maximum."""

STORE_IDLE = 0
"""Cycles between the last word of an instruction and the first of the next, when both have at least `STORE_SHORTEST` words."""

STORE_FINISH = 2
"""Cycles from the last `done` of an instruction to `finished`."""

STORES_RUNNING = 16
"""Instructions whose data may be on its way to memory."""

TRANSFERS_RUNNING = 64
"""Transfers of a port whose `done` is awaited."""

_READ_AHEAD = 16
"""Words read ahead of the reduction: more than the cycles from a word's reservation to its reduction."""

_MEMORY_BITS = 60
"""Addresses and pitches in memory are in units of beats."""

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

StoreJob = data.StructLayout({"walk": axis_job(WindowColumns), "requests": RequestJob})
"""An engine's part of an instruction."""


class StoreUnit(wiring.Component):
    """Executes STORE instructions.

    Args:
        config: the accelerator's parameters.

    Members:
        instruction: STORE instructions, in order.
        finished: high for a cycle for each instruction, in order, when all its bytes are in memory.
        read: the feature buffer, a port for each engine.
        write: memory, likewise.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        ports = config.memory_ports
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "finished": Out(1),
                "read": Out(FeatureRead()).array(ports),
                "write": Out(WritePort()).array(ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = self._config.memory_ports
        m.submodules.prepare = prepare = StorePrepare(ports)
        wiring.connect(m, wiring.flipped(self.instruction), prepare.instruction)
        m.submodules.running = running = SyncFIFO(width=ports, depth=STORES_RUNNING)
        engines = [StoreEngine(self._config) for _ in range(ports)]
        ready = running.w_rdy & Cat(engine.job.ready for engine in engines).all()
        takes = prepare.valid & ready
        finished_parts = []
        m.d.comb += [prepare.ready.eq(ready), running.w_en.eq(takes), running.w_data.eq(prepare.has_rows)]
        for port, engine in enumerate(engines):
            m.submodules[f"engine_{port}"] = engine
            wiring.connect(m, engine.read, wiring.flipped(self.read[port]))
            wiring.connect(m, engine.write, wiring.flipped(self.write[port]))
            m.d.comb += [engine.job.valid.eq(takes & prepare.has_rows[port]), engine.job.payload.eq(prepare.jobs[port])]
            parts = Signal(range(STORES_RUNNING + 1), name=f"finished_parts_{port}")
            m.d.sync += parts.eq(parts + engine.finished - (running.r_en & running.r_data[port]))
            finished_parts.append(parts != 0)
        m.d.comb += running.r_en.eq(running.r_rdy & (Cat(finished_parts) | ~running.r_data).all())
        m.d.sync += self.finished.eq(running.r_en)
        return m


class StorePrepare(wiring.Component):
    """Derives the engines' jobs from an instruction: a pipeline of products, then sums.

    Args:
        ports: number of engines.

    Members:
        instruction: of the unit.
        valid, ready, jobs: the parts of an instruction.
        has_rows: the engines that have any; the parts of the others are unspecified.
    """

    def __init__(self, ports: int) -> None:
        self._ports = ports
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "valid": Out(1),
                "ready": In(1),
                "has_rows": Out(ports),
                "jobs": Out(data.ArrayLayout(StoreJob, ports)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moves = Signal()
        m.d.comb += [moves.eq(self.ready | ~self.valid), self.instruction.ready.eq(moves)]
        held, multiplied = (Signal(UnitInstruction, name=name, reset_less=True) for name in ("held", "multiplied"))
        held_valid, multiplied_valid = Signal(), Signal()
        fields = _fields(held)
        offset, step = Signal(ADDRESS_BITS, reset_less=True), Signal(ADDRESS_BITS, reset_less=True)
        row_beats = Signal(20, reset_less=True)
        with m.If(moves):
            m.d.sync += [
                held.eq(self.instruction.payload),
                held_valid.eq(self.instruction.valid),
                multiplied.eq(held),
                multiplied_valid.eq(held_valid),
                offset.eq(fields.origin_row * fields.address_row_pitch),
                step.eq(fields.stride_rows * fields.address_row_pitch),
                row_beats.eq(fields.columns * fields.words),
                self.valid.eq(multiplied_valid),
            ]
            for port in range(self._ports):
                job = self.jobs[port]
                m.d.sync += self._walk(job.walk, _fields(multiplied), port, offset, step)
                m.d.sync += self._requests(job.requests, multiplied, port, row_beats)
                m.d.sync += self.has_rows[port].eq(_fields(multiplied).rows > port)
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

    def _requests(self, requests: Any, instruction: Any, port: int, row_beats: Value) -> list[Any]:
        fields = _fields(instruction)
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


class StoreEngine(wiring.Component):
    """Carries the rows of one port.

    Args:
        config: width of an activation.

    Members:
        job: parts of instructions.
        read: feature buffer.
        write: memory.
        finished: high for a cycle when all bytes of a job are in memory, in order.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(StoreJob)),
                "read": Out(FeatureRead()),
                "write": Out(WritePort()),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk_queue = walk_queue = Queue(axis_job(WindowColumns))
        m.submodules.request_queue = request_queue = Queue(RequestJob)
        m.submodules.walk = walk = WindowWalk()
        m.submodules.maxima = maxima = WindowMaxima(self._config)
        m.submodules.requests = requests = StoreRequests()
        wiring.connect(m, walk_queue.output, walk.job)
        wiring.connect(m, walk.operand, maxima.operand)
        wiring.connect(m, maxima.read, wiring.flipped(self.read))
        wiring.connect(m, maxima.maximum, wiring.flipped(self.write.data))
        wiring.connect(m, request_queue.output, requests.job)
        wiring.connect(m, requests.request, wiring.flipped(self.write.request))
        ready = walk_queue.input.ready & request_queue.input.ready
        m.d.comb += [
            self.job.ready.eq(ready),
            walk_queue.input.valid.eq(self.job.valid & ready),
            walk_queue.input.payload.eq(self.job.payload.walk),
            request_queue.input.valid.eq(self.job.valid & ready),
            request_queue.input.payload.eq(self.job.payload.requests),
            requests.done.eq(self.write.done.valid),
            self.finished.eq(requests.finished),
        ]
        return m


class StoreRequests(wiring.Component):
    """Asks for the transfers of a tile, one per cycle, and counts what memory has accepted.

    Members:
        job: taken when all transfers of the one before were asked for.
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
        active = Signal()
        columns, rows = Counter("columns"), Counter("rows")
        # What was asked for waits here for its `done`: whether it is the last of its job.
        m.submodules.awaited = awaited = SyncFIFO(width=1, depth=TRANSFERS_RUNNING)
        asks = Signal()
        last = columns.last & rows.last
        m.d.comb += [
            self.request.valid.eq(active & awaited.w_rdy),
            self.request.payload.address.eq(job.memory << 4),
            self.request.payload.length.eq(job.beats << 4),
            self.request.payload.sequence.eq(job.sequence),
            asks.eq(self.request.valid & self.request.ready),
            awaited.w_en.eq(asks),
            awaited.w_data.eq(last),
            awaited.r_en.eq(self.done),
            self.finished.eq(self.done & awaited.r_data),
            self.job.ready.eq(~active | (asks & last)),
        ]
        with m.If(self.job.ready):
            m.d.sync += [
                active.eq(self.job.valid),
                job.eq(new),
                next_row.eq(new.memory + new.row_step),
                columns.start(new.columns),
                rows.start(new.rows),
            ]
        with m.Elif(asks):
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


class WindowMaxima(wiring.Component):
    """Reads operands ahead and forms the maximum of each window: of bytes, or of int16 with 16-bit activations.

    Args:
        config: width of an activation.

    Members:
        operand: what to read.
        read: feature buffer.
        maximum: a word for each window; the lowest value where it is empty.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._bits = config.activation_bits
        super().__init__(
            {
                "operand": In(stream.Signature(Operand)),
                "read": Out(FeatureRead()),
                "maximum": Out(stream.Signature(BEAT_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.addresses = addresses = Queue(unsigned(ADDRESS_BITS))
        m.submodules.order = order = SyncFIFO(width=3, depth=_READ_AHEAD)
        m.submodules.words = words = SyncFIFO(width=BEAT_BITS, depth=_READ_AHEAD)
        room = Signal(range(_READ_AHEAD + 1), init=_READ_AHEAD)
        reserves, reduces = Signal(), Signal()
        operand = self.operand.payload
        empty, first, last = order.r_data[0], order.r_data[1], order.r_data[2]
        wiring.connect(m, addresses.output, wiring.flipped(self.read.address))
        m.d.comb += [
            self.operand.ready.eq((room != 0) & addresses.input.ready),
            reserves.eq(self.operand.valid & self.operand.ready),
            addresses.input.payload.eq(operand.address),
            addresses.input.valid.eq(reserves & ~operand.empty),
            order.w_data.eq(Cat(operand.empty, operand.first, operand.last)),
            order.w_en.eq(reserves),
            words.w_data.eq(self.read.data),
            words.w_en.eq(self.read.valid),
            reduces.eq(order.r_rdy & (words.r_rdy | empty) & (self.maximum.ready | ~self.maximum.valid)),
            order.r_en.eq(reduces),
            words.r_en.eq(reduces & ~empty),
        ]
        m.d.sync += room.eq(room - reserves + reduces)
        with m.If(reduces):
            m.d.sync += [self.maximum.valid.eq(last), self.maximum.payload.eq(self._next(words.r_data, empty, first))]
        with m.Elif(self.maximum.ready):
            m.d.sync += self.maximum.valid.eq(0)
        return m

    def _next(self, word: Value, empty: Value, first: Value) -> Value:
        """The maximum so far, with one more word."""
        values = []
        for i in range(BEAT_BITS // self._bits):
            new = word.word_select(i, self._bits).as_signed()
            old = self.maximum.payload.word_select(i, self._bits).as_signed()
            lowest = Const(-(1 << self._bits - 1), signed(self._bits))
            values.append(Mux(empty, lowest, Mux(first | (new > old), new, old))[: self._bits])
        return Cat(values)


def _fields(instruction: Any) -> Any:
    return data.View(INSTRUCTIONS[Opcode.STORE].struct(), instruction.word)
