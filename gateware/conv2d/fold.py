"""Folding: channels of neighbouring pixels gathered in one word, for inputs of few channels."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.peripheral.core import BEAT_BITS

FOLD_LATENCY = 2
"""Cycles from a beat to the word that ends with it."""

MAX_FOLD_CHANNELS = 4

SKIPPING_CHANNELS = 3
"""Pixels of so many channels may be cut by the beginning of a word."""

MAX_FOLD_SKIP = SKIPPING_CHANNELS - 1


def folded_pixels(config: Conv2DConfig, channels: int) -> int:
    """Pixels that a folded word takes: all that it may hold channels of, whatever it skips."""
    if channels == SKIPPING_CHANNELS:
        return -(-(config.word_channels + MAX_FOLD_SKIP) // channels)
    return config.word_channels // channels


class Folder(wiring.Component):
    """Shifts the lowest channels of each pixel into a word, or passes whole beats on.

    After a beat with `channels` = c > 0 the word has those of the latest n pixels, the oldest lowest, from channel `skip` up.
    With c = 0 the word is the beat.

    Three channels of n pixels are more than a word has: what enters it is as much older as there are channels above the word.

    Args:
        config: width of an activation.

    Members:
        valid: there is a beat in this cycle; without it the word stays.
        beat: a pixel, or a word to pass on.
        pad: take a pixel of `zero_point` instead.
        channels: 0 to pass on, 1..4 to fold.
        skip: channels of the oldest pixel that are left out; it matters with three channels only.
        zero_point: value of the channels of a padding pixel.
        word: result, `FOLD_LATENCY` cycles after its beat; it stays until another beat comes.
    """

    def __init__(self, config: Conv2DConfig) -> None:
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "beat": In(BEAT_BITS),
                "pad": In(1),
                "channels": In(range(MAX_FOLD_CHANNELS + 1)),
                "skip": In(range(MAX_FOLD_SKIP + 1)),
                "zero_point": In(config.activation_bits),
                "word": Out(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._config.activation_bits
        pixel = Signal(BEAT_BITS)
        channels, skip = Signal.like(self.channels), Signal.like(self.skip)
        valid = Signal()
        padding = self.zero_point.replicate(MAX_FOLD_CHANNELS)
        m.d.sync += [
            pixel.eq(self.beat),
            pixel[: len(padding)].eq(Mux(self.pad, padding, self.beat[: len(padding)])),
            channels.eq(self.channels),
            skip.eq(self.skip),
            valid.eq(self.valid),
        ]
        skipping = self._skipping(m, valid, pixel, skip)
        with m.If(valid), m.Switch(channels):
            for fold in range(1, MAX_FOLD_CHANNELS + 1):
                with m.Case(fold):
                    newest = skipping if fold == SKIPPING_CHANNELS else pixel[: fold * bits]
                    m.d.sync += self.word.eq(Cat(self.word[fold * bits :], newest))
            with m.Default():
                m.d.sync += self.word.eq(pixel)
        return m

    def _skipping(self, m: Module, valid: Value, pixel: Value, skip: Value) -> Value:
        """The channels that enter a word of pixels of three: the latest ones, but before those that are above the word."""
        bits = self._config.activation_bits
        above = folded_pixels(self._config, SKIPPING_CHANNELS) * SKIPPING_CHANNELS - self._config.word_channels
        before = Signal(above * bits, reset_less=True)
        latest = Cat(before, pixel[: SKIPPING_CHANNELS * bits])
        with m.If(valid):
            m.d.sync += before.eq(latest[SKIPPING_CHANNELS * bits :])
        choice = [latest[count * bits :][: SKIPPING_CHANNELS * bits] for count in range(MAX_FOLD_SKIP + 1)]
        return Value.cast(Array(choice)[skip])
