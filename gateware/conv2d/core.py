"""The Conv2D core: units that follow the commands on their own, with double-buffered memories between them.

               +-> load -----> activations --+                            +-> completion
    command -> prepare -> weight loader -> weights -+-> array -> requantize -> outputs -> store
               +-> steps --------------------+            ^ v
                                                    partial sums

Every command loads one tile of activations; for each block of output channels it loads weights and computes all pixels, one
step (16 input channels, `output_lanes` output channels) per cycle; then it stores the tile. The activations of the next
commands load, and the outputs of the one before leave, while a command computes.

So a command may read memory before the stores of those before it: software waits for a command's completion before it
submits one that reads its output.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory

from cosoc.gateware.conv2d.array import Array
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.load import ActivationLoader, WeightLoader
from cosoc.gateware.conv2d.output import Output
from cosoc.gateware.conv2d.prepare import JOBS, Prepare
from cosoc.gateware.conv2d.requantize import ChannelParameters
from cosoc.gateware.conv2d.steps import GROUPS, StepGenerator
from cosoc.gateware.conv2d.store import Retire, Store
from cosoc.gateware.peripheral.core import BEAT_BITS, CoreSignature

_BANKS = 2
_WAITING = {"load": 2, "weights": 2, "compute": 2, "store": 4, "retire": 8}
"""Jobs that wait in front of each unit; `retire` bounds the commands in execution."""


class Conv2DCore(wiring.Component):
    """The accelerator `Conv2DOperation` without bus; `golden.execute` tells what a command does, `cycles` how long it takes.

    Ports: `read[0]` activations, `read[1]` weights and channel parameters, `write[0]` outputs.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(CoreSignature(readers=2, writers=1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.prepare = prepare = Prepare(self._config)
        m.submodules.load = load = ActivationLoader()
        m.submodules.weight_load = weight_load = WeightLoader(self._config)
        m.submodules.steps = steps = StepGenerator(self._config)
        m.submodules.array = array = Array(self._config)
        m.submodules.output = output = Output(self._config)
        m.submodules.store = store = Store()
        m.submodules.retire = retire = Retire()

        wiring.connect(m, prepare.command, wiring.flipped(self.command))
        wiring.connect(m, retire.completion, wiring.flipped(self.completion))
        for unit, port in ((load, self.read[0]), (weight_load, self.read[1]), (store, self.write[0])):
            wiring.connect(m, unit.request, wiring.flipped(port.request))
            wiring.connect(m, unit.data, wiring.flipped(port.data))
        sinks = {"load": load.job, "weights": weight_load.job, "compute": steps.job, "store": store.job, "retire": retire.job}
        for name, sink in sinks.items():
            self._queue(m, name, getattr(prepare, name), sink)

        self._activation_buffer(m, load, steps, array)
        self._weight_buffer(m, weight_load, steps, array)
        self._channel_buffer(m, weight_load, output)
        self._partial_buffer(m, array)
        self._output_buffer(m, output, store)
        m.d.comb += [
            array.step.eq(steps.step),
            output.valid.eq(array.result_valid),
            output.result.eq(array.result),
            output.sums.eq(array.sums),
        ]
        self._hand_over(m, load, weight_load, steps, output, store)
        m.d.comb += [retire.sent.eq(store.sent), retire.written.eq(self.write[0].done.valid)]
        return m

    def _hand_over(
        self, m: Module, load: ActivationLoader, weight_load: WeightLoader, steps: StepGenerator, output: Output, store: Store
    ) -> None:
        """Counts of banks: who fills one needs a free one, who reads one needs a full one."""
        m.d.comb += [
            load.free.eq(_count(m, "free_activations", _BANKS, gives=steps.tile_read, takes=load.claim)),
            steps.activations.eq(_count(m, "activations", 0, gives=load.loaded, takes=steps.claim_tile)),
            weight_load.free.eq(_count(m, "free_weights", _BANKS, gives=output.block_done, takes=weight_load.claim)),
            steps.weights.eq(_count(m, "weights", 0, gives=weight_load.loaded, takes=steps.claim_weights)),
            steps.outputs.eq(_count(m, "free_outputs", _BANKS, gives=store.sent, takes=steps.claim_tile)),
            store.computed.eq(_count(m, "outputs", 0, gives=output.command_done, takes=store.claim)),
        ]

    @staticmethod
    def _queue(m: Module, name: str, source: Any, sink: Any) -> None:
        m.submodules[f"{name}_jobs"] = fifo = SyncFIFO(width=JOBS[name].size, depth=_WAITING[name])
        m.d.comb += [
            fifo.w_data.eq(source.payload),
            fifo.w_en.eq(source.valid),
            source.ready.eq(fifo.w_rdy),
            sink.payload.eq(fifo.r_data),
            sink.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(sink.ready),
        ]

    def _activation_buffer(self, m: Module, load: ActivationLoader, steps: StepGenerator, array: Array) -> None:
        words = self._config.activation_words
        m.submodules.activations = memory = Memory(shape=unsigned(BEAT_BITS), depth=_BANKS * words, init=[])
        write, read = memory.write_port(), memory.read_port()
        bits = (words - 1).bit_length()
        m.d.comb += [
            write.en.eq(load.write_enable),
            write.addr.eq(Cat(load.write_address[:bits], load.write_bank)),
            write.data.eq(load.write_data),
            read.addr.eq(Cat(steps.activation_address[:bits], steps.activation_bank)),
            array.activation.eq(read.data),
        ]

    def _weight_buffer(self, m: Module, weight_load: WeightLoader, steps: StepGenerator, array: Array) -> None:
        """One memory for each output lane."""
        depth = self._config.weight_steps
        write_address = Signal(range(_BANKS * depth))
        m.d.comb += write_address.eq(weight_load.write_step + Mux(weight_load.write_bank, depth, 0))
        for lane in range(self._config.output_lanes):
            m.submodules[f"weights_{lane}"] = memory = Memory(shape=unsigned(BEAT_BITS), depth=_BANKS * depth, init=[])
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(weight_load.weight_enable[lane]),
                write.addr.eq(write_address),
                write.data.eq(weight_load.write_data),
                read.addr.eq(steps.weight_address),
                array.weights[lane].eq(read.data),
            ]

    def _channel_buffer(self, m: Module, weight_load: WeightLoader, output: Output) -> None:
        """Parameters of the lanes of a group side by side, a group at each address."""
        group = self._config.output_lanes // GROUPS
        width, pairs = ChannelParameters.size * group, group // 2
        m.submodules.channels = memory = Memory(shape=unsigned(width), depth=_BANKS * GROUPS, init=[])
        write, read = memory.write_port(granularity=BEAT_BITS), memory.read_port()
        pair_bits = (pairs - 1).bit_length()
        m.d.comb += [
            write.en.eq(weight_load.channel_enable << weight_load.channel_pair[:pair_bits]),
            write.addr.eq(Cat(weight_load.channel_pair[pair_bits:], weight_load.write_bank)),
            write.data.eq(weight_load.write_data.replicate(pairs)),
            read.addr.eq(output.channel_address),
            output.channels.eq(read.data),
        ]

    def _partial_buffer(self, m: Module, array: Array) -> None:
        sums = data.ArrayLayout(signed(32), self._config.output_lanes)
        m.submodules.partial_sums = memory = Memory(shape=unsigned(sums.size), depth=self._config.partial_pixels, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(array.partial_write_enable),
            write.addr.eq(array.partial_write_address),
            write.data.eq(array.sums),
            read.addr.eq(array.partial_read_address),
            array.partial_read.eq(read.data),
        ]

    def _output_buffer(self, m: Module, output: Output, store: Store) -> None:
        words = self._config.output_words
        m.submodules.outputs = memory = Memory(shape=unsigned(BEAT_BITS), depth=_BANKS * words, init=[])
        write, read = memory.write_port(granularity=BEAT_BITS // len(output.write_enable)), memory.read_port()
        bits = (words - 1).bit_length()
        m.d.comb += [
            write.en.eq(output.write_enable),
            write.addr.eq(Cat(output.write_address[:bits], output.write_bank)),
            write.data.eq(output.write_data),
            read.en.eq(store.read_enable),
            read.addr.eq(Cat(store.read_address[:bits], store.read_bank)),
            store.read_data.eq(read.data),
        ]


def _count(m: Module, name: str, initial: int, *, gives: Signal, takes: Signal) -> Signal:
    """Whether a count of banks is above zero; it grows with `gives` and falls with `takes`."""
    count = Signal(range(_BANKS + 1), init=initial, name=name)
    m.d.sync += count.eq(count + gives - takes)
    return count != 0
