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
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import WORD_BYTES, Conv2DConfig
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
        m.submodules.sums = sums = SyncFIFO(width=Value.cast(requantizer.sums).shape().width, depth=_SLICES)
        m.submodules.heads = heads = SyncFIFO(width=self._head.size, depth=_SLICES)
        m.submodules.rules = rules = SyncFIFO(width=output_job(self._config).size, depth=_SLICES)
        self._split(m, sums, heads, rules)

        head, leave = self._leave(m, heads)
        left, on_way = [leave], [head]
        for cycle in range(1, WEIGHT_LATENCY + REQUANTIZE_LATENCY + 1):
            left.append(Signal(name=f"left_{cycle}"))
            on_way.append(Signal(self._head, name=f"head_{cycle}", reset_less=True))
            m.d.sync += [left[cycle].eq(left[cycle - 1]), on_way[cycle].eq(on_way[cycle - 1])]

        # Channel parameters, sums and rule come together, WEIGHT_LATENCY cycles after their slice left the queue.
        rule: Value = rules.r_data
        for cycle in range(1, WEIGHT_LATENCY + 1):
            register = Signal.like(rules.r_data, name=f"rule_{cycle}", reset_less=True)
            m.d.sync += register.eq(rule)
            rule = register
        values = Signal.like(sums.r_data, name="values", reset_less=True)
        m.d.sync += values.eq(sums.r_data)
        m.d.comb += [
            rules.r_en.eq(leave & head.last),
            sums.r_en.eq(left[WEIGHT_LATENCY - 1]),
            self.channel_address.eq(head.channel),
            requantizer.channels.eq(self.channels),
            requantizer.sums.eq(values),
            requantizer.rule.eq(rule),
        ]

        use = WEIGHT_LATENCY + residual_delay(self._config) - 1
        for pixel, words in enumerate(self._words):
            residual = Signal(self._part_bits, name=f"residual_{pixel}", reset_less=True)
            m.d.sync += residual.eq(self._part(words.r_data, on_way[use].part))
            m.d.comb += words.r_en.eq(left[use] & on_way[use].residual[pixel])
            m.d.comb += requantizer.residual[pixel].eq(residual)
        self._write(m, requantizer, on_way[-1], left[-1])
        return m

    def _split(self, m: Module, sums: SyncFIFO, heads: SyncFIFO, rules: SyncFIFO) -> None:
        """One slice of the result per cycle into the queue, and the addresses of its residuals into theirs."""
        pixels, result, job = self._pixels, self.result.payload, self.job.payload
        index = Signal(range(self._slices))
        first = Signal(init=1)
        go, more, room = Signal(), Signal(), Signal(init=1)
        # From a register: a slice that enters in this cycle is not counted yet. The sums of a slice leave after its head.
        m.d.sync += room.eq(sums.w_level < _SLICES - 1)
        lanes = [range(s * pixels, (s + 1) * pixels) for s in range(self._slices)]
        valid = select(index, [Cat(result.valid[lane] for lane in part) for part in lanes])
        address = select(index, [Cat(result.address[lane] for lane in part) for part in lanes])
        head = Signal(self._head)
        m.d.comb += [
            go.eq(self.result.valid & self.job.valid & room),
            more.eq(select(index, [result.valid[part.stop :].any() for part in lanes])),
            self.result.ready.eq(go & ~more),
            self.job.ready.eq(go & ~more & result.last),
            sums.w_en.eq(go),
            sums.w_data.eq(select(index, [Cat(result.sums[lane] for lane in part) for part in lanes])),
            head.address.eq(address),
            head.valid.eq(valid),
            head.residual.eq(Mux(job.residual, valid, 0)),
            head.part.eq(result.part),
            head.channel.eq(result.channel),
            head.last.eq(result.last & ~more),
            heads.w_en.eq(go),
            heads.w_data.eq(head),
            # A job has a slice in the queue or is the only one here: there is always room for its rule.
            rules.w_en.eq(go & first),
            rules.w_data.eq(job),
        ]
        with m.If(go):
            m.d.sync += [index.eq(Mux(more, index + 1, 0)), first.eq(head.last)]

        asked, base = Signal(pixels), Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += [asked.eq(Mux(go, head.residual, 0)), base.eq(job.residual_offset)]
        for pixel in range(pixels):
            output_address = Signal(ADDRESS_BITS, name=f"output_address_{pixel}", reset_less=True)
            m.submodules[f"addresses_{pixel}"] = addresses = SyncFIFO(width=ADDRESS_BITS, depth=_SLICES)
            m.d.sync += output_address.eq(head.address[pixel])
            m.d.comb += [
                addresses.w_en.eq(asked[pixel]),
                addresses.w_data.eq(output_address + base),
                self.read[pixel].address.valid.eq(addresses.r_rdy),
                self.read[pixel].address.payload.eq(addresses.r_data),
                addresses.r_en.eq(self.read[pixel].address.ready),
            ]

    def _leave(self, m: Module, heads: SyncFIFO) -> tuple[data.View[data.StructLayout], Signal]:
        """The oldest slice, and whether it leaves the queue: its residuals are there, and room for its results."""
        head = Signal(self._head, reset_less=True)
        waiting, leave = Signal(), Signal()
        m.d.comb += heads.r_en.eq(~waiting | leave)
        with m.If(~waiting | leave):
            m.d.sync += [waiting.eq(heads.r_rdy), head.eq(heads.r_data)]

        self._words: list[SyncFIFO] = []
        self._credits: list[Signal] = []
        go: Value = waiting
        for pixel in range(self._pixels):
            m.submodules[f"words_{pixel}"] = words = SyncFIFO(width=BEAT_BITS, depth=_RESIDUALS)
            m.d.comb += [words.w_en.eq(self.read[pixel].valid), words.w_data.eq(self.read[pixel].data)]
            arrived = Signal(range(_RESIDUALS + 1), name=f"arrived_{pixel}")
            m.d.sync += arrived.eq(arrived + self.read[pixel].valid - (leave & head.residual[pixel]))
            credit = Signal(range(_WRITES + 1), name=f"credit_{pixel}", init=_WRITES)
            go &= (~head.residual[pixel] | (arrived != 0)) & (credit != 0)
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
            m.submodules[f"writes_{pixel}"] = writes = SyncFIFO(width=entry.size, depth=_WRITES)
            entering, leaving = Signal(entry, name=f"entering_{pixel}"), data.View(entry, writes.r_data)
            m.d.comb += [
                entering.address.eq(head.address[pixel]),
                entering.data.eq(requantizer.out[pixel]),
                entering.part.eq(head.part),
                entering.write.eq(head.valid[pixel]),
                entering.last.eq(head.last),
                writes.w_en.eq(valid),
                writes.w_data.eq(entering),
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
                writes.r_en.eq(done),
            ]
            with m.If(done):
                m.d.sync += [
                    occupied.eq(writes.r_rdy),
                    pending.eq(writes.r_rdy & leaving.write),
                    last.eq(leaving.last),
                    word.address.eq(leaving.address),
                    word.data.eq(leaving.data.replicate(self._config.word_parts)),
                    word.enable.eq(self._enable(leaving.part)),
                ]
            m.d.sync += credit.eq(credit + (done & writes.r_rdy) - self._leaving)
            count = Signal(range(_WRITES + 3), name=f"ended_{pixel}")
            m.d.sync += count.eq(count + (occupied & done & last) - self.finished)
            ended.append(count != 0)
        m.d.comb += self.finished.eq(reduce(and_, ended))

    def _part(self, word: Value, part: Value) -> Value:
        """The bits of a block of output channels in a word of the feature buffer."""
        options = [word[i * self._part_bits : (i + 1) * self._part_bits] for i in range(self._config.word_parts)]
        return select(part, options)

    def _enable(self, part: Value) -> Value:
        """The byte enables of a block of output channels."""
        parts = self._config.word_parts
        return Cat((part[: parts.bit_length() - 1] == i).replicate(WORD_BYTES // parts) for i in range(parts))
