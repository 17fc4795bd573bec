"""The model of the pipeline against NumPy's FFT in float64, against the definition, and properties without a reference."""

from __future__ import annotations

import cmath
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.frame import output_order
from cosoc.gateware.fft.transform import transform
from cosoc.gateware.fft.twiddles import fixed_point, root, twiddles
from tests.gateware.fft.signals import special_values, white_noise

LENGTHS = [1 << n for n in range(3, 12)]
FLOAT32 = FFTConfig()


def block(bits):
    return FFTConfig(number_format=int(NumberFormat.BLOCK_FLOATING_POINT), mantissa_bits=bits)


SNR_DB = [(FLOAT32, 130), (block(16), 76), (block(18), 88), (block(24), 100)]
"""Least ratio of signal to noise of a transform of 1,024 points."""


def to_bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


def snr_db(exact, found):
    return 10 * np.log10(np.sum(np.abs(exact) ** 2) / np.sum(np.abs(exact - found.astype(complex)) ** 2))


def reference(x, inverse):
    x = x.astype(complex)
    return np.fft.ifft(x) if inverse else np.fft.fft(x)


def signals_of_1024():
    """Frames of each kind, complex64."""
    rng = np.random.default_rng(1)
    n = np.arange(1024)
    frequencies = np.array([[0], [1], [255.5], [256], [300.25], [512], [1023]])
    signs = rng.choice([-1.0, 1.0], (2, 4, 1024))
    impulses = np.eye(1024)[[0, 1, 2, 511, 512, 513, 1023]] * (1 + 0.3j)
    kinds = {
        "noise": white_noise(rng, 8 * 1024).reshape(8, 1024),
        "tones": np.exp(2j * np.pi * frequencies * n / 1024),
        "impulses": impulses,
        "full scale": (signs[0] + 1j * signs[1]) * (2 - 2**-20),
    }
    return [pytest.param(x.astype(np.complex64), id=kind) for kind, x in kinds.items()]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("x", signals_of_1024())
@pytest.mark.parametrize(("config", "least"), SNR_DB, ids=["float32", "block16", "block18", "block24"])
def test_noise(config, least, x, inverse):
    """Of every single frame, not of the sum over all."""
    found = transform(x, inverse, config=config)
    for exact, result in zip(reference(x, inverse), found, strict=True):
        assert np.array_equal(exact, result) or snr_db(exact, result) >= least


def by_definition(x, inverse, interleave_log2=0):
    """One frame by recursion, number by number in NumPy scalars and with twiddle factors that are rounded once."""
    x = [(np.float32(v.imag), np.float32(v.real)) if inverse else (np.float32(v.real), np.float32(v.imag)) for v in x]
    y = recursive(x, interleave_log2 % 2)
    scale = np.float32(1 / len(x))
    return [(im * scale, re * scale) for re, im in y] if inverse else y


def recursive(x, last_alone):
    """One step of radix 2 or 4, then the same for each part; with `last_alone` the last step is one of radix 2."""
    if len(x) == 1:
        return x
    if len(x) == 2:
        (a, b), (c, d) = x
        return [(a + c, b + d), (a - c, b - d)]
    log2 = len(x).bit_length() - 1
    parts = 2 if (log2 + last_alone) % 2 else 4
    part = len(x) // parts
    steps = [[] for _ in range(parts)]
    for n in range(part):
        results = radix(*(x[n + k * part] for k in range(parts)))
        for p, (re, im) in enumerate(results):
            c, s = rounded_root(n * p, len(x))
            steps[p].append((re * c - im * s, re * s + im * c) if n * p else (re, im))
    transformed = [recursive(step, last_alone) for step in steps]
    return [transformed[k % parts][k // parts] for k in range(len(x))]


def radix(*x):
    """The transform of two or four numbers."""

    def add(a, b):
        return a[0] + b[0], a[1] + b[1]

    def subtract(a, b):
        return a[0] - b[0], a[1] - b[1]

    if len(x) == 2:
        return add(*x), subtract(*x)
    turned = x[1][1] - x[3][1], x[3][0] - x[1][0]
    even, odd, difference = add(x[0], x[2]), add(x[1], x[3]), subtract(x[0], x[2])
    return add(even, odd), add(difference, turned), subtract(even, odd), subtract(difference, turned)


def rounded_root(power, order):
    """exp(-2 pi i power / order), in extended precision; zeros are exact."""
    angle = np.longdouble(2) * np.longdouble("3.14159265358979323846264338327950288") * power / order
    return tuple(np.float32(np.round(part, 18)) for part in (np.cos(angle), -np.sin(angle)))


@pytest.mark.parametrize("interleave_log2", [0, 1, 2])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("length", [8, 16, 128, 256])
def test_every_bit_by_the_definition(length, inverse, interleave_log2):
    x = white_noise(np.random.default_rng(length), length)
    expected = np.array(by_definition(x, inverse, interleave_log2), np.float32)
    found = transform(x[None], inverse, interleave_log2=interleave_log2)
    assert np.array_equal(to_bits(found).ravel(), to_bits(expected).ravel())


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("config", "least"), [(FLOAT32, 130), (block(16), 76)], ids=["float32", "block16"])
def test_lengths(config, least, length, inverse):
    x = white_noise(np.random.default_rng(length), 16 * length).reshape(16, length)
    for interleave_log2 in range(2):
        found = transform(x, inverse, interleave_log2=interleave_log2, config=config)
        assert snr_db(reference(x, inverse), found) >= least


def test_impulse_is_exact():
    for config in (FLOAT32, block(16), block(24)):
        x = np.eye(1, 1024, dtype=np.complex64)
        assert np.all(transform(x, False, config=config) == 1)
        assert np.all(transform(x, True, config=config) == np.float32(1 / 1024))


@pytest.mark.parametrize("length", LENGTHS)
def test_inverse_undoes_forward(length):
    x = white_noise(np.random.default_rng(length), 4 * length).reshape(4, length)
    for config, least in ((FLOAT32, 127), (block(16), 73), (block(24), 97)):
        assert snr_db(x, transform(transform(x, False, config=config), True, config=config)) >= least


def test_scaling_is_a_choice_of_its_own():
    x = white_noise(np.random.default_rng(3), 64).reshape(1, 64)
    for inverse in (False, True):
        scaled, unscaled = (transform(x, inverse, scaled=scaled) for scaled in (True, False))
        assert np.array_equal(scaled * np.float32(64), unscaled)


def test_linearity():
    rng = np.random.default_rng(4)
    x, y = (white_noise(rng, 8 * 512).reshape(8, 512) for _ in range(2))
    a, b = np.complex64(0.5 - 2j), np.complex64(3)
    for config, least in ((FLOAT32, 125), (block(16), 72)):
        together = a * transform(x, False, config=config) + b * transform(y, False, config=config)
        assert snr_db(together, transform(a * x + b * y, False, config=config)) >= least


def test_parseval():
    x = white_noise(np.random.default_rng(5), 8 * 2048).reshape(8, 2048)
    energy = np.sum(np.abs(x.astype(complex)) ** 2, axis=1)
    for config, tolerance in ((FLOAT32, 1e-6), (block(16), 1e-4)):
        found = transform(x, False, config=config).astype(complex)
        assert np.allclose(np.sum(np.abs(found) ** 2, axis=1) / 2048, energy, rtol=tolerance)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(3, 8), st.integers(0, 2**32 - 1), st.integers(-20, 20), st.sampled_from([FLOAT32, block(16)]))
