"""The ZIP core: element-wise operations on vectors in memory, as streams, no bus."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring

from cosoc.gateware.peripheral.core import CoreSignature
from cosoc.gateware.zip.commands import OPERANDS, CommandUnit
from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.engine import ZIPEngine


class ZIPCore(wiring.Component):
    """`out[i] = a[i] op b[i]`, or of `a`, `b` and `c`, over vectors of any length, complex or real.

    ::

        command --> CommandUnit --> requests of all ports
                       | jobs
                       v
        a, b, c --> ZIPEngine --> out     for each memory port

    What each operation computes, in which format and order: docs/zip.md; bit-exact model: `golden.py`; durations: `cycles.py`;
    resources: `resources.py`.

    The second operand is as long as the first, or shorter and repeats, or a constant of the command.

    Commands overlap: transfers of the next ones are requested while earlier ones execute, and their data follows without a gap.
    With two memory ports, each has an engine, which takes every second command. `MemoryGuard` keeps commands from overtaking each
    other. `out` may be any operand; an `out` that begins inside an operand may overwrite elements before they are read, and these
    results are unspecified.

    Errors, each without any transfer, the lowest code if there are several: `BAD_OPCODE`; `BAD_LENGTH` for no elements or more
    than 2^29 - 1, or a repeated vector that is longer than `a` or than 8,192 bytes; `MISALIGNED` for an address in use that is not
    a multiple of 16; `BAD_PARAMETER` for a repeated vector of more than one element that does not fill slots of 8 bytes.

    Members: `CoreSignature` with read ports for `a`, `b` and `c` and a write port for each engine.
    """

    def __init__(self, config: ZIPConfig) -> None:
        self.config = config
        engines = config.memory_ports
        super().__init__(
            CoreSignature(
                readers=OPERANDS * engines,
                writers=engines,
                reader_managers=[index // OPERANDS for index in range(OPERANDS * engines)],
                writer_managers=list(range(engines)),
            )
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        engines = config.memory_ports
        m.submodules.commands = commands = CommandUnit(engines=engines, number_format=config.format)
        wiring.connect(m, wiring.flipped(self.command), commands.command)
        wiring.connect(m, commands.completion, wiring.flipped(self.completion))
        for index in range(engines):
            engine = ZIPEngine(lanes=config.lanes // engines, number_format=config.format)
            m.submodules[f"engine{index}"] = engine
            wiring.connect(m, commands.job[index], engine.job)
            reads = self.read[OPERANDS * index : OPERANDS * (index + 1)]
            write = self.write[index]
            for port, request in zip((*reads, write), commands.request[index], strict=True):
                wiring.connect(m, request, wiring.flipped(port.request))
            for port, operand in zip(reads, (engine.a, engine.b, engine.c), strict=True):
                wiring.connect(m, wiring.flipped(port.data), operand)
            wiring.connect(m, engine.out, wiring.flipped(write.data))
        m.d.comb += commands.written.eq(Cat(port.done.valid for port in self.write))
        return m
