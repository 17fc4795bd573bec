"""From transfers to bursts: what the DMA reader and writer have in common."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.bus.axi import BOUNDARY_BYTES
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS, Transfer

_BEAT_LOG2 = BEAT_BYTES.bit_length() - 1
_BOUNDARY_BEATS = BOUNDARY_BYTES // BEAT_BYTES
BURST_BITS = _BOUNDARY_BEATS.bit_length()

BurstCommand = data.StructLayout(
    {
        "address": 64,
        "beats": BURST_BITS,
        "tail": _BEAT_LOG2,
        "last": 1,
        "sequence": SEQUENCE_BITS,
        "error": 8,
    }
)
"""A burst of `beats` beats; when it is the `last` of its transfer, `tail` bytes of its last beat count (0: all). With an `error` it
must not go to the bus."""

BurstAddress = data.StructLayout({"address": 64, "beats": BURST_BITS})
"""What an address channel carries."""

ErrorReport = data.StructLayout({"valid": 1, "sequence": SEQUENCE_BITS, "error": 8})
"""`valid` for one cycle: `error` happened to a transfer of the command `sequence`."""


class Window(wiring.Signature):
    """The addresses that transfers may touch, and the length of bursts; constant while a transfer is under way."""

    def __init__(self) -> None:
        super().__init__({"base": Out(64), "limit": Out(64), "burst_beats": Out(BURST_BITS)})


_Checked = data.StructLayout(
    {"address": 64, "last_address": 65, "beats": 29, "tail": _BEAT_LOG2, "sequence": SEQUENCE_BITS, "error": 8}
)


class BurstSplitter(wiring.Component):
    """Checks transfers and cuts them into INCR bursts that no 4 KB boundary crosses.

    A transfer outside the window or misaligned gives bursts with its error code, which cover the same number of beats. Short
    transfers pass at one per cycle; the latency is 3 cycles.

    Members:
        transfer: what a core asks for.
        window: allowed addresses, and the longest burst.
        burst: the bursts in order. A burst of 0 beats never appears, because a transfer has at least one byte.
    """

    def __init__(self) -> None:
        super().__init__(
            {"transfer": In(stream.Signature(Transfer)), "window": In(Window()), "burst": Out(stream.Signature(BurstCommand))}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        measured = self._measure(m)
        checked = self._check(m, measured)
        self._split(m, checked)
        return m

    def _measure(self, m: Module) -> Any:
        """First stage: the last address and the number of beats."""
        given = self.transfer.payload
        measured = stream.Signature(_Checked).create(path=("measured",))
        m.d.comb += self.transfer.ready.eq(~measured.valid | measured.ready)
        with m.If(self.transfer.ready):
            m.d.sync += [
                measured.valid.eq(self.transfer.valid),
                measured.payload.address.eq(given.address),
                measured.payload.last_address.eq(given.address + given.length - 1),
                measured.payload.beats.eq((given.length + BEAT_BYTES - 1) >> _BEAT_LOG2),
                measured.payload.tail.eq(given.length),
                measured.payload.sequence.eq(given.sequence),
                measured.payload.error.eq(Mux(given.address[:_BEAT_LOG2] == 0, Error.NONE, Error.MISALIGNED)),
            ]
        return measured

    def _check(self, m: Module, measured: Any) -> Any:
        """Second stage: the window."""
        checked = stream.Signature(_Checked).create(path=("checked",))
        inside = (measured.payload.address >= self.window.base) & (measured.payload.last_address <= self.window.limit)
        m.d.comb += measured.ready.eq(~checked.valid | checked.ready)
        with m.If(measured.ready):
            m.d.sync += [checked.valid.eq(measured.valid), checked.payload.eq(measured.payload)]
            with m.If((measured.payload.error == Error.NONE) & ~inside):
                m.d.sync += checked.payload.error.eq(Error.OUTSIDE_WINDOW)
        return checked

    def _split(self, m: Module, checked: Any) -> None:
        """Third stage: holds what is left of a transfer and offers its next burst."""
        left = Signal(_Checked)
        active = Signal()
        to_boundary = Signal(BURST_BITS)
        longest = Signal(BURST_BITS)
        limit = Signal(BURST_BITS)
        last = Signal()
        burst = self.burst.payload
        in_page = left.address[_BEAT_LOG2 : (BOUNDARY_BYTES - 1).bit_length()]
        m.d.comb += [
            to_boundary.eq(_BOUNDARY_BEATS - in_page),
            # A length of 0, which software should not set, is taken as 1.
            longest.eq(Mux(self.window.burst_beats == 0, 1, self.window.burst_beats)),
            limit.eq(Mux(to_boundary < longest, to_boundary, longest)),
            last.eq(left.beats <= limit),
            burst.address.eq(left.address),
            burst.beats.eq(Mux(last, left.beats, limit)),
            burst.tail.eq(left.tail),
            burst.last.eq(last),
            burst.sequence.eq(left.sequence),
            burst.error.eq(left.error),
            self.burst.valid.eq(active),
            checked.ready.eq(~active | (self.burst.ready & last)),
        ]
        with m.If(checked.ready):
            m.d.sync += [active.eq(checked.valid), left.eq(checked.payload)]
        with m.Elif(self.burst.ready):
            m.d.sync += [
                left.beats.eq(left.beats - limit),
                left.address.eq(left.address + (limit << _BEAT_LOG2)),
            ]
