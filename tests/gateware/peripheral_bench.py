"""A bench around a whole peripheral: memory and registers from cocotbext-axi, and what a driver does with them.

bench = PeripheralBench(dut, COMMAND, stall="random", seed=cocotb.RANDOM_SEED)
await bench.start()
await bench.set_up_ring(base=0x1000, slots_log2=2)
bench.memory.data[0x8000:0x8010] = ...
completions = await bench.run([{"opcode": 0, "length": 16, "in_address": 0x8000, "out_address": 0x9000}])
assert [completion["error"] for completion in completions] == [Error.NONE]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from cosoc.gateware.layout.command import COMPLETION, CommandLayout
from cosoc.gateware.layout.page import COMMAND_WORDS, PAGE, SLOT_BYTES
from tests.gateware.axi_monitor import AXIMonitor, stall_channels
from tests.gateware.harness import CLOCK_NS, little_endian

RUN, RESET, INTERRUPT_ENABLE = 1, 2, 4


class Memory:
    """What a cocotbext-axi subordinate reads and writes.

    Attributes:
        data: the content, from address 0.
        bad: addresses of words that answer with an error.
        writes: addresses of all writes, in order.
    """

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.bad: set[int] = set()
        self.writes: list[int] = []

    async def read(self, address: int, length: int) -> bytes:
        """Raises when the access must fail."""
        self._check(address, length)
        return bytes(self.data[address : address + length])

    async def write(self, address: int, data: bytes) -> None:
        """Raises when the access must fail."""
        self._check(address, len(data))
        self.writes.append(address)
        self.data[address : address + len(data)] = data

    def _check(self, address: int, length: int) -> None:
        if address + length > len(self.data) or address & ~15 in self.bad:
            raise ValueError(f"bus error at {address:#x}")


class PeripheralBench:
    """Drives one peripheral.

    Args:
        dut: cocotb handle of `peripheral_verilog`'s module.
        layout: the accelerator's commands.
        memory_bytes: size of the memory, which begins at address 0.
        stall: a name of `STALLS`, for every channel of both buses.
        seed: makes stalls reproducible.
    """

    def __init__(
        self, dut: Any, layout: CommandLayout, *, memory_bytes: int = 1 << 18, stall: str = "never", seed: int = 0
    ) -> None:
        self.dut = dut
        self.clock = dut.aclk
        self.memory = Memory(memory_bytes)
        self._layout = layout
        self._submitted = 0
        self._base = 0
        self._slots = 1
        dut.aresetn.value = 0
        bus = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self._registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), **bus)
        self._quietly((self._registers.write_if, self._registers.read_if), stall, seed)
        self.monitor = self.attach("m_axi", self.memory, stall, seed + 2)

    def attach(self, manager: str, memory: Memory, stall: str, seed: int) -> AXIMonitor:
        """Puts a memory behind a manager; returns what watches its bus. `m_axi` has its memory from the beginning."""
        dut = self.dut
        bus = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        ram = AxiSlave(AxiBus.from_prefix(dut, manager), target=memory, **bus)
        self._quietly((ram.write_if, ram.read_if), stall, seed)
        word_bytes = len(getattr(dut, f"{manager}_wdata")) // 8
        return AXIMonitor(dut, manager, dut.aclk, dut.aresetn, active=0, word_bytes=word_bytes)

    @staticmethod
    def _quietly(interfaces: tuple[Any, ...], stall: str, seed: int) -> None:
        stall_channels(interfaces, stall, seed)
        for interface in interfaces:
            interface.log.setLevel("ERROR")

    async def start(self) -> None:
        """Starts the clock and resets everything."""
        Clock(self.clock, CLOCK_NS, "ns").start()
        await self.wait(3)
        self.dut.aresetn.value = 1
        await self.wait(2)

    async def wait(self, cycles: int) -> None:
        """Lets time pass."""
        for _ in range(cycles):
            await FallingEdge(self.clock)

    async def read(self, name: str) -> int:
        """A register, by name."""
        answer = await with_timeout(self._registers.read(PAGE[name].offset, 4), 2000 * CLOCK_NS, "ns")
        return int.from_bytes(answer.data, "little")

    async def read64(self, name: str) -> int:
        """A pair of registers."""
        return await self.read(f"{name}_lo") | await self.read(f"{name}_hi") << 32

    async def write(self, name: str, value: int) -> None:
        """A register, by name."""
        await with_timeout(self._registers.write(PAGE[name].offset, value.to_bytes(4, "little")), 2000 * CLOCK_NS, "ns")

    async def write64(self, name: str, value: int) -> None:
        """A pair of registers."""
        await self.write(f"{name}_lo", value & 0xFFFFFFFF)
        await self.write(f"{name}_hi", value >> 32)

    async def set_up_ring(self, *, base: int, slots_log2: int, control: int = RUN | INTERRUPT_ENABLE) -> None:
        """Tells the peripheral where the ring is, and starts it."""
        self._base, self._slots, self._submitted = base, 1 << slots_log2, 0
        await self.write64("ring_base", base)
        await self.write("ring_log2", slots_log2)
        await self.write("control", control)

    def slot(self, count: int) -> int:
        """Address of the slot of a command."""
        return self._base + count % self._slots * SLOT_BYTES

    def place(self, commands: Sequence[Mapping[str, int]]) -> None:
        """Writes commands into the next slots and clears their completions, without a doorbell."""
        for values in commands:
            slot = self.slot(self._submitted)
            self.memory.data[slot : slot + SLOT_BYTES] = little_endian(self._layout.encode(values), 4).ljust(SLOT_BYTES, b"\0")
            self._submitted += 1

    async def ring(self) -> None:
        """The doorbell for everything that was placed."""
        await self.write("ring_tail", self._submitted & 0xFFFFFFFF)

    def completion(self, count: int) -> dict[str, int]:
        """The completion in the slot of a command."""
        slot = self.slot(count) + 4 * COMMAND_WORDS
        words = int.from_bytes(self.memory.data[slot : slot + 16], "little")
        return {item.name: words >> item.bit & ((1 << item.width) - 1) for item in COMPLETION}

    async def wait_completed(self, count: int, *, cycles: int = 50_000) -> None:
        """Waits until so many commands are done, which the completions in memory tell; then HEAD tells the same."""
        for _ in range(cycles):
            if self.completion(count - 1)["done"]:
                break
            await FallingEdge(self.clock)
        else:
            raise AssertionError(f"command {count - 1} is not done within {cycles} cycles")
        for _ in range(50):
            if await self.read("ring_head") == count:
                return
        raise AssertionError(f"{count} commands are done and HEAD is {await self.read('ring_head')}")

    async def run(self, commands: Sequence[Mapping[str, int]], *, cycles: int = 50_000) -> list[dict[str, int]]:
        """Submits commands that fit the ring at once, waits for all, and returns their completions."""
        first = self._submitted
        self.place(commands)
        await self.ring()
        await self.wait_completed(self._submitted, cycles=cycles)
        return [self.completion(count) for count in range(first, self._submitted)]

    async def soft_reset(self) -> None:
        """Resets as a driver does, and waits until it is done."""
        await self.write("control", RESET)
        self._submitted = 0
        for _ in range(500):
            if await self.read("control") & RESET == 0:
                return
        raise AssertionError("the soft reset does not end")


def seed() -> int:
    """The seed of this run."""
    return int(cocotb.RANDOM_SEED)
