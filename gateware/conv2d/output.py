"""Output unit: from the array's sums to the feature buffer.

    results -> split -> slices -----------+-> requantize -> write queues -> feature buffer
                 |                        |
                 +-> residual addresses -> residual words

A result, the sums of a group of pixels, is split into slices of `output_pixels` pixels. The split asks for the residuals of a
slice when it enters the queue of slices; a slice leaves the queue when its residuals are there and every write queue has room
for it, and nothing holds it up after that. Without stalls one slice passes per cycle, whatever jobs and results they are from.

Queues never overflow: the queue of slices bounds what is on the way to it, credits bound what is on the way to the writes.
"""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
from cosoc.gateware.conv2d.queue import Queue, Tally
from cosoc.gateware.conv2d.requantize import REQUANTIZE_LATENCY, Requantizer, residual_delay, select
from cosoc.gateware.conv2d.types import (
    ADDRESS_BITS,
    FEATURE_LATENCY,
    WEIGHT_LATENCY,
    FeatureRead,
    FeatureWrite,
    channel_parameters,
    group_result,
    output_job,
)
from cosoc.gateware.peripheral.core import BEAT_BITS

OUTPUT_LATENCY = REQUANTIZE_LATENCY + WEIGHT_LATENCY + 4
"""Cycles from a result that finds the unit idle, and its job there, to the write of its first slice."""

RESIDUAL_LATENCY = FEATURE_LATENCY + 1
"""Cycles more when the result has a residual and its reads do not wait."""

_SLICES = 16
_RESIDUALS = 32
"""Residual words: of the slices in their queue, and of those that left it but have not come to the addition."""
_WRITES = 32
"""Results in a write queue or on the way to it: at full rate one for each cycle of the way."""


def slices_per_group(config: Conv2DConfig) -> int:
    """Slices, and so cycles, of a result that is full."""
    return config.pixel_lanes // config.output_pixels


