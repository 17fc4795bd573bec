"""The golden model against the rule in rational numbers and PyTorch's convolutions in float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from cosoc.gateware.conv2d.golden import OutputFormat, Pooling, convolve, max_pool, requantize, wrap
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION

SUM_BITS = {8: 32, 16: 48}
LIMIT = {8: 2**15, 16: 2**31}
TYPES = {8: np.int8, 16: np.int16}


def round_half_even(value: Fraction, bits: int | None = None) -> Fraction:
    """To an integer, or to a float with this many significant bits and no limit of its exponent."""
    unit = Fraction(1)
    if bits is not None and value != 0:
        exponent = value.numerator.bit_length() - value.denominator.bit_length()
        exponent -= abs(value) < Fraction(2) ** exponent
        unit = Fraction(2) ** (exponent - bits + 1)
    return round(value / unit) * unit


def exact(total: int, multiplier: float, output: OutputFormat, residual: int | None = None) -> int:
    """The rule of docs/conv2d.md in rational numbers."""
    bits = output.activation_bits
    half = 1 << SUM_BITS[bits] - 1
    total = (total + half) % (2 * half) - half
    factor = Fraction(multiplier) if multiplier >= 2.0**-126 else Fraction(0)
    value = round_half_even(round_half_even(Fraction(total), 24) * factor, 24)
    value = min(max(value, Fraction(-LIMIT[bits])), Fraction(LIMIT[bits]))
    if residual is not None:
        value += (residual - output.residual_zero_point) * Fraction(output.residual_multiplier, 2 ** RESIDUAL_FRACTION[bits])
    return min(max(int(round_half_even(value)) + output.zero_point, output.clamp_min), output.clamp_max)


def formats(bits: int) -> list[OutputFormat]:
    top = (1 << bits - 1) - 1
    one = 1 << RESIDUAL_FRACTION[bits]
    full = {"activation_bits": bits, "clamp_min": -top - 1, "clamp_max": top}
    return [
        OutputFormat(**full, residual_multiplier=one),
        OutputFormat(**full, residual_multiplier=one // 2, residual_zero_point=3, zero_point=-top - 1),
        OutputFormat(**full, residual_multiplier=(1 << 28) - 1, residual_zero_point=-top - 1, zero_point=top),
        OutputFormat(**full | {"clamp_min": -5, "clamp_max": top - 30}, residual_multiplier=one // 3, zero_point=100),
        OutputFormat(**full, residual_multiplier=0, residual_zero_point=top),
    ]


def cases(bits: int, kind: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums and multipliers that reach ties, limits of ranges, boundaries between two results, or just many magnitudes."""
    rng = np.random.default_rng(seed)
    wide = SUM_BITS[bits]
    if kind == "ties":
        shift = rng.integers(1, 12, count)
        halves = 2 * rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), count) + 1
        return halves << shift - 1, 2.0**-shift
    if kind == "sizes":
        total = rng.integers(-(2 ** (wide - 1)), 2 ** (wide - 1), count) >> rng.integers(0, wide, count)
        return total, rng.uniform(1, 2, count) * 2.0 ** rng.integers(-60, 12, count)
    if kind == "limits":
        edges = [0, 1, -1, 2 ** (wide - 1) - 1, -(2 ** (wide - 1)), 2 ** (wide - 1), 2**24 + 1, -(2**24) - 1, 2**25 + 2, 2**25 + 6]
        factors = [1.0, 2.0**-127, 2.0**-149, 1.5 * 2.0**-126, 2.0**127, 3.4e38, 2.0**-16, 2.0**-17, float(np.float32(1 / 3))]
        pairs = [(total, factor) for total in edges for factor in factors]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    # Products that are one half up to the last bit of a float32, on either side.
    total = rng.integers(1, 2**wide // 4, count)
    goal = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), count) + 0.5
    factor = (np.abs(goal) / total).astype(np.float32)
    return total * np.sign(goal).astype(int), np.nextafter(factor, np.float32(rng.choice([0, 9])), dtype=np.float32)


@pytest.mark.parametrize("kind", ["ties", "limits", "sizes", "boundaries"])
@pytest.mark.parametrize("bits", [8, 16])
def test_requantize_is_the_exact_rule(bits, kind):
    rng = np.random.default_rng(3)
    total, factor = cases(bits, kind, 250, seed=bits)
    multiplier = factor.astype(np.float32)
    residual = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), total.shape).astype(TYPES[bits])
    residual[:40:4], residual[1:40:4] = np.iinfo(residual.dtype).min, np.iinfo(residual.dtype).max
    for output in formats(bits):
        pairs = list(zip(total.tolist(), multiplier.tolist(), strict=True))
        plain = [exact(t, m, output) for t, m in pairs]
        assert requantize(total, multiplier, output).tolist() == plain
        added = [exact(t, m, output, r) for (t, m), r in zip(pairs, residual.tolist(), strict=True)]
        result = requantize(total, multiplier, output, residual)
        assert result.tolist() == added
        assert result.dtype == TYPES[bits]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_product_below_the_fixed_point_still_breaks_ties(bits):
    """The residual alone is a tie; a product far below 2^-F decides it, one with a subnormal multiplier does not."""
    output = OutputFormat(activation_bits=bits, residual_multiplier=1 << RESIDUAL_FRACTION[bits] - 1)
    residual = np.ones(6, TYPES[bits])
    total = np.array([1, -1, 0, 9, -1, 1])
    multiplier = np.array([2.0**-100, 2.0**-100, 1.0, 2.0**-127, 2.0**-127, 2.0**-126], np.float32)
    assert requantize(total, multiplier, output, residual).tolist() == [1, 0, 0, 0, 0, 1]


