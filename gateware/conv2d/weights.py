"""The WEIGHTS unit: weight and channel buffers, and the engines that fill them from memory.

    instruction -> fork --> requests ------------------------> read[p].request
                        \\-> ahead --> receiver <-------------- read[p].data
                                         `--> memories --> weights, channels

A buffer is one memory for each beat of its steps (or blocks), all read at the same address in every cycle. Of a step's beats, port
p carries those from p * step_beats / memory_ports up; port 0 carries all channel parameters. An engine takes one beat per cycle,
with `WEIGHTS_IDLE` cycles between instructions, and asks for the data of an instruction while that of earlier ones still arrives.
"""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.fork import Fork, Join
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, Opcode
from cosoc.gateware.conv2d.queue import Queue
from cosoc.gateware.conv2d.tiles import Counter
from cosoc.gateware.conv2d.types import UnitInstruction, channel_parameters
from cosoc.gateware.peripheral.core import BEAT_BITS, SEQUENCE_BITS, ReadPort

WEIGHTS_AHEAD = 4
"""Instructions whose data an engine may have asked for before it receives them."""

WEIGHTS_REQUEST_LATENCY = 2
"""Cycles from an accepted instruction to its request, when the unit is idle."""

WEIGHTS_LATENCY = 1
"""Cycles from an accepted beat to its write, and from the last of an instruction to the engine's end."""

WEIGHTS_IDLE = 1
"""Cycles between the last beat of an instruction and the first of the next."""

_STEPS = 16
_MEMORY_BITS = 60
"""Addresses in memory are in units of beats."""

_BEATS = _STEPS + 4
"""Bits of the beats of an instruction: a step or block has at most 16."""

BlockPlace = data.StructLayout({"channels": 1, "steps": _STEPS, "address": _STEPS})
"""An engine's part of an instruction: `steps` steps, or with `channels` blocks, or none, that go to `address` and on."""

BlockJob = data.StructLayout({"memory": _MEMORY_BITS, "beats": _BEATS, "sequence": SEQUENCE_BITS, "place": BlockPlace})


def channel_beats(config: Conv2DConfig) -> int:
    """Beats of a block of channel parameters."""
    return config.output_lanes * config.channel_bytes // WORD_BYTES


class BeatWrite(wiring.Signature):
    """A write to the buffer's memories of the beats that are enabled, all at one address."""

    def __init__(self, beats: int) -> None:
        super().__init__({"enable": Out(beats), "address": Out(_STEPS), "data": Out(BEAT_BITS)})


