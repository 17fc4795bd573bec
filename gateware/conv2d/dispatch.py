"""Dispatch: from commands to instructions at the units, and back to completions.

    command -> Fetch -> instructions -> check, address, targets -> a Gate for each unit -> instruction[unit]
                 |                              |
                 +-- programs, bases -----------+---------------> Gate of completions -> completion

Instructions are dispatched in the order of the stream, one every two cycles (two beats). Each gets as targets how many
instructions of every unit must be finished before it starts; its unit's gate holds it until they are. A command's completion
is held likewise, until all that it dispatched is finished.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.decode import Decoder
from cosoc.gateware.conv2d.fetch import SLOTS, Fetch, Program
from cosoc.gateware.conv2d.gate import Gate, counts
from cosoc.gateware.conv2d.isa import Unit
from cosoc.gateware.conv2d.types import UnitInstruction
from cosoc.gateware.peripheral.core import Completion, CoreCommand, ReadPort

QUEUE_DEPTH = 16
"""Instructions that wait in front of each unit."""

COMPLETIONS = 10
"""Commands that were dispatched and are not completed; with those in `SLOTS` and one that leaves fewer than 16."""

COUNT_BITS = 16

DISPATCH_LATENCY = 5
"""Cycles from an instruction's second beat until its unit is offered it, when it need not wait."""


class Dispatcher(wiring.Component):
    """Executes the stream of instructions of commands on four units.

    Args:
        config: the engine's parameters, for the limits that instructions are checked against.
        count_bits: bits of the counts of instructions; at least 10, so that a distance is less than a quarter of their range.

    Members:
        command, completion: a core's commands and completions.
        read: instructions.
        instruction: what each unit executes next.
        finished: high for one cycle for each instruction that a unit finished; instructions of `SETTINGS` are not told.
    """

    def __init__(self, config: Conv2DConfig, *, count_bits: int = COUNT_BITS) -> None:
        self._config = config
        self._count_bits = count_bits
        super().__init__(
            {
                "command": In(stream.Signature(CoreCommand)),
                "completion": Out(stream.Signature(Completion)),
                "read": Out(ReadPort()),
                "instruction": Out(stream.Signature(UnitInstruction)).array(len(Unit)),
                "finished": In(len(Unit)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._count_bits
        m.submodules.fetch = fetch = Fetch()
        m.submodules.decode = decode = Decoder(self._config, count_bits=bits)
        wiring.connect(m, wiring.flipped(self.command), fetch.command)
        wiring.connect(m, fetch.request, wiring.flipped(self.read.request))
        wiring.connect(m, wiring.flipped(self.read.data), decode.data)
        m.submodules.programs = programs = SyncFIFO(width=Program.size, depth=SLOTS)
        m.d.comb += [
            programs.w_data.eq(fetch.program.payload),
            programs.w_en.eq(fetch.program.valid),
            fetch.program.ready.eq(programs.w_rdy),
            decode.program.payload.eq(programs.r_data),
            decode.program.valid.eq(programs.r_rdy),
            programs.r_en.eq(decode.program.ready),
            fetch.freed.eq(decode.freed),
            fetch.slot.eq(decode.slot),
            fetch.index.eq(decode.index),
            decode.base.eq(fetch.base),
        ]

        finished = Signal(counts(bits))
        m.d.sync += [finished[unit].eq(finished[unit] + self.finished[unit]) for unit in Unit]
        gates = [Gate(UnitInstruction, depth=QUEUE_DEPTH, count_bits=bits) for _ in Unit]
        completions = Gate(Completion, depth=COMPLETIONS, count_bits=bits)
        for name, gate in zip((*(unit.name.lower() for unit in Unit), "completions"), (*gates, completions), strict=True):
            m.submodules[f"gate_{name}"] = gate
            m.d.comb += [gate.finished.eq(finished), gate.generation.eq(decode.generation)]
        for unit in Unit:
            wiring.connect(m, gates[unit].output, wiring.flipped(self.instruction[unit]))
            m.d.comb += [gates[unit].push.eq(decode.push[unit]), gates[unit].entry.eq(decode.entry)]
        wiring.connect(m, completions.output, wiring.flipped(self.completion))
        m.d.comb += [
            completions.push.eq(decode.complete),
            completions.entry.payload.error.eq(decode.error),
            completions.entry.targets.eq(decode.dispatched),
            completions.entry.waits.eq(-1),
            completions.entry.generation.eq(decode.entry.generation),
            decode.room.eq(Cat(gate.room for gate in gates)),
            decode.completion_room.eq(completions.room),
            decode.old.eq(Cat(gate.old for gate in (*gates, completions)).any()),
        ]
        return m
