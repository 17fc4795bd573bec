"""The multiplier array: 16 input channels times `output_lanes` output channels per cycle, sums kept in place."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import WORD_CHANNELS, Conv2DConfig
from cosoc.gateware.conv2d.jobs import SIZE, Result, Step

ARRAY_LATENCY = 5
"""From a step's issue to its sums in the accumulators, in cycles."""


class Array(wiring.Component):
    """Multiplies and accumulates.

    Stages after the cycle of a step's issue, in which both buffers are addressed: 1 operands leave the buffers, 2 operands in
    registers, 3 products, 4 sums of 16 products, 5 accumulators.

    Members:
        step: the step issued in this cycle.
        activation: its 16 channels, a cycle later.
        weights: 16 for each lane, a cycle later.
        partial_read_address, partial_read: partial sums of all lanes; the data is there a cycle after the address.
        partial_write_enable, partial_write_address: `sums` become partial sums.
        result_valid, result, sums: all sums of a pixel and block, for one cycle.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._lanes = config.output_lanes
        words = data.ArrayLayout(data.ArrayLayout(signed(8), WORD_CHANNELS), self._lanes)
        sums = data.ArrayLayout(signed(32), self._lanes)
        super().__init__(
            {
                "step": In(Step),
                "activation": In(data.ArrayLayout(signed(8), WORD_CHANNELS)),
                "weights": In(words),
                "partial_read_address": Out(SIZE),
                "partial_read": In(sums),
                "partial_write_enable": Out(1),
                "partial_write_address": Out(SIZE),
                "result_valid": Out(1),
                "result": Out(Result),
                "sums": Out(sums),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steps = [self.step]
        for stage in range(1, ARRAY_LATENCY + 1):
            steps.append(Signal(Step, name=f"step_{stage}"))
            m.d.sync += steps[stage].eq(steps[stage - 1])

        activations = [Signal(signed(8), name=f"activation_{c}") for c in range(WORD_CHANNELS)]
        for channel, activation in enumerate(activations):
            m.d.sync += activation.eq(Mux(steps[1].inside, self.activation[channel], steps[1].zero_point))
        for lane in range(self._lanes):
            weights = [Signal(signed(8), name=f"weight_{lane}_{c}") for c in range(WORD_CHANNELS)]
            products = [Signal(signed(16), name=f"product_{lane}_{c}") for c in range(WORD_CHANNELS)]
            total = Signal(signed(20), name=f"sum_{lane}")
            m.d.sync += [weight.eq(self.weights[lane][channel]) for channel, weight in enumerate(weights)]
            m.d.sync += [p.eq(a * w) for p, a, w in zip(products, activations, weights, strict=True)]
            m.d.sync += total.eq(_tree(products))
            start = Mux(steps[4].result.accumulate, self.partial_read[lane], 0)
            with m.If(steps[4].valid):
                m.d.sync += self.sums[lane].eq(Mux(steps[4].first, start, self.sums[lane]) + total)

        done = steps[5]
        m.d.comb += [
            self.partial_read_address.eq(steps[3].result.partial_address),
            self.result_valid.eq(done.valid & done.last),
            self.result.eq(done.result),
            self.partial_write_enable.eq(self.result_valid & done.result.partial),
            self.partial_write_address.eq(done.result.partial_address),
        ]
        return m


def _tree(values: Sequence[Value]) -> Value:
    """Their sum, as a balanced tree of adders."""
    if len(values) == 1:
        return values[0]
    return _tree(values[: len(values) // 2]) + _tree(values[len(values) // 2 :])
