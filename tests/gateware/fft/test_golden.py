"""The golden model against NumPy's FFT in float64, and properties that no reference is needed for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosoc.gateware.fft.config import FFTConfig, FFTOperation
from cosoc.gateware.fft.golden import execute, transform
from cosoc.gateware.fft.twiddles import bits, twiddles
from cosoc.gateware.layout.page import Error
from tests.gateware.fft.signals import special_values, white_noise

LENGTHS = [1 << n for n in range(3, 12)]


def to_bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


def snr_db(exact, found):
    return 10 * np.log10(np.sum(np.abs(exact) ** 2) / np.sum(np.abs(exact - found.astype(complex)) ** 2))


def reference(x, inverse):
    x = x.astype(complex)
    return np.fft.ifft(x) if inverse else np.fft.fft(x)


def by_definition(x, inverse):
    """One frame by the recursive decimation in frequency, sample by sample in NumPy scalars."""
    if inverse:
        y = by_definition([complex(v.imag, v.real) for v in x], False)
        scale = np.float32(1 / len(x))
        return [(im * scale, re * scale) for re, im in y]
    return _recursive([(np.float32(v.real), np.float32(v.imag)) for v in x])


def _recursive(x):
    if len(x) == 1:
        return x
    half = len(x) // 2
    even, odd = [], []
    for k in range(half):
        (ur, ui), (vr, vi) = x[k], x[half + k]
        w = np.exp(-2j * np.pi * k / len(x))
        wr, wi = np.float32(w.real), np.float32(w.imag)
        dr, di = ur - vr, ui - vi
        even.append((ur + vr, ui + vi))
        odd.append((dr * wr - di * wi, dr * wi + di * wr))
    return [part for pair in zip(_recursive(even), _recursive(odd), strict=True) for part in pair]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("length", [8, 32, 256])
def test_every_bit_by_the_definition(length, inverse):
    x = white_noise(np.random.default_rng(length), length)
    expected = np.array(by_definition(x, inverse), np.float32)
    assert np.array_equal(to_bits(transform(x[None], inverse)).ravel(), to_bits(expected).ravel())


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_white_noise(length, inverse):
    x = white_noise(np.random.default_rng(length), 16 * length).reshape(16, length)
    assert snr_db(reference(x, inverse), transform(x, inverse)) >= 130


@pytest.mark.parametrize("inverse", [False, True])
def test_tones(inverse):
    n = np.arange(1024)
    frequencies = np.array([[0], [1], [255.5], [256], [300.25], [512], [1023]])
    x = np.exp(2j * np.pi * frequencies * n / 1024).astype(np.complex64)
    assert snr_db(reference(x, inverse), transform(x, inverse)) >= 130


@pytest.mark.parametrize("inverse", [False, True])
def test_impulses(inverse):
    x = np.eye(1024, dtype=np.complex64)[[0, 1, 2, 511, 512, 513, 1023]]
    found = transform(x, inverse)
    assert snr_db(reference(x, inverse), found) >= 130
    assert np.all(found[0] == np.float32(1 / 1024 if inverse else 1))


@pytest.mark.parametrize("length", LENGTHS)
def test_inverse_undoes_forward(length):
    x = white_noise(np.random.default_rng(length), 4 * length).reshape(4, length)
    assert snr_db(x, transform(transform(x, False), True)) >= 127


def test_linearity():
    rng = np.random.default_rng(4)
    x, y = (white_noise(rng, 8 * 512).reshape(8, 512) for _ in range(2))
    a, b = np.complex64(0.5 - 2j), np.complex64(3)
    together = a * transform(x, False) + b * transform(y, False)
    assert snr_db(together, transform(a * x + b * y, False)) >= 125


def test_parseval():
    x = white_noise(np.random.default_rng(5), 8 * 2048).reshape(8, 2048)
    energy = np.sum(np.abs(transform(x, False).astype(complex)) ** 2, axis=1) / 2048
    assert np.allclose(energy, np.sum(np.abs(x.astype(complex)) ** 2, axis=1), rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 8), st.integers(0, 2**32 - 1), st.integers(-20, 20))
def test_scaling_by_powers_of_two_is_exact(log2_length, seed, exponent):
    x = white_noise(np.random.default_rng(seed), 1 << log2_length)[None]
    factor = np.float32(2.0**exponent)
    assert np.array_equal(transform(x * factor, False), transform(x, False) * factor)


def test_subnormal_results_of_the_inverse_are_rounded_once():
    """1/8 of the sum of an impulse's spectrum: halves between two subnormal numbers go to the even one."""
    for units, rounded in ((4, 0), (5, 1), (12, 2), (20, 2), (28, 4)):
        x = np.zeros((1, 8), np.complex64)
        x.view(np.uint32)[0, 0] = units  # units of the smallest subnormal number
        found = to_bits(transform(x, True)).reshape(8, 2)
        assert np.all(found[:, 0] == rounded)


def test_nan_is_canonical_and_stays_in_its_frame():
    x = white_noise(np.random.default_rng(6), 2 * 64).reshape(2, 64)
    clean = transform(x, False)
    x.view(np.uint32)[0, 17] = 0xFFC12345
    found = transform(x, False)
    words = to_bits(found[0])
    assert np.all(words[np.isnan(found[0].view(np.float32))] == 0x7FC00000)
    assert np.all(np.isnan(found[0]))
    assert np.array_equal(to_bits(found[1]), to_bits(clean[1]))


@pytest.mark.parametrize("inverse", [False, True])
def test_frames_are_independent(inverse):
    x = special_values(np.random.default_rng(7), 12, 32)
    together = transform(x, inverse)
    for frame, expected in zip(x, together, strict=True):
        assert np.array_equal(to_bits(transform(frame[None], inverse)[0]), to_bits(expected))


@pytest.mark.parametrize("x", [np.zeros(8, np.complex64), np.zeros((1, 8)), np.zeros((1, 12), np.complex64)])
def test_bad_arrays_are_refused(x):
    with pytest.raises(ValueError, match=r"expected .* found"):
        transform(x, False)


def test_twiddles():
    for half in (1, 2, 8, 1024):
        exact = np.exp(-1j * np.pi * np.arange(half) / half)
        # The C library's and NumPy's functions may differ in the last bit of float64, which rarely matters here.
        assert np.abs(twiddles(half) - exact).max() < 2**-24
    assert bits(twiddles(2)) == [0x80000000_3F800000, 0xBF800000_248D3132]


def test_execute():
    """In memory: other bytes stay, a refused command changes nothing, one that leaves memory raises."""
    config = FFTConfig(max_log2=5)
    x = white_noise(np.random.default_rng(8), 64).reshape(2, 32)
    memory = bytearray(b"\xa5" * 2048)
    memory[512:1024] = x.tobytes()
    fields = {"opcode": FFTOperation.INVERSE, "log2_length": 5, "frames": 2, "in_address": 512, "out_address": 1040}
    before = bytes(memory)
    assert execute(fields | {"log2_length": 6}, memory, config) == Error.BAD_LENGTH
    assert execute(fields | {"out_address": 1048}, memory, config) == Error.MISALIGNED
    assert execute(fields | {"opcode": 2, "frames": 0}, memory, config) == Error.BAD_OPCODE
    assert memory == before
    assert execute(fields, memory, config) == Error.NONE
    assert memory == before[:1040] + transform(x, True).tobytes() + before[1552:]
    with pytest.raises(IndexError, match="leave a memory of 2048 bytes"):
        execute(fields | {"out_address": 1552}, memory, config)
