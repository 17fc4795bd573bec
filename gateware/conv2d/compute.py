"""The COMPUTE unit of the Conv2D core: settings and COMPUTE instructions in, sums of groups of pixels out.

instruction -> Prepare -+-> MicroProgram -> Sequencer -> Lanes -> reads -> Array -> ResultQueue -> result
                        |                      |           |                            |
                        +-> job          weight_address    +-------- places ------------+
"""

from __future__ import annotations

from amaranth import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from cosoc.gateware.conv2d.array import OPERAND_STAGES, WEIGHT_BITS, Array, array_latency, delayed
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.lanes import READ_STAGES, Lanes
from cosoc.gateware.conv2d.micro import MICRO_LATENCY, MicroProgram
from cosoc.gateware.conv2d.prepare import Prepare, prepare_cycles
from cosoc.gateware.conv2d.queue import Queue
from cosoc.gateware.conv2d.result_queue import RESULT_LATENCY, ResultQueue
from cosoc.gateware.conv2d.sequencer import Sequencer
from cosoc.gateware.conv2d.types import (
    FEATURE_LATENCY,
    WEIGHT_LATENCY,
    PixelRead,
    UnitInstruction,
    group_result,
    output_job,
)

INSTRUCTION_GAP = 2
"""Cycles without a step between two COMPUTE instructions, when the second was prepared in time."""

_QUEUED_JOBS = 4


def first_read_cycles(config: Conv2DConfig) -> int:
    """Cycles from the one in which an idle unit takes a COMPUTE instruction to that of its first read."""
    return prepare_cycles(config) + MICRO_LATENCY + 1 + READ_STAGES


def result_cycles(config: Conv2DConfig) -> int:
    """Cycles from a group's last read to the one in which its result is offered, if none stands before it."""
    return FEATURE_LATENCY + array_latency(config) + RESULT_LATENCY


class ComputeUnit(wiring.Component):
    """Executes MICRO, GEOMETRY, OUTPUT and COMPUTE.

    A COMPUTE of G groups, B blocks and R steps (with phases) keeps the array busy for B * G * R cycles without a gap, as long as
    results are taken as fast as they come; `INSTRUCTION_GAP` cycles follow. Settings and the next COMPUTE are taken meanwhile, and
    prepared in `prepare_cycles`.

    Members:
        instruction: instructions whose waits are over.
        pixels, weight_address, weights: operands, from the feature buffer and from the weight buffer. Weights are at least -127.
        job: what the output unit needs to know of each COMPUTE.
        result: its results: block by block, group by group. The last one is marked; with `keep` it is the only one, and empty.
        busy: a step is issued in this cycle.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        weights = config.input_lanes * config.output_lanes
        super().__init__(
            {
                "instruction": In(stream.Signature(UnitInstruction)),
                "pixels": Out(PixelRead(config)),
                "weight_address": Out(16),
                "weights": In(data.ArrayLayout(signed(WEIGHT_BITS), weights)),
                "job": Out(stream.Signature(output_job(config))),
                "result": Out(stream.Signature(group_result(config))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.prepare = prepare = Prepare(config)
        m.submodules.program = program = MicroProgram()
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.lanes = lanes = Lanes(config)
        m.submodules.array = array = Array(config)
        m.submodules.queue = queue = ResultQueue(config)
        m.submodules.jobs = jobs = Queue(output_job(config), _QUEUED_JOBS, front=True)

        connect(m, wiring.flipped(self.instruction), prepare.instruction)
        connect(m, prepare.micro, program.job)
        connect(m, prepare.walk, sequencer.job)
        connect(m, program.operation, sequencer.operation)
        connect(m, queue.result, wiring.flipped(self.result))
        connect(m, prepare.output, jobs.input)
        connect(m, jobs.output, wiring.flipped(self.job))
        m.d.comb += program.write.eq(prepare.write)
        # The sequencer decides late in a cycle what many registers of the lanes do.
        m.d.sync += [getattr(lanes, name).eq(getattr(sequencer, name)) for name in _WALK]
        m.d.comb += [
            lanes.settings.eq(sequencer.settings),
            self.pixels.enable.eq(lanes.pixels.enable),
            self.pixels.address.eq(lanes.pixels.address),
            self.busy.eq(sequencer.step.valid),
            sequencer.room.eq(queue.room),
            queue.reserve.eq(sequencer.reserve),
            queue.place.eq(lanes.place),
            queue.place_valid.eq(lanes.place_valid),
            queue.sums.eq(array.sums),
            queue.sums_valid.eq(array.done),
        ]
        self._feed(m, sequencer, lanes, array)
        return m

    def _feed(self, m: Module, sequencer: Sequencer, lanes: Lanes, array: Array) -> None:
        """Operands, weights and control reach the array together."""
        step, to_data = sequencer.step, READ_STAGES + FEATURE_LATENCY
        weight_delay = to_data + OPERAND_STAGES - 1 - WEIGHT_LATENCY
        m.d.comb += [
            self.weight_address.eq(delayed(m, step.weight_address, weight_delay, name="weight_address")),
            array.weights.eq(self.weights),
            array.words.eq(self.pixels.data),
            array.used.eq(delayed(m, lanes.used, FEATURE_LATENCY, name="used")),
            array.inside.eq(delayed(m, lanes.inside, FEATURE_LATENCY, name="inside")),
            array.row_start.eq(delayed(m, lanes.row_start, FEATURE_LATENCY, name="row_start")),
            array.window.eq(delayed(m, sequencer.settings.window, to_data, name="window")),
            array.part.eq(delayed(m, step.part, to_data, name="part")),
            array.zero_point.eq(delayed(m, sequencer.settings.zero_point, to_data, name="zero_point")),
            array.complete.eq(delayed(m, step.complete, to_data, name="complete", resets=True)),
            array.clear.eq(delayed(m, step.clear, to_data, name="clear")),
            array.last.eq(delayed(m, step.last, to_data, name="last")),
        ]


_WALK = ("step", "restart", "move", "part", "channel", "plane_offset", "ends")
"""What the lanes take from the sequencer, a cycle later; its settings stay as long."""
