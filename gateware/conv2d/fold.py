"""Folding: channels of neighbouring pixels gathered in one word, for inputs of few channels."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.peripheral.core import BEAT_BITS

FOLD_LATENCY = 2
"""Cycles from a beat to the word that ends with it."""

MAX_FOLD_CHANNELS = 4


def folded_pixels(config: Conv2DConfig, channels: int) -> int:
    """Pixels of a folded word: n = word_channels // channels."""
    return config.word_channels // channels


class Folder(wiring.Component):
    """Shifts the lowest channels of each pixel into a word, or passes whole beats on.

    After a beat with `channels` = c > 0 the word's lowest n * c channels are those of the latest n pixels, the oldest lowest.
    With c = 0 the word is the beat.

    Args:
        config: width of an activation.

    Members:
        valid: there is a beat in this cycle; without it the word stays.
        beat: a pixel, or a word to pass on.
        pad: take a pixel of `zero_point` instead.
        channels: 0 to pass on, 1..4 to fold.
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
                "zero_point": In(config.activation_bits),
                "word": Out(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._config.activation_bits
        pixel = Signal(BEAT_BITS)
        channels = Signal.like(self.channels)
        valid = Signal()
        padding = self.zero_point.replicate(MAX_FOLD_CHANNELS)
        m.d.sync += [
            pixel.eq(self.beat),
            pixel[: len(padding)].eq(Mux(self.pad, padding, self.beat[: len(padding)])),
            channels.eq(self.channels),
            valid.eq(self.valid),
        ]
        with m.If(valid), m.Switch(channels):
            for fold in range(1, MAX_FOLD_CHANNELS + 1):
                with m.Case(fold):
                    newest = (folded_pixels(self._config, fold) - 1) * fold
                    for lane in range(newest + fold):
                        source = self.word.word_select(lane + fold, bits)
                        if lane >= newest:
                            source = pixel.word_select(lane - newest, bits)
                        m.d.sync += self.word.word_select(lane, bits).eq(source)
            with m.Default():
                m.d.sync += self.word.eq(pixel)
        return m
