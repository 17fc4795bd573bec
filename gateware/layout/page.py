"""The first page of registers, the same in every accelerator, and what software may rely on.

Commands lie in a ring of 128-byte slots in memory. Software writes commands into slots, then the count of all commands ever
submitted to `RING_TAIL`; the accelerator executes them in order, writes a completion into the last 16 bytes of each slot, and
counts the finished ones in `RING_HEAD`. Both counts run freely modulo 2^32; slot = count modulo the ring's size.
"""

from __future__ import annotations

from enum import IntEnum

from cosoc.gateware.layout.registers import Access, Register, RegisterField, RegisterMap

ID_PREFIX = 0x434F5300
"""`COS` in the upper bytes of the ID register; the kind of the accelerator below."""

VERSION = 0x0001_0000
"""Major and minor version of the common page."""

CAPABILITIES = 16
"""Capability registers; each accelerator names its own."""

SLOT_BYTES = 128
COMMAND_WORDS = 28
"""32-bit words of a slot that software writes; the other four hold the completion."""

MAX_RING_LOG2 = 10


class Error(IntEnum):
    """Why a command failed: byte 0 of its completion, and the ERROR_CODE register."""

    NONE = 0
    BAD_OPCODE = 1
    BAD_LENGTH = 2
    MISALIGNED = 3
    OUTSIDE_WINDOW = 4
    READ_RESPONSE = 5
    WRITE_RESPONSE = 6
    BAD_PARAMETER = 7


ERROR_DOC = {
    Error.NONE: "the command succeeded",
    Error.BAD_OPCODE: "the accelerator does not know the opcode",
    Error.BAD_LENGTH: "a length or size is zero or above what this accelerator can do",
    Error.MISALIGNED: "an address is not a multiple of 16 bytes",
    Error.OUTSIDE_WINDOW: "a transfer would leave the address window",
    Error.READ_RESPONSE: "memory answered a read with an error",
    Error.WRITE_RESPONSE: "memory answered a write with an error",
    Error.BAD_PARAMETER: "another field of the command is not possible here",
}


def _pair(name: str, offset: int, access: Access, doc: str, reset: int = 0) -> tuple[Register, Register]:
    """A 64-bit quantity as two registers."""
    return (
        Register(f"{name}_lo", offset, access, f"{doc}, bits 31..0", reset=reset & 0xFFFFFFFF),
        Register(f"{name}_hi", offset + 4, access, f"{doc}, bits 63..32", reset=reset >> 32),
    )


_RO, _RW, _W1C = Access.READ_ONLY, Access.READ_WRITE, Access.WRITE_ONE_TO_CLEAR

PAGE = RegisterMap(
    (
        Register("id", 0x000, _RO, "0x434F53 (`COS`) and the kind of the accelerator in bits 7..0"),
        Register("version", 0x004, _RO, "version of this page: major in 31..16, minor in 15..0"),
        Register("layout_hash", 0x008, _RO, "identifies registers and commands; software built for another is refused"),
        Register("config_hash", 0x00C, _RO, "identifies the parameters of this accelerator"),
        *(Register(f"capability{i}", 0x010 + 4 * i, _RO, f"parameter {i} of this accelerator") for i in range(CAPABILITIES)),
        Register(
            "control",
            0x050,
            _RW,
            "control",
            (
                RegisterField("run", 0, 1, "commands of the ring are executed"),
                RegisterField(
                    "reset",
                    1,
                    1,
                    "soft reset: finishes bus transfers, drops all commands, clears the page; reads 1 until done",
                ),
                RegisterField("interrupt_enable", 2, 1, "the interrupt line follows interrupt_status"),
            ),
        ),
        Register(
            "status",
            0x054,
            _RO,
            "state",
            (
                RegisterField("busy", 0, 1, "a command is being fetched, executed or completed"),
                RegisterField("resetting", 1, 1, "a soft reset waits for bus transfers to end"),
            ),
        ),
        Register(
            "interrupt_status",
            0x058,
            _W1C,
            "reasons of the interrupt; the line is high while one is set and interrupt_enable is 1",
            (
                RegisterField("completion", 0, 1, "a command with its interrupt flag completed"),
                RegisterField("error", 1, 1, "a command failed"),
            ),
        ),
        Register("error_code", 0x05C, _RO, "code of the latest failed command; 0 after reset"),
        *_pair("ring_base", 0x060, _RW, "address of the ring, a multiple of 128"),
        Register("ring_log2", 0x068, _RW, f"log2 of the slots of the ring, 0..{MAX_RING_LOG2}"),
        Register("ring_head", 0x06C, _RO, "commands completed since reset"),
        Register("ring_tail", 0x070, _RW, "commands submitted since reset; writing it is the doorbell"),
        Register(
            "burst_beats",
            0x074,
            _RW,
            "longest burst of the DMA in beats of 16 bytes, 1..256; a narrower port takes at most 256 of its own beats",
            reset=16,
        ),
        *_pair("window_base", 0x078, _RW, "lowest address that the DMA may touch"),
        *_pair("window_limit", 0x080, _RW, "highest address that the DMA may touch", reset=(1 << 64) - 1),
        *_pair("cycles_busy", 0x088, _RO, "clock cycles with status.busy"),
        *_pair("cycles_starved", 0x090, _RO, "clock cycles in which the core waited for read data and had none"),
        *_pair("cycles_blocked", 0x098, _RO, "clock cycles in which the core had data to write and could not"),
        *_pair("beats_read", 0x0A0, _RO, "beats of 16 bytes read by the DMA"),
        *_pair("beats_written", 0x0A8, _RO, "beats of 16 bytes written by the DMA"),
    )
)
