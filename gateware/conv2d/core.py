"""The Conv2D core: four units that execute instructions side by side, the buffers between them, and the dispatcher.

                  read                          read
                   |                             |
    command -> Dispatcher -+-> LoadUnit -------> FeatureBuffer <--------------------+
                           +-> WeightUnit ------------+---------------+             |
                           +-> ComputeUnit <- pixels, weights         channels -> OutputUnit
                           |       +-------------- jobs, sums -----------------------^
                           +-> StoreUnit <------ FeatureBuffer; -> write

docs/conv2d.md tells what programs do. Nothing but the dispatcher knows of commands and waits.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module
from amaranth.lib import wiring

from cosoc.gateware.conv2d.compute import ComputeUnit
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.dispatch import Dispatcher
from cosoc.gateware.conv2d.features import FeatureBuffer
from cosoc.gateware.conv2d.isa import Unit
from cosoc.gateware.conv2d.load import LoadUnit
from cosoc.gateware.conv2d.output import OutputUnit
from cosoc.gateware.conv2d.store import StoreUnit
from cosoc.gateware.conv2d.weights import WeightUnit
from cosoc.gateware.peripheral.core import CoreSignature


class Conv2DCore(wiring.Component):
    """The accelerator without bus.

    With P memory ports: `read[p]` features and `read[P + p]` weights of port p, `read[2P]` instructions, `write[p]` results of
    port p. Port p belongs to AXI4 manager p, instructions to manager 0.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        ports = range(config.memory_ports)
        super().__init__(
            CoreSignature(
                readers=2 * len(ports) + 1, writers=len(ports), reader_managers=(*ports, *ports, 0), writer_managers=tuple(ports)
            )
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.dispatcher = dispatcher = Dispatcher(config)
        m.submodules.load = load = LoadUnit(config)
        m.submodules.weights = weights = WeightUnit(config)
        m.submodules.compute = compute = ComputeUnit(config)
        m.submodules.output = output = OutputUnit(config)
        m.submodules.store = store = StoreUnit(config)
        m.submodules.features = features = FeatureBuffer(config)

        wiring.connect(m, wiring.flipped(self.command), dispatcher.command)
        wiring.connect(m, dispatcher.completion, wiring.flipped(self.completion))
        units: dict[Unit, Any] = {Unit.LOAD: load, Unit.WEIGHTS: weights, Unit.COMPUTE: compute, Unit.STORE: store}
        for unit in Unit:
            wiring.connect(m, dispatcher.instruction[unit], units[unit].instruction)
        m.d.comb += dispatcher.finished.eq(Cat(item.finished for item in (load, weights, output, store)))
        for port, read in zip(self.read, (*load.read, *weights.read, dispatcher.read), strict=True):
            wiring.connect(m, read, wiring.flipped(port))
        for port, write in zip(self.write, store.write, strict=True):
            wiring.connect(m, write, wiring.flipped(port))

        wiring.connect(m, compute.pixels, features.pixels)
        wiring.connect(m, compute.job, output.job)
        wiring.connect(m, compute.result, output.result)
        m.d.comb += [
            weights.weight_address.eq(compute.weight_address),
            compute.weights.eq(weights.weights),
            weights.channel_address.eq(output.channel_address),
            output.channels.eq(weights.channels),
        ]
        self._share(m, (*output.write, *load.write), features.write)
        self._share(m, (*output.read, *store.read), features.read)
        return m

    @staticmethod
    def _share(m: Module, requesters: tuple[Any, ...], ports: Any) -> None:
        """Requesters to the ports of the feature buffer, in order of priority."""
        for requester, port in zip(requesters, ports, strict=True):
            wiring.connect(m, requester, port)
