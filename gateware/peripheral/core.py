"""The seam between a core and what wraps it: streams of commands, transfers and data; no bus.

A core takes commands, asks for transfers and ends each command with a completion, in order. It may take a command while
earlier ones are still executing.

Reads: the core sends a `Transfer`; the data follows on the same port's `data`, one 128-bit beat per 16 bytes, in order of
the requests. Bytes of the last beat above the length are unspecified.

Writes: the core sends a `Transfer`, then its data; the bytes of the last beat above the length are not written. One token on
`done` follows for each transfer, in order, when memory has accepted all of it. A core completes a command only when all its
writes are done.

A core checks its command and completes it with an error code without any transfer when something is not possible. Errors of
transfers are the peripheral's: it supplies zeros for a failed read, swallows a failed write, and puts the code into the
completion of the command whose `sequence` the transfer carries.
"""

from __future__ import annotations

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.layout.page import COMMAND_WORDS

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
    """

    def __init__(self, *, readers: int, writers: int) -> None:
        self.readers = readers
        self.writers = writers
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "completion": Out(stream.Signature(Completion)),
                "read": Out(ReadPort()).array(readers),
                "write": Out(WritePort()).array(writers),
            }
        )
