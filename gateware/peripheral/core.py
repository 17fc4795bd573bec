"""The seam between a core and what wraps it: streams of commands, transfers and data; no bus.

A core takes commands, asks for transfers and ends each command with a completion, in order. It may take a command while
earlier ones are still executing.

Reads: the core sends a `Transfer`; the data follows on the same port's `data`, one 128-bit beat per 16 bytes, in order of
the requests. Bytes of the last beat above the length are unspecified.

Writes: the core sends a `Transfer`, then its data; the bytes of the last beat above the length are not written. One token on
`done` follows for each transfer, in order, when memory has accepted all of it. A core completes a command only when all its
writes are done.

A core checks its command and completes it with an error code without any transfer when something is not possible; what it can
only find later, in what it reads, ends the command likewise, after all transfers that were asked for. Errors of
transfers are the peripheral's: it supplies zeros for a failed read, swallows a failed write, and puts the code into the
completion of the command whose `sequence` the transfer carries.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.layout.page import COMMAND_WORDS
from cosoc.gateware.ports import MANAGERS

BEAT_BITS = 128
BEAT_BYTES = BEAT_BITS // 8
SEQUENCE_BITS = 4
"""Commands in execution are told apart by the low bits of their count; a core holds fewer than 16."""

Transfer = data.StructLayout({"address": 64, "length": 32, "sequence": SEQUENCE_BITS})
"""`length` bytes, at least 1, from `address`, a multiple of 16; `sequence` is that of the command."""

CoreCommand = data.StructLayout({"words": 32 * COMMAND_WORDS, "sequence": SEQUENCE_BITS})
"""`words` viewed through the accelerator's `CommandLayout.struct()`."""

Completion = data.StructLayout({"error": 8})


class ReadPort(wiring.Signature):
    """A core's side of a DMA reader."""

    def __init__(self) -> None:
        super().__init__({"request": Out(stream.Signature(Transfer)), "data": In(stream.Signature(BEAT_BITS))})


class WritePort(wiring.Signature):
    """A core's side of a DMA writer."""

    def __init__(self) -> None:
        super().__init__(
            {
                "request": Out(stream.Signature(Transfer)),
                "data": Out(stream.Signature(BEAT_BITS)),
                "done": In(stream.Signature(1, always_ready=True)),
            }
        )


class CoreSignature(wiring.Signature):
    """Every core: commands in, completions out, and its DMA ports.

    Args:
        readers: number of read ports, `read[0]` and so on.
        writers: number of write ports.
        reader_managers: the AXI4 manager that carries each read port, 0 or 1; 0 for all when absent.
        writer_managers: likewise of each write port.

    Attributes:
        managers: how many there are. Manager 1 has at least one port of each kind, or none at all.

    Raises:
        ValueError: managers that are not there, or not one for each port.
    """

    def __init__(
        self,
        *,
        readers: int,
        writers: int,
        reader_managers: Sequence[int] | None = None,
        writer_managers: Sequence[int] | None = None,
    ) -> None:
        self.readers = readers
        self.writers = writers
        self.reader_managers = _managers("read", readers, reader_managers)
        self.writer_managers = _managers("write", writers, writer_managers)
        self.managers = 1 + max((0, *self.reader_managers, *self.writer_managers))
        if self.managers > 1 and not (1 in self.reader_managers and 1 in self.writer_managers):
            raise ValueError("manager 1 needs a read port and a write port, or neither")
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "completion": Out(stream.Signature(Completion)),
                "read": Out(ReadPort()).array(readers),
                "write": Out(WritePort()).array(writers),
            }
        )


def _managers(kind: str, ports: int, managers: Sequence[int] | None) -> tuple[int, ...]:
    """The manager of each port, checked."""
    if managers is None:
        return (0,) * ports
    if len(managers) != ports or not set(managers) <= set(range(MANAGERS)):
        raise ValueError(f"managers {list(managers)} of {ports} {kind} ports; expected one of 0..{MANAGERS - 1} for each port")
    return tuple(managers)
