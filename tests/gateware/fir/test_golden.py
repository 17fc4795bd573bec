"""The golden model of FIR: against convolution in double precision, and what it refuses; the resource estimate."""

from __future__ import annotations

import numpy as np
import pytest

from cosoc.gateware.arith import golden as arith
from cosoc.gateware.fir import golden
from cosoc.gateware.fir.config import COMMAND, FIRConfig, FIROperation
from cosoc.gateware.fir.resources import estimate
from cosoc.gateware.layout.page import Error


def noise(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(2 * count).astype(np.float32).view(np.complex64)


@pytest.mark.parametrize(("taps", "samples"), [(1, 1), (3, 2), (5, 50), (33, 200)])
def test_a_filter_is_a_convolution(taps: int, samples: int) -> None:
    """Each of the products and sums adds at most 2^-24 of the sum of all magnitudes, in each part."""
    x, h = noise(1, samples), noise(2, taps)
    found = golden.apply(x, h)
    exact = np.convolve(x.astype(np.complex128), h.astype(np.complex128))[:samples]
    magnitudes = np.convolve(np.abs(x).astype(np.float64), np.abs(h).astype(np.float64))[:samples]
    assert (np.abs(found - exact) <= (taps + 2) * np.sqrt(2) * 2.0**-24 * magnitudes).all()


def test_parts_give_the_whole_filter() -> None:
    x, h = noise(3, 40), noise(4, 11)
    parts = None
    for first in range(0, 11, 4):
        parts = golden.apply(x, h[first : first + 4], delay=first, partial=parts)
    assert parts is not None
    assert (arith.to_bits(parts.view(np.float32)) == arith.to_bits(golden.apply(x, h).view(np.float32))).all()


def test_operands_must_be_complex64() -> None:
    with pytest.raises(ValueError, match="taps have dtype complex128; expected complex64"):
        golden.apply(noise(5, 4), noise(6, 4).astype(np.complex128))


def fields(**values: int) -> dict[str, int]:
    default = {"taps": 2, "length": 3, "samples": 8, "outputs": 5, "decimation": 2, "taps_address": 64, "out_address": 96}
    return COMMAND.decode(COMMAND.encode(default | values))


def test_a_command_on_memory() -> None:
    """Frames of 3, 3 and 2 samples have 2, 2 and 1 results."""
    x, h = noise(7, 8), noise(8, 2)
    memory = bytearray(b"\xa5" * 144)
    memory[0:64], memory[64:80] = x.tobytes(), h.tobytes()
    before = bytes(memory)
    assert golden.execute(fields(), memory, FIRConfig()) == Error.NONE
    frames = [golden.apply(frame, h)[::2] for frame in (x[:3], x[3:6], x[6:])]
    assert memory[96:136] == np.concatenate(frames).tobytes()
    assert (memory[:96], memory[136:]) == (before[:96], before[136:])


@pytest.mark.parametrize("outputs", [4, 6])
def test_a_wrong_number_of_results_is_told(outputs: int) -> None:
    memory = bytearray(b"\xa5" * 192)
    memory[0:64], memory[64:80] = noise(7, 8).tobytes(), noise(8, 2).tobytes()
    right = bytearray(memory)
    assert golden.execute(fields(), right, FIRConfig()) == Error.NONE
    assert golden.execute(fields(outputs=outputs), memory, FIRConfig()) == Error.BAD_LENGTH
    assert memory[96:128] == right[96:128]
    assert memory[128:144] == (b"\xa5" * 16 if outputs == 4 else right[128:136] + bytes(8))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"opcode": 2, "taps": 0}, Error.BAD_OPCODE),
        ({"taps": 0}, Error.BAD_LENGTH),
        ({"taps": 5, "in_address": 8}, Error.BAD_LENGTH),
        ({"outputs": 9}, Error.BAD_LENGTH),
        ({"length": 0, "decimation": 0}, Error.BAD_LENGTH),
        ({"taps_address": 72, "delay": 256}, Error.MISALIGNED),
        ({"delay": 256, "opcode": int(FIROperation.ACCUMULATE)}, Error.BAD_PARAMETER),
        ({"decimation": 0}, Error.BAD_PARAMETER),
    ],
)
def test_refused_commands_change_nothing(values: dict[str, int], error: Error) -> None:
    memory = bytearray(range(144))
    assert golden.execute(fields(**values), memory, FIRConfig(multipliers=4, max_taps=256)) == error
    assert memory == bytearray(range(144))


def test_resources() -> None:
    """A complex multiplier has four multipliers of two DSP slices; 64 bits at 512 words are a block RAM, beside six of the DMA."""
    two, four = (estimate(FIRConfig(multipliers=count)) for count in (2, 4))
    assert (two.dsp, four.dsp) == (16, 32)
    assert two.lut < four.lut < 2 * two.lut
    assert [estimate(FIRConfig(max_taps=taps)).bram36 for taps in (64, 512, 1024, 4096)] == [7, 7, 8, 14]
