"""Two readers and two writers behind the arbiter: what the benches of the DMA drive."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.arbiter import ID_BITS, Arbiter
from cosoc.gateware.bus.axi import AXI4
from cosoc.gateware.bus.bursts import ErrorReport, Window
from cosoc.gateware.bus.reader import DMAReader
from cosoc.gateware.bus.width import WidthConverter
from cosoc.gateware.bus.writer import DMAWriter
from cosoc.gateware.peripheral.core import BEAT_BITS, ReadPort, WritePort

READERS = WRITERS = 2


class DMASystem(wiring.Component):
    """All ports that a core or a bench could see; `report` is that of the readers, then of the writers.

    Args:
        port_bits: width of the manager.
    """

    def __init__(self, port_bits=BEAT_BITS):
        self.port_bits = port_bits
        super().__init__(
            {
                "read": In(ReadPort()).array(READERS),
                "write": In(WritePort()).array(WRITERS),
                "window": In(Window()),
                "stop": In(1),
                "idle": Out(READERS + WRITERS),
                "report": Out(ErrorReport).array(READERS + WRITERS),
                "m_axi": Out(AXI4(data_bits=port_bits, id_bits=ID_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = Arbiter(readers=READERS, writers=WRITERS)
        if self.port_bits == BEAT_BITS:
            wiring.connect(m, arbiter.axi, wiring.flipped(self.m_axi))
        else:
            m.submodules.width = width = WidthConverter(port_bits=self.port_bits, readers=READERS)
            wiring.connect(m, arbiter.axi, width.wide)
            wiring.connect(m, width.narrow, wiring.flipped(self.m_axi))
        readers = [DMAReader() for _ in range(READERS)]
        writers = [DMAWriter() for _ in range(WRITERS)]
        m.submodules += [*readers, *writers]
        for index, (port, reader) in enumerate(zip(self.read, readers, strict=True)):
            wiring.connect(m, wiring.flipped(port), reader.core)
            wiring.connect(m, reader.ar, arbiter.ar[index])
            wiring.connect(m, reader.r, arbiter.r[index])
        for index, (port, writer) in enumerate(zip(self.write, writers, strict=True)):
            wiring.connect(m, wiring.flipped(port), writer.core)
            for name in ("aw", "w", "b"):
                wiring.connect(m, getattr(writer, name), getattr(arbiter, name)[index])
        for index, dma in enumerate([*readers, *writers]):
            wiring.connect(m, wiring.flipped(self.window), dma.window)
            m.d.comb += [dma.stop.eq(self.stop), self.idle[index].eq(dma.idle), self.report[index].eq(dma.error)]
        return m