class OutputUnit(wiring.Component):
    """Requantizes, adds residuals, writes.

    Members:
        job: settings of the results up to the next one that is marked `last`.
        result: sums; taken with the last of their slices. Slices above the highest valid lane are left out.
        channel_address, channels: the buffer of channel parameters; data comes `WEIGHT_LATENCY` cycles after its address.
        read: residuals, by pixel of a slice.
        write: results, by pixel of a slice; only the bytes of the result's part of the word are enabled.
        finished: a pulse for each result marked `last`, after its writes and all before were accepted.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        self._pixels = config.output_pixels
        self._slices = slices_per_group(config)
        self._part_bits = config.output_lanes * config.activation_bits
        self._head = data.StructLayout(
            {
                "address": data.ArrayLayout(unsigned(ADDRESS_BITS), self._pixels),
                "valid": self._pixels,
                "residual": self._pixels,
                "part": 2,
                "channel": 9,
                "last": 1,
            }
        )
        """A slice without its sums; `residual` tells of each pixel whether it has one."""
        super().__init__(
            {
                "job": In(stream.Signature(output_job(config))),
                "result": In(stream.Signature(group_result(config))),
                "channel_address": Out(9),
                "channels": In(data.ArrayLayout(channel_parameters(config), config.output_lanes)),
                "read": Out(FeatureRead()).array(self._pixels),
                "write": Out(stream.Signature(FeatureWrite)).array(self._pixels),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.requantizer = requantizer = Requantizer(self._config)
        m.submodules.sums = sums = Queue(Value.cast(requantizer.sums).shape(), _SLICES, bounded=True)
        m.submodules.heads = heads = Queue(self._head, _SLICES, bounded=True, front=True)
        m.submodules.rules = rules = Queue(output_job(self._config), _SLICES, bounded=True)
        self._split(m, sums, heads, rules)

        head, leave = self._leave(m, heads)
        left, on_way = [leave], [head]
        for cycle in range(1, WEIGHT_LATENCY + REQUANTIZE_LATENCY + 1):
            left.append(Signal(name=f"left_{cycle}"))
            on_way.append(Signal(self._head, name=f"head_{cycle}", reset_less=True))
            m.d.sync += [left[cycle].eq(left[cycle - 1]), on_way[cycle].eq(on_way[cycle - 1])]

        # Channel parameters, sums and rule come together, WEIGHT_LATENCY cycles after their slice left the queue.
        rule = rules.output.payload
        for cycle in range(1, WEIGHT_LATENCY + 1):
            register = Signal.like(rules.output.payload, name=f"rule_{cycle}", reset_less=True)
            m.d.sync += register.eq(rule)
            rule = register
        values = Signal.like(sums.output.payload, name="values", reset_less=True)
        m.d.sync += values.eq(sums.output.payload)
        m.d.comb += [
            rules.output.ready.eq(leave & head.last),
            sums.output.ready.eq(left[WEIGHT_LATENCY - 1]),
            self.channel_address.eq(head.channel),
            requantizer.channels.eq(self.channels),
            requantizer.sums.eq(values),
            requantizer.rule.eq(rule),
        ]

        use = WEIGHT_LATENCY + residual_delay(self._config) - 1
        for pixel, words in enumerate(self._words):
            residual = Signal(self._part_bits, name=f"residual_{pixel}", reset_less=True)
            m.d.sync += residual.eq(self._part(words.output.payload, on_way[use].part))
            m.d.comb += words.output.ready.eq(left[use] & on_way[use].residual[pixel])
            m.d.comb += requantizer.residual[pixel].eq(residual)
        self._write(m, requantizer, on_way[-1], left[-1])
        return m

    def _split(self, m: Module, sums: Queue, heads: Queue, rules: Queue) -> None:
        """One slice of the result per cycle into the queue, and the addresses of its residuals into theirs."""
        pixels, result, job = self._pixels, self.result.payload, self.job.payload
        index = Signal(range(self._slices))
        # The same with a bit for each slice: `index` alone chooses among all sums, too many for what decides in the same cycle.
        turn = Signal(self._slices, init=1)
        first = Signal(init=1)
        go, more, room = Signal(), Signal(), Signal(init=1)
        # From a register: what enters in this cycle and the next is not counted yet. The sums of a slice leave after its head.
        m.d.sync += room.eq(sums.level < _SLICES - 2)
        lanes = [range(s * pixels, (s + 1) * pixels) for s in range(self._slices)]
        valid = select(index, [Cat(result.valid[lane] for lane in part) for part in lanes])
        address = select(index, [Cat(result.address[lane] for lane in part) for part in lanes])
        head, entering, enters = Signal(self._head), Signal(self._head, reset_less=True), Signal()
        values = Signal.like(sums.input.payload, name="entering_sums", reset_less=True)
        m.d.comb += [
            go.eq(self.result.valid & self.job.valid & room),
            more.eq(Cat(turn[s] & result.valid[part.stop :].any() for s, part in enumerate(lanes)).any()),
            self.result.ready.eq(go & ~more),
            self.job.ready.eq(go & ~more & result.last),
            head.address.eq(address),
            head.valid.eq(valid),
            head.residual.eq(Mux(job.residual, valid, 0)),
            head.part.eq(result.part),
            head.channel.eq(result.channel),
            head.last.eq(result.last & ~more),
            heads.input.valid.eq(enters),
            heads.input.payload.eq(entering),
            sums.input.valid.eq(enters),
            sums.input.payload.eq(values),
            # A job has a slice in the queue or is the only one here: there is always room for its rule.
            rules.input.valid.eq(go & first),
            rules.input.payload.eq(job),
            rules.input.payload.residual_multiplier.eq(Mux(job.residual, job.residual_multiplier, 0)),
        ]
        m.d.sync += [
            enters.eq(go),
            entering.eq(head),
            values.eq(select(index, [Cat(result.sums[lane] for lane in part) for part in lanes])),
        ]
        with m.If(go):
            m.d.sync += [index.eq(Mux(more, index + 1, 0)), turn.eq(Mux(more, turn << 1, 1)), first.eq(head.last)]

        base = Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += base.eq(job.residual_offset)
        for pixel in range(pixels):
            m.submodules[f"addresses_{pixel}"] = addresses = Queue(ADDRESS_BITS, _SLICES, front=True)
            m.d.comb += [
                addresses.input.valid.eq(enters & entering.residual[pixel]),
                addresses.input.payload.eq(entering.address[pixel] + base),
            ]
            wiring.connect(m, addresses.output, wiring.flipped(self.read[pixel].address))

    def _leave(self, m: Module, heads: Queue) -> tuple[data.View[data.StructLayout], Signal]:
        """The oldest slice, and whether it leaves the queue: its residuals are there, and room for its results."""
        head, leave = heads.output.payload, Signal()
        m.d.comb += heads.output.ready.eq(leave)
        self._words: list[Queue] = []
        self._credits: list[Tally] = []
        go: Value = heads.output.valid
        for pixel in range(self._pixels):
            m.submodules[f"words_{pixel}"] = words = Queue(BEAT_BITS, _RESIDUALS, bounded=True)
            m.d.comb += [words.input.valid.eq(self.read[pixel].valid), words.input.payload.eq(self.read[pixel].data)]
            arrived = Tally(_RESIDUALS, name=f"arrived_{pixel}")
            arrived.count(m, up=self.read[pixel].valid, down=leave & head.residual[pixel])
            credit = Tally(_WRITES, name=f"credit_{pixel}", init=_WRITES)
            go &= (~head.residual[pixel] | arrived.some) & credit.some
            self._words.append(words)
            self._credits.append(credit)
        m.d.comb += leave.eq(go)
        self._leaving = leave
        return head, leave

    def _write(self, m: Module, requantizer: Requantizer, head: data.View[data.StructLayout], valid: Signal) -> None:
        """A queue for each write stream. Every slice goes through all of them, so that its end is seen at each."""
        entry = data.StructLayout({"address": ADDRESS_BITS, "data": self._part_bits, "part": 2, "write": 1, "last": 1})
        ended = []
        for pixel, credit in enumerate(self._credits):
            m.submodules[f"writes_{pixel}"] = writes = Queue(entry, _WRITES, bounded=True)
            entering, leaving = writes.input.payload, writes.output.payload
            m.d.comb += [
                entering.address.eq(head.address[pixel]),
                entering.data.eq(requantizer.out[pixel]),
                entering.part.eq(head.part),
                entering.write.eq(head.valid[pixel]),
                entering.last.eq(head.last),
                writes.input.valid.eq(valid),
            ]
            port = self.write[pixel]
            occupied, last = Signal(name=f"occupied_{pixel}"), Signal(name=f"last_{pixel}", reset_less=True)
            done = Signal(name=f"done_{pixel}")
            word = Signal(FeatureWrite, name=f"word_{pixel}", reset_less=True)
            pending = Signal(name=f"pending_{pixel}")
            m.d.comb += [
                port.valid.eq(pending),
                port.payload.eq(word),
                done.eq(~pending | port.ready),
                writes.output.ready.eq(done),
            ]
            with m.If(done):
                m.d.sync += [
                    occupied.eq(writes.output.valid),
                    pending.eq(writes.output.valid & leaving.write),
                    last.eq(leaving.last),
                    word.address.eq(leaving.address),
                    word.data.eq(leaving.data.replicate(self._config.word_parts)),
                    word.enable.eq(self._enable(leaving.part)),
                ]
            credit.count(m, up=done & writes.output.valid, down=self._leaving)
            count = Tally(_WRITES + 2, name=f"ended_{pixel}")
            count.count(m, up=occupied & done & last, down=self.finished)
            ended.append(count.some)
        m.d.comb += self.finished.eq(reduce(and_, ended))

    def _part(self, word: Value, part: Value) -> Value:
        """The bits of a block of output channels in a word of the feature buffer."""
        options = [word[i * self._part_bits : (i + 1) * self._part_bits] for i in range(self._config.word_parts)]
        return select(part, options)

    def _enable(self, part: Value) -> Value:
        """The byte enables of a block of output channels."""
        parts = self._config.word_parts
        return Cat((part[: parts.bit_length() - 1] == i).replicate(WORD_BYTES // parts) for i in range(parts))