def test_scaling_by_powers_of_two_is_exact(log2_length, seed, exponent, config):
    x = white_noise(np.random.default_rng(seed), 1 << log2_length)[None]
    factor = np.float32(2.0**exponent)
    assert np.array_equal(transform(x * factor, False, config=config), transform(x, False, config=config) * factor)


def test_subnormal_results_of_the_inverse_are_rounded_once():
    """1/8 of the sum of an impulse's spectrum: halves between two subnormal numbers go to the even one."""
    for units, rounded in ((4, 0), (5, 1), (12, 2), (20, 2), (28, 4)):
        x = np.zeros((1, 8), np.complex64)
        x.view(np.uint32)[0, 0] = units  # units of the smallest subnormal number
        found = to_bits(transform(x, True)).reshape(8, 2)
        assert np.all(found[:, 0] == rounded)


@pytest.mark.parametrize("config", [FLOAT32, block(16)], ids=["float32", "block16"])
def test_nan_is_canonical_and_stays_in_its_frame(config):
    x = white_noise(np.random.default_rng(6), 2 * 64).reshape(2, 64)
    clean = transform(x, False, config=config)
    x.view(np.uint32)[0, 17] = 0xFFC12345
    found = transform(x, False, config=config)
    words = to_bits(found[0])
    assert np.all(words[np.isnan(found[0].view(np.float32))] == 0x7FC00000)
    assert np.all(np.isnan(found[0]))
    assert np.array_equal(to_bits(found[1]), to_bits(clean[1]))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("config", [FLOAT32, block(20)], ids=["float32", "block20"])
def test_frames_are_independent(config, inverse):
    x = special_values(np.random.default_rng(7), 12, 32)
    together = transform(x, inverse, config=config)
    for frame, expected in zip(x, together, strict=True):
        assert np.array_equal(to_bits(transform(frame[None], inverse, config=config)[0]), to_bits(expected))


@pytest.mark.parametrize("x", [np.zeros(8, np.complex64), np.zeros((1, 8)), np.zeros((1, 12), np.complex64)])
def test_bad_arrays_are_refused(x):
    with pytest.raises(ValueError, match=r"expected .* found"):
        transform(x, False)


def test_roots():
    """Near the exact ones, exact on the axes, without negative zeros; symmetric once rounded."""
    for order in (8, 64, 4096):
        for power in range(order):
            found = root(power, order)
            assert abs(found - cmath.exp(-2j * cmath.pi * Fraction(power, order))) < 1e-15
            assert np.complex64(root(order - power, order)) == np.complex64(found.conjugate())
            assert np.complex64(root(power + order // 4, order)) == np.complex64(-1j * found)
        assert [root(quarter * order // 4, order) for quarter in range(4)] == [1, -1j, -1, 1j]
        axes = np.array([root(quarter * order // 4, order) for quarter in range(4)])
        assert not np.any(np.signbit(axes.view(float)) & (axes.view(float) == 0))


def test_factors_in_fixed_point():
    re, im = fixed_point(twiddles(64))
    assert np.abs(re + 1j * im - twiddles(64) * 2**17)[1:, 1:].max() <= np.sqrt(0.5)
    assert re.min() >= -(2**17)
    assert max(re.max(), im.max()) < 2**17


def test_output_order():
    """Result k of column c is number k * W + c, at the place whose upper bits are those of k reversed."""
    assert output_order(3).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert output_order(3, 1).tolist() == [0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15]
