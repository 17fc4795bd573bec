"""The STORE unit: maxima over windows of the feature buffer to memory.

    instruction --> prepare --+--> walk -----> read[p] ------> reduce --> write[p].data
                              +--> requests -----------------------------> write[p].request
                              `--> running <-- finished parts <----------- write[p].done

Engine p carries the rows y with y % memory_ports == p. Its walk runs ahead of its reduction by the words that it has room for,
and into the next instruction.

Cycles: one word of the buffer per cycle, so a window costs as many cycles as it has positions inside the tile, at least one.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.queue import Queue, RegisterSlice, Tally
from cosoc.gateware.conv2d.store_jobs import RequestJob, StorePrepare, StoreRequests, WalkJob
from cosoc.gateware.conv2d.types import ADDRESS_BITS, FEATURE_LATENCY, FeatureRead, UnitInstruction
from cosoc.gateware.conv2d.window import Operand, WindowWalk
from cosoc.gateware.peripheral.core import BEAT_BITS, WritePort

STORE_START = 16
"""Cycles from an accepted instruction to the offer of its first address, when the unit is idle."""

STORE_LATENCY = FEATURE_LATENCY + 4
"""Cycles from the accepted address of a window's last word to the offer of the maximum."""

STORE_IDLE = 0
"""Cycles between the last word of an instruction and the first of the next, when both have at least `STORE_SHORTEST` words."""

STORE_FINISH = 2
"""Cycles from the last `done` of an instruction to `finished`."""

STORES_RUNNING = 16
"""Instructions whose data may be on its way to memory."""

_READ_AHEAD = 16
"""Words read ahead of the reduction: more than the cycles from a word's reservation to its reduction."""


_Order = data.StructLayout({"empty": 1, "first": 1, "last": 1})


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
        m.submodules.running = running = Queue(ports, STORES_RUNNING)
        wiring.connect(m, prepare.started, running.input)
        finished_parts = []
        ends = Signal()
        for port in range(ports):
            m.submodules[f"engine_{port}"] = engine = StoreEngine(self._config)
            wiring.connect(m, prepare.walk[port], engine.walk)
            wiring.connect(m, prepare.requests[port], engine.requests)
            wiring.connect(m, engine.read, wiring.flipped(self.read[port]))
            wiring.connect(m, engine.write, wiring.flipped(self.write[port]))
            parts = Tally(STORES_RUNNING, name=f"finished_parts_{port}")
            parts.count(m, up=engine.finished, down=ends & running.output.payload[port])
            finished_parts.append(parts.some)
        m.d.comb += [
            ends.eq(running.output.valid & (Cat(finished_parts) | ~running.output.payload).all()),
            running.output.ready.eq(ends),
        ]
        m.d.sync += self.finished.eq(ends)
        return m


class StoreEngine(wiring.Component):
    """Carries the rows of one port.

    Args:
        config: width of an activation.

    Members:
        walk, requests: jobs; both get one of each instruction.
        read: feature buffer.
        write: memory.
        finished: high for a cycle when all bytes of a job are in memory, in order.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "walk": In(stream.Signature(WalkJob)),
                "requests": In(stream.Signature(RequestJob)),
                "read": Out(FeatureRead()),
                "write": Out(WritePort()),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = WindowWalk()
        m.submodules.maxima = maxima = WindowMaxima(self._config)
        m.submodules.requests = requests = StoreRequests()
        wiring.connect(m, wiring.flipped(self.walk), walk.job)
        wiring.connect(m, walk.operand, maxima.operand)
        wiring.connect(m, maxima.read, wiring.flipped(self.read))
        wiring.connect(m, maxima.maximum, wiring.flipped(self.write.data))
        wiring.connect(m, wiring.flipped(self.requests), requests.job)
        wiring.connect(m, requests.request, wiring.flipped(self.write.request))
        m.d.comb += [requests.done.eq(self.write.done.valid), self.finished.eq(requests.finished)]
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
        m.submodules.address = address = RegisterSlice(ADDRESS_BITS)
        m.submodules.order = order = Queue(_Order, _READ_AHEAD, bounded=True, front=True)
        m.submodules.words = words = Queue(BEAT_BITS, _READ_AHEAD, bounded=True)
        m.submodules.maxima = maxima = Queue(BEAT_BITS, 8, bounded=True, behind=2)
        room = Tally(_READ_AHEAD, name="room", init=_READ_AHEAD)
        reserves, loads, loaded, complete = Signal(), Signal(), Signal(), Signal()
        word, first, last = Signal(BEAT_BITS, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        maximum = Signal(BEAT_BITS, reset_less=True)
        operand = self.operand.payload
        following = order.output.payload
        wiring.connect(m, address.output, wiring.flipped(self.read.address))
        wiring.connect(m, maxima.output, wiring.flipped(self.maximum))
        m.d.comb += [
            self.operand.ready.eq(room.some & address.input.ready),
            reserves.eq(self.operand.valid & self.operand.ready),
            address.input.payload.eq(operand.address),
            address.input.valid.eq(reserves & ~operand.empty),
            *(order.input.payload[name].eq(operand[name]) for name in ("empty", "first", "last")),
            order.input.valid.eq(reserves),
            words.input.payload.eq(self.read.data),
            words.input.valid.eq(self.read.valid),
            loads.eq(maxima.space & order.output.valid & (words.output.valid | following.empty)),
            order.output.ready.eq(loads),
            words.output.ready.eq(loads & ~following.empty),
            maxima.input.payload.eq(maximum),
            maxima.input.valid.eq(complete),
        ]
        room.count(m, up=loads, down=reserves)
        lowest = Const(1 << self._bits - 1, self._bits).replicate(BEAT_BITS // self._bits)
        m.d.sync += [
            loaded.eq(loads),
            word.eq(Mux(following.empty, lowest, words.output.payload)),
            first.eq(following.first),
            last.eq(following.last),
            complete.eq(loaded & last),
        ]
        with m.If(loaded):
            m.d.sync += maximum.eq(self._next(word, maximum, first))
        return m

    def _next(self, word: Value, maximum: Value, first: Value) -> Value:
        """The maximum so far, with one more word."""
        values = []
        for i in range(BEAT_BITS // self._bits):
            new = word.word_select(i, self._bits).as_signed()
            old = maximum.word_select(i, self._bits).as_signed()
            values.append(Mux(first | (old - new)[-1], new, old)[: self._bits])
        return Cat(values)
