"""The LOAD unit: copies tiles from memory to the feature buffer.

    instruction -> prepare -> fork --> requests ---------------------> read[p].request
                                  \\-> ahead --> receiver <------------- read[p].data
                                                   `--> folder --> queue --> write[p]

Engine p carries the rows y with y % memory_ports == p. It asks for the data of an instruction while that of earlier ones still
arrives; `ahead` holds the tiles whose data it expects.

Cycles: an engine passes one beat per cycle; when folding, also one padding pixel. `LOAD_IDLE` cycles lie between instructions.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.fold import FOLD_LATENCY
from cosoc.gateware.conv2d.fork import Fork, Join
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, Opcode
from cosoc.gateware.conv2d.queue import Queue, RegisterSlice
from cosoc.gateware.conv2d.receive import TileReceiver
from cosoc.gateware.conv2d.tiles import TileJob, TilePlace, TileRequests
from cosoc.gateware.conv2d.types import ADDRESS_BITS, FeatureWrite, UnitInstruction
from cosoc.gateware.device import device_of
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES, ReadPort

LOAD_AHEAD = 4
"""Instructions whose data an engine may have asked for before it receives them."""

LOAD_REQUEST_LATENCY = 3
"""Cycles from an accepted instruction to its first request, when the unit is idle."""

LOAD_LATENCY = FOLD_LATENCY + 1
"""Cycles from an accepted beat to the offer of its word, when no write waits."""

LOAD_IDLE = 1
"""Cycles between the last beat of an instruction and the first of the next."""

_WritePlace = data.StructLayout({"address": ADDRESS_BITS, "write": 1, "last": 1})
"""What waits beside a word: where it goes, whether there is one, and whether it is the last of its job."""

_Word = data.StructLayout({"data": BEAT_BITS, "enable": BEAT_BYTES})
"""A word, and which of its bytes are written."""

_WORDS = 8
"""Words that wait for the buffer."""

_SLICE = 2
"""Places of a `RegisterSlice`."""


class LoadUnit(wiring.Component):
    """Executes LOAD instructions.

    Args:
        config: the accelerator's parameters.

    Members:
        instruction: LOAD instructions, in order.
        finished: high for a cycle for each instruction, in order, when the buffer has accepted all its words.
        read: memory.
        write: words for the feature buffer, a stream for each port.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "finished": Out(1),
                "read": Out(ReadPort()).array(config.memory_ports),
                "write": Out(stream.Signature(FeatureWrite)).array(config.memory_ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = self._config.memory_ports
        m.submodules.fork = fork = Fork(TileJob, ports)
        m.submodules.join = join = Join(ports)
        held = Signal()
        instruction = Signal(UnitInstruction)
        m.d.comb += [
            self.instruction.ready.eq(~held),
            fork.input.valid.eq(held),
            self.finished.eq(join.finished),
        ]
        entering = _fields(self.instruction.payload)
        beats = device_of(platform).product(m, "row_beats", entering.columns, entering.words, enable=~held)
        with m.If(~held):
            m.d.sync += [held.eq(self.instruction.valid), instruction.eq(self.instruction.payload)]
        with m.Elif(fork.input.ready):
            m.d.sync += held.eq(0)
        for port in range(ports):
            m.d.comb += self._prepare(instruction, beats, fork.input.payload[port], port)
            engine = LoadEngine(self._config)
            m.submodules[f"engine_{port}"] = engine
            wiring.connect(m, fork.output[port], engine.job)
            wiring.connect(m, engine.read, wiring.flipped(self.read[port]))
            wiring.connect(m, engine.write, wiring.flipped(self.write[port]))
            m.d.comb += join.done[port].eq(engine.done)
        return m

    def _prepare(self, instruction: Any, beats: Value, job: Any, port: int) -> list[Any]:
        """The part of an instruction that a port carries; `beats` of a row."""
        ports, fields = self._config.memory_ports, _fields(instruction)
        folds = fields.fold_channels != 0
        place = job.place
        return [
            job.memory.eq(instruction.memory[4:] + fields.row_pitch * port),
            job.row_step.eq(fields.row_pitch * ports),
            job.pixel_step.eq(fields.pixel_pitch),
            job.row_beats.eq(beats),
            job.dense.eq(fields.pixel_pitch == fields.words),
            job.sequence.eq(instruction.sequence),
            place.rows.eq((fields.rows + (ports - 1 - port)) // ports),
            place.columns.eq(fields.columns),
            place.words.eq(fields.words),
            place.address.eq(fields.address + fields.address_row_pitch * port),
            place.row_step.eq(fields.address_row_pitch * ports),
            place.word_step.eq(Mux(folds, fields.twin_offset, fields.address_plane_pitch)),
            place.channels.eq(fields.fold_channels),
            place.left.eq(Mux(folds, fields.fold_left, 0)),
            place.right.eq(Mux(folds, fields.fold_right, 0)),
            place.twin.eq(Mux(folds, fields.twin, 0)),
            place.next_word.eq(fields.fold_stride - fields.twin),
            place.word_channels.eq(Mux(folds, Cat(fields.fold_skip, fields.fold_keep_low, fields.fold_keep_high), 0)),
            place.twin_channels.eq(Cat(fields.twin_skip, fields.twin_keep_low, fields.twin_keep_high)),
            place.blank.eq(folds & fields.fold_blank),
            place.zero_point.eq(fields.zero_point),
        ]


def _fields(instruction: Any) -> Any:
    return data.View(INSTRUCTIONS[Opcode.LOAD].struct(), instruction.word)


class LoadEngine(wiring.Component):
    """Carries the rows of one port.

    Args:
        config: width of an activation.

    Members:
        job: parts of tiles.
        read: memory.
        write: words for the feature buffer.
        done: high for a cycle when the buffer has accepted all words of a job, in order.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(TileJob)),
                "read": Out(ReadPort()),
                "write": Out(stream.Signature(FeatureWrite)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.requests = requests = TileRequests()
        m.submodules.ahead = ahead = Queue(TilePlace, LOAD_AHEAD - _SLICE)
        m.submodules.next_place = next_place = RegisterSlice(TilePlace)
        m.submodules.receiver = receiver = TileReceiver(self._config)
        wiring.connect(m, ahead.output, next_place.input)
        wiring.connect(m, next_place.output, receiver.place)
        wiring.connect(m, requests.request, wiring.flipped(self.read.request))
        wiring.connect(m, wiring.flipped(self.read.data), receiver.data)
        m.d.comb += [
            requests.job.payload.eq(self.job.payload),
            requests.job.valid.eq(self.job.valid & ahead.input.ready),
            self.job.ready.eq(requests.job.ready & ahead.input.ready),
            ahead.input.payload.eq(self.job.payload.place),
            ahead.input.valid.eq(self.job.valid & requests.job.ready),
        ]
        self._queue(m, receiver)
        return m

    def _queue(self, m: Module, receiver: TileReceiver) -> None:
        """Words wait here for the buffer; the end of a job waits behind them, with its last word or alone.

        Places are in a register when they are offered, because the buffer decides by them who may write; words need none.
        """
        item = receiver.item
        m.submodules.places = places = Queue(_WritePlace, _WORDS, bounded=True, behind=FOLD_LATENCY, front=True)
        m.submodules.words = words = Queue(_Word, _WORDS, bounded=True)
        head = places.output.payload
        takes = places.output.valid & places.output.ready
        m.d.comb += [
            receiver.enable.eq(places.space),
            *(places.input.payload[name].eq(item[name]) for name in _WritePlace.members),
            places.input.valid.eq(item.write | item.last),
            words.input.payload.data.eq(item.data),
            words.input.payload.enable.eq(item.enable),
            words.input.valid.eq(places.input.valid),
            self.write.valid.eq(places.output.valid & head.write),
            self.write.payload.address.eq(head.address),
            self.write.payload.data.eq(words.output.payload.data),
            self.write.payload.enable.eq(words.output.payload.enable),
            places.output.ready.eq(self.write.ready | ~head.write),
            words.output.ready.eq(takes),
            self.done.eq(takes & head.last),
        ]
