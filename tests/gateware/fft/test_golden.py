"""The golden model's commands: what they compute, against NumPy's FFT in float64, and what they refuse."""

import numpy as np
import pytest

from cosoc.gateware.arith.golden import complex_multiply
from cosoc.gateware.fft.config import FFTConfig, FFTOperation
from cosoc.gateware.fft.golden import execute, split_real, transform
from cosoc.gateware.layout.page import Error
from tests.gateware.fft.commands import command
from tests.gateware.fft.signals import white_noise

CONFIG = FFTConfig(max_log2=8, real_input=1, multiply=1)


def snr_db(exact, found):
    return 10 * np.log10(np.sum(np.abs(exact) ** 2) / np.sum(np.abs(exact - found.astype(complex)) ** 2))


def memory_of(x, size=1 << 15):
    memory = bytearray(size)
    memory[: x.nbytes] = x.tobytes()
    return memory


def samples(memory, address, *shape):
    return np.frombuffer(memory, np.complex64, int(np.prod(shape)), address).reshape(shape)


def test_frames_one_after_the_other():
    x = white_noise(np.random.default_rng(1), 128).reshape(2, 64)
    memory = memory_of(x)
    assert execute(command(FFTOperation.INVERSE, 6, 2, 0, 4096), memory, CONFIG) == Error.NONE
    assert np.array_equal(samples(memory, 4096, 2, 64), transform(x, True))
    assert bytes(memory[: x.nbytes]) == x.tobytes()


def test_two_dimensions_in_two_commands():
    """Columns of a matrix, transposed on the way out, then the same again: its two-dimensional transform, without a copy."""
    x = white_noise(np.random.default_rng(2), 32 * 64).reshape(32, 64)
    memory = memory_of(x, 1 << 16)
    blocks = {"interleave_log2": 3, "transpose": 1}
    columns = command(0, 5, 8, 0, 1 << 14, in_row_stride=512, in_frame_stride=64, **blocks)
    rows = command(0, 6, 8, 1 << 14, 1 << 15, in_row_stride=256, in_frame_stride=32, interleave_log2=2, transpose=1)
    assert [execute(fields, memory, CONFIG) for fields in (columns, rows)] == [Error.NONE] * 2
    assert snr_db(np.fft.fft2(x.astype(complex)), samples(memory, 1 << 15, 32, 64)) >= 130


def test_columns_stay_columns():
    x = white_noise(np.random.default_rng(3), 16 * 32).reshape(16, 32)
    memory = memory_of(x)
    strides = {f"{operand}_{name}": size for operand in ("in", "out") for name, size in (("row_stride", 256), ("frame_stride", 32))}
    assert execute(command(0, 4, 8, 0, 0, interleave_log2=2, **strides), memory, CONFIG) == Error.NONE
    assert snr_db(np.fft.fft(x.astype(complex), axis=0), samples(memory, 0, 16, 32)) >= 130


@pytest.mark.parametrize("log2_length", [3, 6, 8])
def test_real_signals(log2_length):
    """Twice the length, and one bin more than half of it, stored without gaps."""
    x = np.random.default_rng(4).standard_normal((3, 2 << log2_length)).astype(np.float32)
    memory = memory_of(x)
    assert execute(command(0, log2_length, 3, 0, 16384, real=1), memory, CONFIG) == Error.NONE
    found = samples(memory, 16384, 3, (1 << log2_length) + 1)
    assert snr_db(np.fft.rfft(x.astype(float)), found) >= 128
    assert np.all(found[:, [0, -1]].imag == 0)


def test_real_split_of_an_impulse_is_exact():
    z = np.ones((1, 16), np.complex64)
    assert np.array_equal(split_real(z), np.ones((1, 17), np.complex64))


@pytest.mark.parametrize("conjugate", [0, 1])
@pytest.mark.parametrize("b_stride", [0, 512])
def test_multiplication(conjugate, b_stride):
    """By one operand for all frames, or one for each."""
    rng = np.random.default_rng(5)
    x, b = white_noise(rng, 192).reshape(3, 64), white_noise(rng, 192).reshape(3, 64)
    memory = memory_of(np.concatenate([x, b]))
    fields = command(0, 6, 3, 0, 8192, multiply=1, conjugate=conjugate, b_address=x.nbytes, b_frame_stride=b_stride)
    assert execute(fields, memory, CONFIG) == Error.NONE
    factors = b if b_stride else np.broadcast_to(b[:1], b.shape)
    assert np.array_equal(samples(memory, 8192, 3, 64), complex_multiply(transform(x, False), factors, conjugate=bool(conjugate)))


def test_refused_command_changes_nothing():
    memory = bytearray(range(256)) * 64
    before = bytes(memory)
    assert execute(command(0, 9, 1, 0, 4096), memory, CONFIG) == Error.BAD_LENGTH
    assert execute(command(0, 3, 1, 0, 4096, real=1), memory, FFTConfig()) == Error.BAD_PARAMETER
    assert memory == before


def test_command_that_leaves_memory():
    with pytest.raises(IndexError, match="operand out of frame 1 ends at"):
        execute(command(0, 8, 2, 0, 4096), bytearray(8128), CONFIG)
