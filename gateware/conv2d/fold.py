"""Folding: channels of neighbouring pixels gathered in one word, for inputs of few channels."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal
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
    """Shifts the lowest channels of each pixel into a register, of which a word is seen, or passes whole beats on.

    After a beat with `channels` = c > 0 the register has those of the latest n pixels, the oldest lowest, and the word is what it
    has from channel `skip` up. With c = 0 the word is the beat.

    Args:
        config: width of an activation.

    Members:
        valid: there is a beat in this cycle; without it the word stays.
        beat: a pixel, or a word to pass on.
        pad: take a pixel of `zero_point` instead.
        channels: 0 to pass on, 1..4 to fold.
        zero_point: value of the channels of a padding pixel.
        skip: channels of the oldest pixel that `word` leaves out in the same cycle: zero but with three channels.
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
                "zero_point": In(config.activation_bits),
                "skip": In(range(MAX_FOLD_SKIP + 1)),
                "word": Out(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._config.activation_bits
        pixel = Signal(BEAT_BITS)
        channels, valid = Signal.like(self.channels), Signal()
        folded = Signal(folded_pixels(self._config, SKIPPING_CHANNELS) * SKIPPING_CHANNELS * bits)
        padding = self.zero_point.replicate(MAX_FOLD_CHANNELS)
        m.d.sync += [
            pixel.eq(self.beat),
            pixel[: len(padding)].eq(Mux(self.pad, padding, self.beat[: len(padding)])),
            channels.eq(self.channels),
            valid.eq(self.valid),
        ]
        words = Array(folded[count * bits :][:BEAT_BITS] for count in range(MAX_FOLD_SKIP + 1))
        m.d.comb += self.word.eq(words[self.skip])
        with m.If(valid), m.Switch(channels):
            for fold in range(1, MAX_FOLD_CHANNELS + 1):
                with m.Case(fold):
                    end = folded_pixels(self._config, fold) * fold * bits
                    m.d.sync += folded[:end].eq(Cat(folded[fold * bits : end], pixel[: fold * bits]))
            with m.Default():
                m.d.sync += folded[:BEAT_BITS].eq(pixel)
        return m
