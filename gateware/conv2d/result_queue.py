"""The queue of results between the array, which cannot wait, and the output unit, which may."""

from __future__ import annotations

from amaranth import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.lanes import group_place
from cosoc.gateware.conv2d.queue import Tally
from cosoc.gateware.conv2d.types import group_result

RESULT_LATENCY = 2
"""Cycles from the one in which the accumulators hold a group's sums to the one in which the result is offered."""


def queue_depth(config: Conv2DConfig) -> int:
    """Groups that fit: those on their way through the pipeline, about 20 cycles long, when they leave as fast as they may."""
    return 32 if config.pixel_lanes <= 2 else 16


class ResultQueue(wiring.Component):
    """Joins the sums of each group with its place, which comes first, and holds both in LUT RAM until they are taken.

    A group reserves a place before it starts, so the queue never overflows.

    Members:
        reserve: a group starts that will have a result.
        room: it may. The register here may hide the last free place for a cycle.
        place, place_valid: where the next group's results belong.
        sums, sums_valid: the next group's sums.
        result: the results, in order.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "reserve": In(1),
                "room": Out(1),
                "place": In(group_place(config)),
                "place_valid": In(1),
                "sums": In(group_result(config)["sums"].shape),
                "sums_valid": In(1),
                "result": Out(stream.Signature(group_result(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = queue_depth(self._config)
        reserved = Signal(range(depth + 1))
        ready = Tally(depth, name="ready")
        takes, taken = Signal(), Signal()
        result = self.result
        m.d.comb += takes.eq(ready.some & (~result.valid | result.ready))
        m.d.sync += [
            taken.eq(takes),
            reserved.eq(reserved + self.reserve - taken),  # a cycle late, because many registers wait for what decides it
            self.room.eq(reserved < depth - 1),  # a group that starts in this cycle is not counted yet
        ]
        ready.count(m, up=self.sums_valid, down=takes)
        with m.If(~result.valid | result.ready):
            m.d.sync += result.valid.eq(takes)

        read_address, write_address, place_address = Signal(range(depth)), Signal(range(depth)), Signal(range(depth))
        for counts, address in ((takes, read_address), (self.sums_valid, write_address), (self.place_valid, place_address)):
            with m.If(counts):
                m.d.sync += address.eq(address + 1)

        def store(name: str, value: Value, valid: Value, address: Value) -> Value:
            """Keeps `value` in a memory of its own. Returns what is read from it."""
            m.submodules[name] = memory = Memory(shape=value.shape(), depth=depth, init=[], attrs={"ram_style": "distributed"})
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [write.data.eq(value), write.en.eq(valid), write.addr.eq(address)]
            m.d.comb += [read.addr.eq(read_address), read.en.eq(takes)]
            return read.data

        for lane in range(self._config.pixel_lanes):
            m.d.comb += result.payload.sums[lane].eq(store(f"sums_{lane}", self.sums[lane], self.sums_valid, write_address))
        place = store("places", self.place, self.place_valid, place_address)
        m.d.comb += [result.payload[field].eq(place[field]) for field in group_place(self._config).members]
        return m
