"""The feature buffer: banks of block RAM between the array, the output unit, the loaders and the store engines.

    pixels.address --> [request] --> crossbar --> [bank port A] --+--> memory --> [output] --> multiplexer --> [data]
    read, write -----> grant, [request] --> crossbar --> [port B] +

The word at an address lies in bank `address % banks`, row `address // banks`. Port A of a bank serves the array alone; port B
serves one write or one read in a cycle. [..] are registers; every access passes the same number of them, so accesses to a word
happen in the order in which they were accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.types import FEATURE_LATENCY, FeatureRead, FeatureWrite, PixelRead
from cosoc.gateware.peripheral.core import BEAT_BITS, BEAT_BYTES

_SELECT_DELAY = FEATURE_LATENCY - 2
"""Cycles from the request register to the one before the multiplexer: bank port, memory, output."""


class FeatureBuffer(wiring.Component):
    """Memory of `feature_words` words of 16 bytes with a fixed read latency of `FEATURE_LATENCY` cycles.

    In each cycle and bank the first requester of this order is granted, the others wait: writes of the output unit, reads of the
    output unit, reads of the store engines, writes of the loaders. Requesters on different banks never wait for each other.

    `ready` follows in the same cycle from the addresses of the requesters before in the order, and not from the requester's own
    `valid`. So requesters must offer from registers, and must not make `valid` depend on `ready`.

    A granted write is visible to all reads whose address is accepted later; a read of the same word by the array in the very
    cycle of the write gets either value.

    Args:
        config: the accelerator's parameters.

    Members:
        pixels: the array; always served. Lanes enabled in one cycle must hit different banks, otherwise the data of both is
            unspecified, as is that of lanes that are not enabled.
        write: `output_pixels` of the output unit, then `memory_ports` of the loaders, in order of priority.
        read: `output_pixels` of the output unit, then `memory_ports` of the store engines, in order of priority.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        self._bank_bits = (config.banks - 1).bit_length()
        self._row_bits = (config.feature_words // config.banks - 1).bit_length()
        requesters = config.output_pixels + config.memory_ports
        super().__init__(
            {
                "pixels": In(PixelRead(config)),
                "write": In(stream.Signature(FeatureWrite)).array(requesters),
                "read": In(FeatureRead()).array(requesters),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [self._lane(m, lane) for lane in range(self._config.pixel_lanes)]
        writes, reads = self._grant(m)
        banks = [self._bank(m, bank, lanes, writes, reads) for bank in range(self._config.banks)]
        for lane, request in enumerate(lanes):
            m.d.sync += self.pixels.data[lane].eq(self._word(m, request, [array for array, _ in banks]))
        for port, request in zip(self.read, reads, strict=True):
            m.d.sync += port.data.eq(self._word(m, request, [shared for _, shared in banks]))
            m.d.sync += port.valid.eq(_delay(m, request.valid, _SELECT_DELAY, reset_less=False))
        return m

    def _lane(self, m: Module, lane: int) -> _Request:
        request = _Request(f"lane{lane}", self._bank_bits, self._row_bits)
        request.accept(m, self.pixels.enable[lane], self.pixels.address[lane])
        return request

    def _grant(self, m: Module) -> tuple[list[_Request], list[_Request]]:
        """Accepts at most one request for each bank; returns the registers of writes and reads."""
        output = self._config.output_pixels
        writes, reads = [], []
        for i, write in enumerate(self.write):
            writes.append(_Request(f"write{i}", self._bank_bits, self._row_bits, write.payload))
        for i in range(len(self.read)):
            reads.append(_Request(f"read{i}", self._bank_bits, self._row_bits))
        write_ports = [(port.valid, port.ready, port.payload.address) for port in self.write]
        read_ports = [(port.address.valid, port.address.ready, port.address.payload) for port in self.read]
        ports = [*write_ports[:output], *read_ports, *write_ports[output:]]
        requests = [*writes[:output], *reads, *writes[output:]]
        for i, (request, (valid, ready, address)) in enumerate(zip(requests, ports, strict=True)):
            bank = address[: self._bank_bits]
            occupied = [other & (where[: self._bank_bits] == bank) for other, _, where in ports[:i]]
            m.d.comb += ready.eq(~Cat(occupied).any())
            request.accept(m, valid & ready, address)
        return writes, reads

    def _bank(
        self, m: Module, bank: int, lanes: Sequence[_Request], writes: Sequence[_Request], reads: Sequence[_Request]
    ) -> tuple[Signal, Signal]:
        """A bank and the registers of its ports; returns the output registers of the array's port and of the other.

        Writing and reading share the address of port B, and both go on at once: that is what a true dual-port block RAM does.
        """
        memory = Memory(shape=BEAT_BITS, depth=self._config.feature_words // self._config.banks, init=[])
        m.submodules[f"bank{bank}"] = memory
        array, shared, write = memory.read_port(), memory.read_port(), memory.write_port(granularity=8)
        row = Signal(self._row_bits, name=f"bank{bank}_row", reset_less=True)
        array_row = Signal(self._row_bits, name=f"bank{bank}_array_row", reset_less=True)
        enable = Signal(BEAT_BYTES, name=f"bank{bank}_enable")
        word = Signal(BEAT_BITS, name=f"bank{bank}_word", reset_less=True)
        array_output = Signal(BEAT_BITS, name=f"bank{bank}_array_output", reset_less=True)
        output = Signal(BEAT_BITS, name=f"bank{bank}_output", reset_less=True)
        written = [request.hits(bank) for request in writes]
        m.d.sync += [
            array_row.eq(_gather([request.hits(bank) for request in lanes], [request.row for request in lanes])),
            row.eq(_gather([request.hits(bank) for request in (*writes, *reads)], [request.row for request in (*writes, *reads)])),
            enable.eq(_gather(written, [request.enable for request in writes])),
            word.eq(_choose(written, [request.word for request in writes])),
            array_output.eq(array.data),
            output.eq(shared.data),
        ]
        m.d.comb += [
            array.addr.eq(array_row),
            shared.addr.eq(row),
            write.addr.eq(row),
            write.en.eq(enable),
            write.data.eq(word),
        ]
        return array_output, output

    def _word(self, m: Module, request: _Request, outputs: Sequence[Signal]) -> Value:
        """Of the banks' output registers that with the word of a request."""
        return Value.cast(Array(outputs)[_delay(m, request.bank, _SELECT_DELAY)])


class _Request:
    """Register of an accepted access.

    Args:
        name: begins the names of its signals.
        payload: the `FeatureWrite` of a write; none for reads.
    """

    def __init__(self, name: str, bank_bits: int, row_bits: int, payload: Any = None) -> None:
        self.valid = Signal(name=f"{name}_valid")
        self.bank = Signal(bank_bits, name=f"{name}_bank", reset_less=True)
        self.row = Signal(row_bits, name=f"{name}_row", reset_less=True)
        self.word = Signal(BEAT_BITS, name=f"{name}_word", reset_less=True)
        self.enable = Signal(BEAT_BYTES, name=f"{name}_enable", reset_less=True)
        self._payload = payload

    def accept(self, m: Module, valid: Value, address: Value) -> None:
        split = len(self.bank)
        m.d.sync += [
            self.valid.eq(valid),
            self.bank.eq(address[:split]),
            self.row.eq(address[split : split + len(self.row)]),
        ]
        if self._payload is not None:
            m.d.sync += [self.word.eq(self._payload.data), self.enable.eq(self._payload.enable)]

    def hits(self, bank: int) -> Value:
        """The request is one for this bank."""
        return self.valid & (self.bank == bank)


def _gather(hits: Sequence[Value], values: Sequence[Value]) -> Value:
    """The value whose hit is high, of which at most one is; zero without any."""
    return reduce(or_, (Mux(hit, value, 0) for hit, value in zip(hits, values, strict=True)))


def _choose(hits: Sequence[Value], values: Sequence[Value]) -> Value:
    """The value whose hit is high, of which at most one is; unspecified without any. Smaller than `_gather` for wide values."""
    index = [reduce(or_, (hit for i, hit in enumerate(hits) if i >> bit & 1)) for bit in range((len(hits) - 1).bit_length())]
    return Value.cast(Array(values)[Cat(index)])


def _delay(m: Module, value: Value, cycles: int, *, reset_less: bool = True) -> Value:
    for _ in range(cycles):
        later = Signal.like(value, reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value
