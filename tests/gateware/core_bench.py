"""A bench around a bare core: it plays the peripheral, and checks that the core keeps its side of the contract.

The contract is that of `gateware/peripheral/core.py`. Memory is a bytearray that begins at address 0:

    @cocotb.test()
    @cocotb.parametrize(stall=list(STALLS))
    async def adds(dut, stall):
        memory = bytearray(4096)
        memory[0:64] = a.tobytes()
        memory[64:128] = b.tobytes()
        bench = CoreBench(dut, COMMAND, readers=2, writers=1, memory=memory, stall=stall, seed=cocotb.RANDOM_SEED)
        await bench.start()
        errors = await bench.run([{"opcode": ZIPOperation.ADD, "length": 8, "a_address": 0, "b_address": 64, "out_address": 128}])
        assert errors == [Error.NONE]
        assert memory[128:192] == expected.tobytes()
        assert bench.cycles <= 40

Reads see memory as it was when the transfer was requested and writes arrive when their `done` is given, so that a core which
reads what it has not finished writing gets the old bytes, as it may on a bus.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from cosoc.gateware.layout.command import CommandLayout
from cosoc.gateware.layout.page import COMMAND_WORDS
from cosoc.gateware.peripheral.core import BEAT_BYTES, SEQUENCE_BITS
from tests.gateware.harness import STALLS, StreamSink, StreamSource, little_endian, start

_SEQUENCES = 1 << SEQUENCE_BITS


@dataclass
class BenchTransfer:
    """A transfer that the core asked for.

    Attributes:
        command: count of the command that it belongs to.
        beats: beats that have not moved yet.
        data: bytes that a write brought.
    """

    address: int
    length: int
    command: int
    beats: int
    data: bytearray


class CoreBench:
    """Drives one core.

    Args:
        dut: cocotb handle of a component with `CoreSignature(readers=readers, writers=writers)`.
        layout: the core's commands.
        memory: what transfers read and write; the bench changes it in place.
        stall: a name of `STALLS`, for every stream.
        seed: makes stalls and unspecified bytes reproducible.
        late_errors: a command may still end with an error of the core's own after it has asked for transfers.

    Attributes:
        cycles: clock cycles of the latest `run`, from the first command taken to the last completion.
        beats_read, beats_written: beats of 16 bytes that the core moved.
    """

    def __init__(
        self,
        dut: Any,
        layout: CommandLayout,
        *,
        readers: int,
        writers: int,
        memory: bytearray,
        stall: str = "never",
        seed: int = 0,
        late_errors: bool = False,
    ) -> None:
        self.clock = dut.clk
        self._late_errors = late_errors
        self.cycles = 0
        self.beats_read = 0
        self.beats_written = 0
        self._dut = dut
        self._layout = layout
        self._memory = memory
        self._rng = random.Random(f"{seed} bench")
        self._sent = 0
        self._errors: list[int] = []
        self._open: list[BenchTransfer] = []
        self._transfers_of: dict[int, int] = {}
        common: dict[str, Any] = {"stall": stall, "seed": seed}
        self._command = StreamSource(dut, "command", dut.clk, **common)
        StreamSink(dut, "completion", dut.clk, on_beat=self._complete, **common)
        self._readers = [_Reader(self, dut, f"read__{i}", common) for i in range(readers)]
        self._writers = [_Writer(self, dut, f"write__{i}", common) for i in range(writers)]

    async def start(self) -> None:
        """Starts the clock and resets the core."""
        await start(self._dut)

    async def run(self, commands: Sequence[Mapping[str, int]], *, cycles: int = 100_000) -> list[int]:
        """Runs commands, several at once when the core takes them, and returns their error codes in order.

        Args:
            commands: values of the layout's fields; those that are not named are zero.
            cycles: limit; above it the core is taken to hang.
        """
        first = self._sent
        waiting = deque(little_endian(self._layout.encode(values), 4) for values in commands)
        began: int | None = None
        for now in range(cycles):
            if waiting and self._command.idle and self._sent - len(self._errors) < _SEQUENCES - 1:
                words = int.from_bytes(waiting.popleft(), "little")
                self._command.send(words | self._sent % _SEQUENCES << 32 * COMMAND_WORDS)
                self._sent += 1
            if began is None and self._command.taken > first:
                began = now
            if len(self._errors) == first + len(commands):
                self.cycles = now - (began or 0)
                await self._check_silence()
                return self._errors[first:]
            await FallingEdge(self.clock)
        raise AssertionError(
            f"{len(self._errors) - first} of {len(commands)} commands completed within {cycles} cycles; transfers: {self._open}"
        )

    def begin(self, payload: int, kind: str) -> BenchTransfer:
        """A transfer that a port asked for, checked."""
        address, length = payload & (1 << 64) - 1, payload >> 64 & (1 << 32) - 1
        sequence = payload >> 96
        running = [count for count in range(len(self._errors), self._sent) if count % _SEQUENCES == sequence]
        assert running, f"{kind} with sequence {sequence}, and no such command is running"
        assert address % BEAT_BYTES == 0, f"{kind} at {address:#x}, which is not a multiple of 16"
        assert length >= 1, f"{kind} of no bytes at {address:#x}"
        assert address + length <= len(self._memory), f"{kind} of {length} bytes at {address:#x} leaves the memory"
        transfer = BenchTransfer(address, length, running[0], -(-length // BEAT_BYTES), bytearray())
        self._transfers_of[running[0]] = self._transfers_of.get(running[0], 0) + 1
        self._open.append(transfer)
        return transfer

    def end(self, transfer: BenchTransfer) -> None:
        """All data of a transfer has moved; of a write, into memory."""
        self._open.remove(transfer)

    def fetch(self, transfer: BenchTransfer) -> list[int]:
        """The beats of a read; bytes above its length are random."""
        data = bytes(self._memory[transfer.address : transfer.address + transfer.length])
        data += self._rng.randbytes(-len(data) % BEAT_BYTES)
        return [int.from_bytes(data[i : i + BEAT_BYTES], "little") for i in range(0, len(data), BEAT_BYTES)]

    def store(self, transfer: BenchTransfer) -> None:
        """Writes the bytes of a write; those above its length stay as they are."""
        self._memory[transfer.address : transfer.address + transfer.length] = transfer.data[: transfer.length]

    def _complete(self, error: int) -> None:
        count = len(self._errors)
        assert count < self._command.taken, "a completion without a command"
        unfinished = [transfer for transfer in self._open if transfer.command == count]
        assert not unfinished, f"command {count} completed with unfinished transfers: {unfinished}"
        transfers = 0 if self._late_errors else self._transfers_of.get(count, 0)
        assert error == 0 or transfers == 0, f"command {count} completed with error {error} after {transfers} transfers"
        self._errors.append(error)

    async def _check_silence(self) -> None:
        """After the last completion a core says nothing more."""
        offers = [port.request for port in (*self._readers, *self._writers)] + [port.data for port in self._writers]
        for _ in range(8):
            await FallingEdge(self.clock)
            for stream in offers:
                assert stream.valid.value == 0, f"{stream.name} offers something after the last completion"


class _Reader:
    """Serves one read port."""

    def __init__(self, bench: CoreBench, dut: Any, name: str, common: Mapping[str, Any]) -> None:
        self._bench = bench
        self._waiting: deque[BenchTransfer] = deque()
        self.request = StreamSink(dut, f"{name}__request", dut.clk, on_beat=self._begin, **common)
        self._data = StreamSource(dut, f"{name}__data", dut.clk, on_taken=self._delivered, **common)

    def _begin(self, payload: int) -> None:
        transfer = self._bench.begin(payload, "a read")
        self._waiting.append(transfer)
        self._data.send(*self._bench.fetch(transfer))

    def _delivered(self) -> None:
        transfer = self._waiting[0]
        transfer.beats -= 1
        self._bench.beats_read += 1
        if transfer.beats == 0:
            self._bench.end(self._waiting.popleft())


class _Writer:
    """Serves one write port."""

    def __init__(self, bench: CoreBench, dut: Any, name: str, common: Mapping[str, Any]) -> None:
        self._bench = bench
        self._clock = dut.clk
        self._filling: deque[BenchTransfer] = deque()
        self._full: deque[BenchTransfer] = deque()
        self._done = getattr(dut, f"{name}__done__valid")
        self._done.value = 0
        self._flow = STALLS[common["stall"]](random.Random(f"{common['seed']} {name} done"))
        self.request = StreamSink(dut, f"{name}__request", dut.clk, on_beat=self._begin, **common)
        self.data = StreamSink(dut, f"{name}__data", dut.clk, on_beat=self._fill, may_take=lambda: bool(self._filling), **common)
        cocotb.start_soon(self._finish())

    def _begin(self, payload: int) -> None:
        self._filling.append(self._bench.begin(payload, "a write"))

    def _fill(self, beat: int) -> None:
        transfer = self._filling[0]
        transfer.data += beat.to_bytes(BEAT_BYTES, "little")
        transfer.beats -= 1
        self._bench.beats_written += 1
        if transfer.beats == 0:
            self._full.append(self._filling.popleft())

    async def _finish(self) -> None:
        """One `done` at a time, in order."""
        while True:
            await FallingEdge(self._clock)
            self._done.value = 0
            if self._full and next(self._flow):
                transfer = self._full.popleft()
                self._bench.store(transfer)
                self._bench.end(transfer)
                self._done.value = 1