def test_products_saturate_before_the_residual_is_added():
    output = OutputFormat(residual_multiplier=(1 << 28) - 1)
    residual = np.array([-128, 8, -9], np.int8)
    # 8 * 4096 cancels the bound -2^15 but not the product -2^20.
    result = requantize(np.array([2**20, -(2**20), 2**20]), np.float32(1.0), output, residual)
    assert result.tolist() == [exact(t, 1.0, output, r) for t, r in ((2**20, -128), (-(2**20), 8), (2**20, -9))]
    assert result.tolist()[1] == 0


def test_cases_reach_what_they_are_for():
    """They tell the rule from one with a single rounding, and from rounding away from zero."""
    total, factor = cases(8, "boundaries", 3000, seed=4)
    once = np.clip(np.rint(total * factor.astype(np.float64)), -128, 127)
    assert (requantize(total, factor, OutputFormat()) != once).sum() > 100
    total, factor = cases(8, "ties", 500, seed=5)
    away = np.clip(np.sign(total) * np.floor(np.abs(total * factor) + 0.5), -128, 127)
    assert (requantize(total, factor, OutputFormat()) != away).sum() > 30


def test_wrap():
    assert wrap([2**31, -(2**31) - 1, 5, 2**32 + 7], 32).tolist() == [-(2**31), 2**31 - 1, 5, 7]
    assert wrap([2**47, -(2**47) - 1], 48).tolist() == [-(2**47), 2**47 - 1]


