"""An AXI4 monitor for test benches, independent of the design and of cocotbext-axi: it judges one cycle at a time.

It checks what the specification asks of a manager, and what ours promises on top: INCR bursts of whole words, none across a 4 KB
boundary or longer than allowed, WLAST at the end of each burst, nothing withdrawn or changed before it is taken, and no more
bursts on the bus than allowed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from tests.gateware.harness import STALLS

_SIGNALS: Mapping[str, tuple[str, ...]] = {
    "aw": ("id", "addr", "len", "size", "burst"),
    "w": ("data", "strb", "last"),
    "b": ("id", "resp"),
    "ar": ("id", "addr", "len", "size", "burst"),
    "r": ("id", "data", "resp", "last"),
}
_INCR = 1


class ProtocolError(AssertionError):
    """The bus broke a rule; the message says which channel, and how."""


@dataclass
class AXIChecker:
    """The rules, on values alone.

    Args:
        word_bytes: width of the data.
        max_beats: longest burst that is allowed.
        max_outstanding: bursts of one direction on the bus at most.

    Attributes:
        beats_read, beats_written: beats that moved.
        bursts: (channel, address, beats) of every burst.
    """

    word_bytes: int = 16
    max_beats: int = 256
    max_outstanding: int = 256
    beats_read: int = 0
    beats_written: int = 0
    bursts: list[tuple[str, int, int]] = field(default_factory=list)
    _offered: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _reads: dict[int, deque[int]] = field(default_factory=dict)
    _unwritten: deque[int] = field(default_factory=deque)
    _unanswered: dict[int, int] = field(default_factory=dict)
    _early_data: int = 0
    _early_ends: deque[int] = field(default_factory=deque)

    def cycle(self, channel: str, valid: int, ready: int, payload: tuple[int, ...]) -> None:
        """One clock edge of one channel; `payload` in the order of the channel's signals: id, addr, len, size, burst and so on.

        Raises:
            ProtocolError: a rule is broken.
        """
        before = self._offered.pop(channel, None)
        if not valid:
            self._require(before is None, channel, "withdrew VALID before READY")
            return
        self._require(before is None or before == payload, channel, f"changed {before} to {payload} before READY")
        if not ready:
            self._offered[channel] = payload
            return
        getattr(self, f"_{channel}")(*payload)

    @property
    def quiet(self) -> bool:
        """Every burst has ended."""
        return not (self._unwritten or self._early_ends or any(self._reads.values()) or any(self._unanswered.values()))

    def _require(self, condition: bool, channel: str, problem: str) -> None:
        if not condition:
            raise ProtocolError(f"{channel.upper()}: {problem}")

    def _address(self, channel: str, address: int, length: int, size: int, burst: int) -> int:
        beats = length + 1
        self._require(burst == _INCR, channel, f"burst type {burst} is not INCR")
        self._require(1 << size == self.word_bytes, channel, f"size {size} is not that of a whole word")
        self._require(address % self.word_bytes == 0, channel, f"address {address:#x} is not that of a word")
        self._require(beats <= self.max_beats, channel, f"{beats} beats at {address:#x}; {self.max_beats} are allowed")
        last = address + beats * self.word_bytes - 1
        self._require(address // 4096 == last // 4096, channel, f"{beats} beats at {address:#x} cross a 4 KB boundary")
        self.bursts.append((channel, address, beats))
        return beats

    def _ar(self, identity: int, address: int, length: int, size: int, burst: int) -> None:
        self._reads.setdefault(identity, deque()).append(self._address("ar", address, length, size, burst))
        on_bus = sum(len(queue) for queue in self._reads.values())
        self._require(on_bus <= self.max_outstanding, "ar", f"{on_bus} bursts on the bus; {self.max_outstanding} are allowed")

    def _r(self, identity: int, _data: int, _response: int, last: int) -> None:
        queue = self._reads.get(identity)
        if not queue:
            raise ProtocolError(f"R: a beat with id {identity}, and no such burst is on the bus")
        queue[0] -= 1
        self.beats_read += 1
        self._require(last == (queue[0] == 0), "r", f"RLAST is {last} with {queue[0]} beats to go")
        if last:
            queue.popleft()

    def _aw(self, identity: int, address: int, length: int, size: int, burst: int) -> None:
        self._unwritten.append(self._address("aw", address, length, size, burst))
        self._unanswered[identity] = self._unanswered.get(identity, 0) + 1
        on_bus = sum(self._unanswered.values())
        self._require(on_bus <= self.max_outstanding, "aw", f"{on_bus} bursts on the bus; {self.max_outstanding} are allowed")
        self._match()

    def _w(self, _data: int, _strobe: int, last: int) -> None:
        self.beats_written += 1
        self._early_data += 1
        if last:
            self._early_ends.append(self._early_data)
            self._early_data = 0
        self._match()

    def _match(self) -> None:
        """Data may come before its address: lengths are compared when both are known."""
        while self._unwritten and self._early_ends:
            announced, sent = self._unwritten.popleft(), self._early_ends.popleft()
            self._require(announced == sent, "w", f"WLAST after {sent} beats of a burst of {announced}")
        if self._unwritten:
            self._require(self._early_data < self._unwritten[0], "w", f"no WLAST after {self._early_data} beats")

    def _b(self, identity: int, _response: int) -> None:
        self._require(self._unanswered.get(identity, 0) > 0, "b", f"a response with id {identity}, and no such burst is on the bus")
        self._unanswered[identity] -= 1


class AXIMonitor(AXIChecker):
    """Watches the ports `<prefix>_<signal>` of a design from now on; a broken rule fails the test."""

    def __init__(self, dut: Any, prefix: str, clock: Any, reset: Any, *, active: int, **limits: int) -> None:
        super().__init__(**limits)
        self._channels = {
            channel: [getattr(dut, f"{prefix}_{channel}{name}") for name in ("valid", "ready", *signals)]
            for channel, signals in _SIGNALS.items()
        }
        cocotb.start_soon(self._watch(clock, reset, active))

    async def _watch(self, clock: Any, reset: Any, active: int) -> None:
        while True:
            await RisingEdge(clock)
            if reset.value == active:
                continue
            # Answers before addresses: in one cycle, an address cannot be answered yet.
            for channel in ("b", "r", "aw", "w", "ar"):
                valid, ready, *payload = self._channels[channel]
                self._require(valid.value.is_resolvable, channel, f"VALID is {valid.value}")
                if valid.value == 1:
                    self._require(ready.value.is_resolvable, channel, f"READY is {ready.value}")
                    self.cycle(channel, 1, int(ready.value), tuple(_defined(item.value) for item in payload))
                else:
                    self.cycle(channel, 0, 0, ())


def _defined(value: Any) -> int:
    """Undefined bits, which data may have where no strobe is, count as zero."""
    return int(value if value.is_resolvable else value.resolve("zeros"))


def stall_channels(interfaces: Iterable[Any], stall: str, seed: int) -> None:
    """Stalls every channel of cocotbext-axi's interfaces by a profile of `STALLS`, each on its own."""
    for index, interface in enumerate(interfaces):
        for name in ("aw", "w", "b", "ar", "r"):
            channel = getattr(interface, f"{name}_channel", None)
            if channel is not None:
                rng = random.Random(f"{seed} {index} {name}")
                channel.set_pause_generator(not moves for moves in STALLS[stall](rng))