class BeatBuffer(wiring.Component):
    """Entries of several beats: written beat by beat, read as a whole in every cycle.

    What is read of an entry while it is written is unspecified.

    Args:
        beats: beats of an entry.
        depth: number of entries, a power of two.
        ports: writers, each of its share of the beats.

    Members:
        write: beat i of writer p is beat p * beats / ports + i of the entry; addresses are modulo `depth`.
        address: an entry, modulo `depth`.
        word: the entry, `WEIGHT_LATENCY` cycles later.
    """

    def __init__(self, *, beats: int, depth: int, ports: int) -> None:
        self._beats = beats
        self._depth = depth
        self._share = beats // ports
        super().__init__(
            {
                "write": In(BeatWrite(self._share)).array(ports),
                "address": In(_STEPS),
                "word": Out(BEAT_BITS * beats),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = exact_log2(self._depth)
        for beat in range(self._beats):
            m.submodules[f"beat_{beat}"] = memory = Memory(shape=BEAT_BITS, depth=self._depth, init=[])
            source, target = memory.read_port(), memory.write_port()
            write = self.write[beat // self._share]
            m.d.comb += [
                target.en.eq(write.enable[beat % self._share]),
                target.addr.eq(write.address[:bits]),
                target.data.eq(write.data),
                source.addr.eq(self.address[:bits]),
            ]
            # The memory's own register, and one behind it, make WEIGHT_LATENCY.
            m.d.sync += self.word[BEAT_BITS * beat : BEAT_BITS * (beat + 1)].eq(source.data)
        return m


class WeightUnit(wiring.Component):
    """Executes WEIGHTS and CHANNELS instructions, and holds what they load.

    Args:
        config: the accelerator's parameters.

    Members:
        instruction: WEIGHTS and CHANNELS instructions, in order.
        finished: high for a cycle for each instruction, in order, when addresses of that cycle read all its words.
        read: memory.
        weight_address: a step, modulo `weight_steps`.
        weights: its weights `WEIGHT_LATENCY` cycles later; that of input lane i for output lane o is number o * input_lanes + i.
        channel_address: a block, modulo `channel_blocks`.
        channels: its parameters `WEIGHT_LATENCY` cycles later.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "finished": Out(1),
                "read": Out(ReadPort()).array(config.memory_ports),
                "weight_address": In(16),
                "weights": Out(data.ArrayLayout(signed(8), config.output_lanes * config.input_lanes)),
                "channel_address": In(9),
                "channels": Out(data.ArrayLayout(channel_parameters(config), config.output_lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, ports = self._config, self._config.memory_ports
        m.submodules.fork = fork = Fork(BlockJob, ports)
        m.submodules.join = join = Join(ports)
        m.submodules.weight_buffer = weights = BeatBuffer(beats=config.step_beats, depth=config.weight_steps, ports=ports)
        m.submodules.channel_buffer = channels = BeatBuffer(beats=channel_beats(config), depth=config.channel_blocks, ports=1)
        m.d.comb += [
            fork.input.valid.eq(self.instruction.valid),
            self.instruction.ready.eq(fork.input.ready),
            self.finished.eq(join.finished),
            weights.address.eq(self.weight_address),
            channels.address.eq(self.channel_address),
            self.weights.eq(weights.word),
            self.channels.eq(channels.word),
        ]
        for port in range(ports):
            m.d.comb += self._prepare(self.instruction.payload, fork.input.payload[port], port)
            engine = WeightEngine(weight_beats=config.step_beats // ports, channel_beats=channel_beats(config))
            m.submodules[f"engine_{port}"] = engine
            wiring.connect(m, fork.output[port], engine.job)
            wiring.connect(m, engine.read, wiring.flipped(self.read[port]))
            wiring.connect(m, engine.weight_write, weights.write[port])
            m.d.comb += join.done[port].eq(engine.done)
            if port == 0:
                wiring.connect(m, engine.channel_write, channels.write[0])
        return m

    def _prepare(self, instruction: Any, job: Any, port: int) -> list[Any]:
        """The part of an instruction that a port carries."""
        weights = data.View(INSTRUCTIONS[Opcode.WEIGHTS].struct(), instruction.word)
        channels = data.View(INSTRUCTIONS[Opcode.CHANNELS].struct(), instruction.word)
        is_channels = weights.opcode == Opcode.CHANNELS
        part = self._config.step_beats // self._config.memory_ports
        blocks = channels.blocks if port == 0 else 0
        return [
            job.memory.eq(instruction.memory[4:] + weights.steps * (part * port)),
            job.beats.eq(Mux(is_channels, blocks * channel_beats(self._config), weights.steps * part)),
            job.sequence.eq(instruction.sequence),
            job.place.channels.eq(is_channels),
            job.place.steps.eq(Mux(is_channels, blocks, weights.steps)),
            job.place.address.eq(Mux(is_channels, channels.address, weights.address)),
        ]


class WeightEngine(wiring.Component):
    """Carries one port's part of the instructions.

    Args:
        weight_beats: beats of a step that the port carries.
        channel_beats: beats of a block.

    Members:
        job: parts of instructions.
        read: memory.
        weight_write, channel_write: the buffers.
        done: high for a cycle when a job's last beat is being written, in order.
    """

    def __init__(self, *, weight_beats: int, channel_beats: int) -> None:
        self._weight_beats = weight_beats
        self._channel_beats = channel_beats
        super().__init__(
            {
                "job": In(stream.Signature(BlockJob)),
                "read": Out(ReadPort()),
                "weight_write": Out(BeatWrite(weight_beats)),
                "channel_write": Out(BeatWrite(channel_beats)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ahead = ahead = Queue(BlockPlace, WEIGHTS_AHEAD)
        self._ask(m, ahead)
        self._receive(m, ahead)
        return m

    def _ask(self, m: Module, ahead: Queue) -> None:
        """One transfer for each job that has beats."""
        active = Signal()
        job = Signal(BlockJob)
        request = self.read.request
        m.d.comb += [
            self.job.ready.eq(~active & ahead.input.ready),
            ahead.input.valid.eq(self.job.valid & ~active),
            ahead.input.payload.eq(self.job.payload.place),
            request.valid.eq(active),
            request.payload.address.eq(job.memory << 4),
            request.payload.length.eq(job.beats << 4),
            request.payload.sequence.eq(job.sequence),
        ]
        with m.If(~active):
            m.d.sync += [
                active.eq(self.job.valid & ahead.input.ready & (self.job.payload.place.steps != 0)),
                job.eq(self.job.payload),
            ]
        with m.Elif(request.ready):
            m.d.sync += active.eq(0)

    def _receive(self, m: Module, ahead: Queue) -> None:
        """Beats go to the memories of a step one after the other, then to the next step."""
        place = ahead.output.payload
        active, empty, channels = Signal(), Signal(), Signal()
        address = Signal(_STEPS)
        beat = Signal(range(max(self._weight_beats, self._channel_beats)))
        steps = Counter("steps", bits=_STEPS)
        take, step_end = Signal(), Signal()
        m.d.comb += [
            ahead.output.ready.eq(~active),
            self.read.data.ready.eq(active & ~empty),
            take.eq(self.read.data.ready & self.read.data.valid),
            step_end.eq(beat == Mux(channels, self._channel_beats - 1, self._weight_beats - 1)),
        ]
        with m.If(~active):
            m.d.sync += [
                active.eq(ahead.output.valid),
                empty.eq(place.steps == 0),
                channels.eq(place.channels),
                address.eq(place.address),
                steps.start(place.steps),
                beat.eq(0),
            ]
        with m.Elif(empty):
            m.d.sync += active.eq(0)
        with m.Elif(self.read.data.valid):
            m.d.sync += beat.eq(beat + 1)
            with m.If(step_end):
                m.d.sync += [beat.eq(0), address.eq(address + 1), steps.step(), active.eq(~steps.last)]
        m.d.sync += self.done.eq((take & step_end & steps.last) | (active & empty))
        for write, enabled in ((self.weight_write, take & ~channels), (self.channel_write, take & channels)):
            m.d.sync += [write.address.eq(address), write.data.eq(self.read.data.payload)]
            m.d.sync += [write.enable[i].eq(enabled & (beat == i)) for i in range(len(write.enable))]
