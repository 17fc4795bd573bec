"""Several DMA readers and writers share one AXI4 manager."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.axi import AXI4, CACHE_NORMAL, PROT_DATA, Burst
from cosoc.gateware.bus.bursts import BurstAddress
from cosoc.gateware.bus.reader import QUEUED_BURSTS, ReadBeat
from cosoc.gateware.bus.writer import WriteBeat, WriteResponse
from cosoc.gateware.peripheral.core import BEAT_BYTES

ID_BITS = 4


class Arbiter(wiring.Component):
    """Round robin among the addresses of readers, and among those of writers; ARID and AWID are the index of who asked.

    A reader takes every beat at once and a writer has all data of a burst that it offers, so nobody can block the bus.

    Args:
        readers, writers: how many there are, 1..16 each.

    Members:
        ar, r: of each reader.
        aw, w, b: of each writer; the data follows in the order in which the addresses were taken.
        axi: the manager.
    """

    def __init__(self, *, readers: int, writers: int) -> None:
        for name, count in (("readers", readers), ("writers", writers)):
            if not 1 <= count <= 1 << ID_BITS:
                raise ValueError(f"an arbiter with {count} {name} is not possible; allowed: 1..{1 << ID_BITS}")
        self._readers = readers
        self._writers = writers
        super().__init__(
            {
                "ar": In(stream.Signature(BurstAddress)).array(readers),
                "r": Out(stream.Signature(ReadBeat, always_ready=True)).array(readers),
                "aw": In(stream.Signature(BurstAddress)).array(writers),
                "w": In(stream.Signature(WriteBeat)).array(writers),
                "b": Out(stream.Signature(WriteResponse)).array(writers),
                "axi": Out(AXI4(id_bits=ID_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.order = order = fifo.SyncFIFOBuffered(width=ID_BITS, depth=QUEUED_BURSTS)
        self._address(m, "ar", self.ar, room=1)
        taken, index = self._address(m, "aw", self.aw, room=order.w_rdy)
        m.d.comb += [order.w_en.eq(taken), order.w_data.eq(index)]
        self._write_data(m, order)
        self._responses(m)
        return m

    def _address(self, m: Module, prefix: str, ports: Any, *, room: Any) -> tuple[Any, Any]:
        """One address channel, registered. Returns whether an address is taken in this cycle, and whose."""
        channel = {name: getattr(self.axi, prefix + name) for name in ("id", "addr", "len", "valid", "ready")}
        constants = {"size": BEAT_BYTES.bit_length() - 1, "burst": Burst.INCR, "cache": CACHE_NORMAL, "prot": PROT_DATA}
        m.d.comb += [getattr(self.axi, prefix + name).eq(value) for name, value in constants.items()]
        take = Signal(name=f"{prefix}_take")
        free = Signal(name=f"{prefix}_free")
        wants = Signal(len(ports), name=f"{prefix}_wants")
        grant = _round_robin(m, wants, take, name=prefix)
        m.d.comb += [
            wants.eq(Cat(port.valid for port in ports)),
            free.eq((~channel["valid"] | channel["ready"]) & room),
            take.eq(free & wants.any()),
        ]
        with m.If(channel["ready"]):
            m.d.sync += channel["valid"].eq(0)
        with m.If(take):
            m.d.sync += [channel["valid"].eq(1), channel["id"].eq(grant)]
        for index, port in enumerate(ports):
            with m.If(grant == index):
                m.d.comb += port.ready.eq(free)
                with m.If(take):
                    m.d.sync += [channel["addr"].eq(port.payload.address), channel["len"].eq(port.payload.beats - 1)]
        return take, grant

    def _write_data(self, m: Module, order: Any) -> None:
        """The beats of the burst whose turn it is, registered."""
        free = Signal()
        m.d.comb += free.eq(~self.axi.wvalid | self.axi.wready)
        with m.If(free):
            m.d.sync += self.axi.wvalid.eq(0)
        for index, port in enumerate(self.w):
            with m.If(order.r_rdy & (order.r_data == index)):
                m.d.comb += [port.ready.eq(free), order.r_en.eq(free & port.valid & port.payload.last)]
                with m.If(free):
                    m.d.sync += [
                        self.axi.wvalid.eq(port.valid),
                        self.axi.wdata.eq(port.payload.data),
                        self.axi.wstrb.eq(port.payload.strobe),
                        self.axi.wlast.eq(port.payload.last),
                    ]

    def _responses(self, m: Module) -> None:
        """Beats and responses go to whom their ID names."""
        m.d.comb += self.axi.rready.eq(1)
        for index, beat in enumerate(self.r):
            m.d.comb += [
                beat.valid.eq(self.axi.rvalid & (self.axi.rid == index)),
                beat.payload.data.eq(self.axi.rdata),
                beat.payload.error.eq(self.axi.rresp[1]),
            ]
        # Held for a cycle, so that BREADY does not depend on BID, which may be anything while BVALID is low.
        held, identity, failed, taken = Signal(), Signal(ID_BITS), Signal(), Signal()
        m.d.comb += self.axi.bready.eq(~held | taken)
        with m.If(self.axi.bready):
            m.d.sync += held.eq(self.axi.bvalid)
            with m.If(self.axi.bvalid):
                m.d.sync += [identity.eq(self.axi.bid), failed.eq(self.axi.bresp[1])]
        for index, response in enumerate(self.b):
            m.d.comb += [response.valid.eq(held & (identity == index)), response.payload.error.eq(failed)]
            with m.If(identity == index):
                m.d.comb += taken.eq(response.ready)


def _round_robin(m: Module, wants: Signal, take: Signal, *, name: str) -> Signal:
    """Index of the next set bit of `wants` after the one that was taken last."""
    count = len(wants)
    last = Signal(ID_BITS, name=f"{name}_last")
    grant = Signal(ID_BITS, name=f"{name}_grant")
    with m.Switch(last):
        for index in range(count):
            with m.Case(index):
                # The nearest successor is assigned last, and so wins.
                for distance in range(count, 0, -1):
                    with m.If(wants[(index + distance) % count]):
                        m.d.comb += grant.eq((index + distance) % count)
    with m.If(take):
        m.d.sync += last.eq(grant)
    return grant