SHAPES = [
    # input (N, H, W, C), output channels, kernel, stride, padding, dilation, groups
    ((2, 9, 8, 3), 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 8, 9, 6), 4, (3, 2), (2, 1), (1, 0, 2, 1), (1, 2), 2),
    ((1, 7, 7, 17), 17, (3, 3), (2, 2), (0, 0, 1, 1), (1, 1), 17),
    ((1, 1, 1, 31), 13, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((1, 1, 1, 1), 1, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 2, 3, 2), 3, (7, 7), (3, 3), (3, 3, 3, 3), (1, 1), 1),
    ((1, 11, 5, 4), 6, (2, 3), (3, 2), (2, 1, 0, 3), (3, 2), 1),
    ((1, 13, 10, 3), 4, (3, 3), (4, 4), (1, 1, 1, 1), (1, 1), 1),
    ((1, 12, 14, 2), 3, (11, 11), (1, 2), (5, 5, 5, 5), (1, 1), 1),
    ((1, 5, 9, 4), 6, (1, 7), (1, 1), (0, 3, 0, 3), (1, 1), 2),
    ((1, 9, 4, 5), 5, (7, 1), (4, 1), (3, 0, 3, 0), (1, 1), 5),
]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("shape", "channels", "kernel", "stride", "padding", "dilation", "groups"), SHAPES)
def test_convolve_is_the_convolution_of_pytorch(shape, channels, kernel, stride, padding, dilation, groups, bits):
    """Sums from PyTorch in float64, results by the exact rule; with a residual, and pooled by PyTorch's pooling."""
    rng = np.random.default_rng(5)
    top = 2 ** (bits - 1)
    x = rng.integers(-top, top, shape).astype(TYPES[bits])
    weight = rng.integers(-128, 128, (channels, *kernel, shape[3] // groups)).astype(np.int8)
    spread = 74.0 * top * 0.6 * np.sqrt(weight[0].size)
    bias = rng.normal(0, spread, channels).astype(np.int64)
    multiplier = (rng.uniform(0.5, 2, channels) * 0.4 * top / spread).astype(np.float32)
    output = OutputFormat(
        activation_bits=bits,
        zero_point=11,
        clamp_min=-top + 20,
        clamp_max=top - 1,
        residual_zero_point=-9,
        residual_multiplier=(1 << RESIDUAL_FRACTION[bits]) // 3,
    )
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "in_zero_point": -7}

    above, left, below, right = padding
    nchw = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    padded = torch.nn.functional.pad(nchw, (left, right, above, below), value=-7)
    taps = torch.from_numpy(weight.astype(np.float64)).permute(0, 3, 1, 2)
    sums = torch.nn.functional.conv2d(padded, taps, stride=stride, dilation=dilation, groups=groups).permute(0, 2, 3, 1)
    total = sums.numpy().astype(np.int64) + bias
    residual = rng.integers(-top, top, total.shape).astype(TYPES[bits])
    factors = np.broadcast_to(multiplier, total.shape).ravel().tolist()
    expected = [exact(t, m, output, r) for t, m, r in zip(total.ravel().tolist(), factors, residual.ravel().tolist(), strict=True)]
    expected = np.array(expected).reshape(total.shape)

    assert np.array_equal(convolve(x, weight, bias, multiplier, output, residual=residual, **attributes), expected)
    if min(expected.shape[1:3]) >= 2:
        pooling = Pooling(window=(3, 2), stride=(2, 1), padding=(1, 0, 1, 1))
        pooled = convolve(x, weight, bias, multiplier, output, residual=residual, pooling=pooling, **attributes)
        bordered = torch.nn.functional.pad(
            torch.from_numpy(expected.astype(np.float64)).permute(0, 3, 1, 2), (0, 1, 1, 1), value=-1e9
        )
        reference = torch.nn.functional.max_pool2d(bordered, (3, 2), (2, 1)).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(pooled, reference)


def test_convolve_is_a_convolution_of_the_numbers_that_activations_stand_for():
    """Scales and zero points as the converter makes them: within rounding of PyTorch's convolution of real numbers."""
    rng = np.random.default_rng(6)
    in_scale, weight_scale, out_scale, residual_scale = 0.02, rng.uniform(0.005, 0.02, 5), 0.3, 0.17
    in_zero, out_zero, residual_zero = 3, -20, 9
    x = rng.integers(-128, 128, (1, 9, 10, 6)).astype(np.int8)
    weight = rng.integers(-127, 128, (5, 3, 3, 6)).astype(np.int8)
    residual = rng.integers(-128, 128, (1, 5, 10, 5)).astype(np.int8)
    real_bias = rng.normal(0, 1, 5)

    real = torch.from_numpy((x.astype(float) - in_zero) * in_scale).permute(0, 3, 1, 2)
    taps = torch.from_numpy(weight.astype(float) * weight_scale[:, None, None, None]).permute(0, 3, 1, 2)
    sums = torch.nn.functional.conv2d(real, taps, torch.from_numpy(real_bias), stride=(2, 1), padding=1).permute(0, 2, 3, 1)
    expected = (sums.numpy() + (residual.astype(float) - residual_zero) * residual_scale) / out_scale + out_zero

    bias = np.rint(real_bias / (in_scale * weight_scale)).astype(np.int64) - in_zero * weight.astype(np.int64).sum(axis=(1, 2, 3))
    multiplier = (in_scale * weight_scale / out_scale).astype(np.float32)
    ratio = round(residual_scale / out_scale * 2 ** RESIDUAL_FRACTION[8])
    output = OutputFormat(zero_point=out_zero, residual_zero_point=residual_zero, residual_multiplier=ratio)
    attributes = {"stride": (2, 1), "padding": (1, 1, 1, 1), "in_zero_point": in_zero}
    result = convolve(x, weight, bias, multiplier, output, residual=residual, **attributes)
    inside = np.abs(expected) < 127
    assert inside.mean() > 0.5
    assert np.abs(result - np.clip(expected, -128, 127)).max() < 0.51
    assert np.std(result - expected, where=inside) < 0.32


def test_max_pool_of_padding_alone_is_the_lowest_value():
    x = np.full((1, 2, 2, 3), 5, np.int16)
    pooled = max_pool(x, Pooling(window=(2, 2), stride=(2, 2), padding=(2, 2, 0, 0)))
    assert pooled[0, :, :, 0].tolist() == [[-32768, -32768], [-32768, 5]]


def test_what_does_not_fit_is_refused():
    x, channel = np.zeros((1, 3, 3, 4), np.int8), (np.zeros(2, np.int64), np.ones(2, np.float32), OutputFormat())
    with pytest.raises(ValueError, match="4 input and 2 output channels do not fit"):
        convolve(x, np.zeros((2, 1, 1, 3), np.int8), *channel)
    with pytest.raises(ValueError, match="kernel 4x1 is larger than the padded input"):
        convolve(x, np.zeros((2, 4, 1, 4), np.int8), *channel)
    with pytest.raises(ValueError, match=r"a residual of shape \(1, 3, 3, 1\) does not fit a result of shape \(1, 3, 3, 2\)"):
        convolve(x, np.zeros((2, 1, 1, 4), np.int8), *channel, residual=np.zeros((1, 3, 3, 1), np.int8))
    with pytest.raises(ValueError, match=r"a window of \(4, 1\) is larger than the padded input \(3, 3\)"):
        max_pool(x, Pooling(window=(4, 1), stride=(1, 1)))
