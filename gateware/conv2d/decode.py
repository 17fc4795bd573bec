"""Checks instructions, computes their addresses and targets, and sends them to the gates of their units."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.check import faults
from cosoc.gateware.conv2d.config import BASES, Conv2DConfig
from cosoc.gateware.conv2d.fetch import ALIGNED_BITS, SLOTS, Program
from cosoc.gateware.conv2d.gate import counts, gated
from cosoc.gateware.conv2d.isa import INSTRUCTION_BITS, INSTRUCTIONS, NO_WAIT, SETTINGS, UNIT_OF, Opcode, Unit
from cosoc.gateware.conv2d.types import UnitInstruction
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import BEAT_BITS, SEQUENCE_BITS

_TRANSFERS = tuple(opcode for opcode, layout in INSTRUCTIONS.items() if any(item.name == "base" for item in layout.fields))
"""Instructions with a memory address."""

_VIEWS = {opcode: layout.struct() for opcode, layout in INSTRUCTIONS.items()}
"""Header and offset lie at the same place in every one of them."""

_Token = data.StructLayout({"word": INSTRUCTION_BITS, "sequence": SEQUENCE_BITS, "generation": 1, "last": 1, "error": 8})
"""What moves through the stages: an instruction, or a command with an `error` and without instructions; `last` of its command."""


class Decoder(wiring.Component):
    """Four stages that never wait: an instruction enters when its unit's gate, and that of completions, surely have room.

    1. The instruction's `faults`, and which base address it needs.
    2. Whether it is bad, for each opcode; the base address is read.
    3. The error; the lower half of the address.
    4. The upper half; targets; it is counted and sent, unless it or one before it in its command was bad.

    The stream is cut into generations of 2^(count_bits - 3) instructions. The next one begins only when nothing of the one
    before the current is held by a gate, so that a target is never far behind the counts it is compared with.

    Members:
        data: instructions, two beats each.
        program: the commands that they belong to.
        slot, index, base: base addresses, in units of 16 bytes, one cycle after they are asked for.
        freed: the base addresses of the oldest program are not needed any more.
        push, entry: an instruction for a unit's gate.
        complete, error, dispatched: a command is dispatched; the instructions of each unit that were sent until then.
        room, completion_room, old, generation: see `Gate`.
    """

    def __init__(self, config: Conv2DConfig, *, count_bits: int) -> None:
        self._config = config
        self._count_bits = count_bits
        super().__init__(
            {
                "data": In(stream.Signature(BEAT_BITS)),
                "program": In(stream.Signature(Program)),
                "slot": Out(range(SLOTS)),
                "index": Out(range(BASES)),
                "base": In(ALIGNED_BITS),
                "freed": Out(1),
                "push": Out(len(Unit)),
                "entry": Out(gated(UnitInstruction, count_bits)),
                "complete": Out(1),
                "error": Out(8),
                "dispatched": Out(counts(count_bits)),
                "room": In(len(Unit)),
                "completion_room": In(1),
                "old": In(1),
                "generation": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        token0, valid0 = self._enter(m)
        opcode0 = _opcode(token0)
        base_of = Array(_VIEWS[opcode](token0.word).base if opcode in _TRANSFERS else Const(0, range(BASES)) for opcode in Opcode)
        m.d.sync += self.index.eq(base_of[opcode0[:3]])
        bad = Signal(len(Opcode))
        for opcode, broken in faults(self._config, token0.word).items():
            registered = Signal(len(broken), name=f"faults_{opcode.name.lower()}")
            m.d.sync += [registered.eq(broken), bad[opcode].eq(registered.any())]

        token1, valid1 = _stage(m, token0, valid0, 1)
        token2, valid2 = _stage(m, token1, valid1, 2)
        opcode2 = _opcode(token2)
        fault = Signal(8)
        faulty = Signal()
        low, high = Signal(33), Signal(ALIGNED_BITS - 32)
        m.d.sync += [
            fault.eq(Mux(bad.bit_select(opcode2[:3], 1), Error.BAD_PARAMETER, Error.NONE)),
            faulty.eq((token2.error != Error.NONE) | opcode2[3] | bad.bit_select(opcode2[:3], 1)),
            low.eq(self.base[:32] + _VIEWS[Opcode.LOAD](token2.word).offset),
            high.eq(self.base[32:]),
        ]
        with m.If(token2.error != Error.NONE):
            m.d.sync += fault.eq(token2.error)
        with m.Elif(opcode2[3]):
            m.d.sync += fault.eq(Error.BAD_OPCODE)

        token3, valid3 = _stage(m, token2, valid2, 3)
        m.d.sync += self.entry.payload.memory.eq(Cat(Const(0, 4), low[:32], (high + low[32])[: ALIGNED_BITS - 32]))
        # Of each unit whether the instruction is its own, and whether it is also counted.
        own, counted = Signal(len(Unit)), Signal(len(Unit))
        m.d.sync += [
            own.eq(Array(1 << UNIT_OF[opcode] for opcode in Opcode)[opcode2[:3]]),
            counted.eq(Array(0 if opcode in SETTINGS else 1 << UNIT_OF[opcode] for opcode in Opcode)[opcode2[:3]]),
        ]
        self._send(m, token3, valid3, fault, faulty, own, counted)
        return m

    def _enter(self, m: Module) -> tuple[Any, Signal]:
        """Joins two beats to an instruction, and lets it enter the first stage when it may."""
        low = Signal(BEAT_BITS, reset_less=True)
        has_low, whole = Signal(), Signal()
        program = Signal(Program)
        active = Signal()
        is_last, refused, has_room = Signal(), Signal(), Signal()
        token = Signal(_Token)
        enters, instruction_enters, may_enter = Signal(), Signal(), Signal()
        unit_of = Array(UNIT_OF[opcode] for opcode in Opcode)
        unit = Signal(range(len(Unit)))
        m.d.comb += [
            self.data.ready.eq(~(has_low & whole)),
            self.program.ready.eq(~active),
            self.slot.eq(program.slot),
            may_enter.eq(active & self.completion_room & ~self._generations(m, instruction_enters)),
            instruction_enters.eq(may_enter & whole & ~refused & has_room),
            enters.eq(instruction_enters | (may_enter & refused)),
            token.sequence.eq(program.sequence),
            token.generation.eq(self.generation),
            token.last.eq(is_last),
            token.error.eq(program.error),
        ]
        word = Signal(INSTRUCTION_BITS, reset_less=True)
        m.d.comb += token.word.eq(word)
        # Of the gate of the instruction that is here in the next cycle.
        m.d.sync += has_room.eq(self.room.bit_select(Mux(whole, unit, unit_of[low[:3]]), 1))
        with m.If(instruction_enters):
            m.d.sync += [whole.eq(0), program.count.eq(program.count - 1), is_last.eq(program.count == 2)]
        with m.If(self.data.valid & self.data.ready):
            m.d.sync += has_low.eq(~has_low)
            with m.If(has_low):
                m.d.sync += [word.eq(Cat(low, self.data.payload)), whole.eq(1), unit.eq(unit_of[low[:3]])]
            with m.Else():
                m.d.sync += low.eq(self.data.payload)
        with m.If(~active):
            given = self.program.payload
            m.d.sync += [
                active.eq(self.program.valid),
                program.eq(given),
                refused.eq(given.error != Error.NONE),
                is_last.eq((given.count == 1) | (given.error != Error.NONE)),
            ]
        with m.Elif(enters & is_last):
            m.d.sync += active.eq(0)
        return token, enters

    def _generations(self, m: Module, enters: Signal) -> Signal:
        """Counts the instructions of a generation; high while the next one may not begin."""
        position = Signal(self._count_bits - 3)
        full = Signal()
        with m.If(enters):
            m.d.sync += [position.eq(position + 1), full.eq(position == (1 << len(position)) - 1)]
        with m.If(full & ~self.old):
            m.d.sync += [full.eq(0), self.generation.eq(~self.generation)]
        return full

    def _send(self, m: Module, token: Any, valid: Signal, fault: Signal, faulty: Signal, own: Signal, counted: Signal) -> None:
        """The last stage: counts the instruction and sends it, or drops it for an error that stays until its command ends."""
        failed, has_failed = Signal(8), Signal()
        error = Signal(8)
        sends = Signal()
        waits = [_VIEWS[Opcode.LOAD](token.word)[f"wait_{unit.name.lower()}"] for unit in Unit]
        m.d.comb += [error.eq(Mux(has_failed, failed, fault)), sends.eq(valid & ~has_failed & ~faulty)]
        m.d.sync += [
            self.entry.payload.word.eq(token.word),
            self.entry.payload.sequence.eq(token.sequence),
            self.entry.generation.eq(token.generation),
            self.complete.eq(valid & token.last),
            self.error.eq(error),
        ]
        m.d.comb += self.freed.eq(self.complete)
        with m.If(valid):
            m.d.sync += [failed.eq(error), has_failed.eq((has_failed | faulty) & ~token.last)]
        for unit in Unit:
            m.d.sync += [
                self.push[unit].eq(sends & own[unit]),
                self.dispatched[unit].eq(self.dispatched[unit] + (sends & counted[unit])),
                self.entry.targets[unit].eq(self.dispatched[unit] - waits[unit]),
                self.entry.waits[unit].eq(waits[unit] != NO_WAIT),
            ]


def _opcode(token: Any) -> Any:
    return _VIEWS[Opcode.LOAD](token.word).opcode


def _stage(m: Module, token: Any, valid: Signal, index: int) -> tuple[Any, Signal]:
    """The same, a cycle later."""
    later = Signal(_Token, name=f"token{index}", reset_less=True)
    later_valid = Signal(name=f"valid{index}")
    m.d.sync += [later.eq(token), later_valid.eq(valid)]
    return later, later_valid
