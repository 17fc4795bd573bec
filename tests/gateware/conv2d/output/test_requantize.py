"""The requantizer against the golden rule, which has tests of its own against rational numbers: corners and many random vectors."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.golden import OutputFormat
from cosoc.gateware.conv2d.isa import RESIDUAL_FRACTION
from cosoc.gateware.device import ULTRASCALE, Device
from tests.gateware.conv2d.output.requantizer_bench import Batch, run

CONFIGS = {
    8: Conv2DConfig(input_lanes=4, output_lanes=16, pixel_lanes=1),
    16: Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=1, activation_bits=16),
}

NARROW = Device(multiplier_bits=18)
"""Splits products as ECP5 does, whose multipliers have a test of their own."""


def check(bits: int, batches: list[Batch], device: Device = ULTRASCALE) -> list[np.ndarray]:
    batches = [batch.reshaped(CONFIGS[bits].output_lanes) for batch in batches]
    results = run(CONFIGS[bits], batches, device)
    for batch, result in zip(batches, results, strict=True):
        wrong = np.argwhere(result != batch.expected())
        row, lane = wrong[0] if len(wrong) else (0, 0)
        assert len(wrong) == 0, (
            f"{len(wrong)} of {result.size} differ, first sum {batch.sums[row, lane]} + {batch.bias[row, lane]}, "
            f"multiplier {batch.multiplier[row, lane]!r}, {batch.output}: {result[row, lane]}, not {batch.expected()[row, lane]}"
        )
    return results


def vectors(
    output: OutputFormat, totals: list[int], multipliers: list[float], residuals: list[int] | None, rng: np.random.Generator
) -> Batch:
    """All combinations; the totals are split into sums and biases at random, modulo the width of the accumulator."""
    residual_values = residuals or [0]
    rows = np.array(list(product(totals, range(len(multipliers)), residual_values)), dtype=np.int64)
    bits = 32 if output.activation_bits == 8 else 48
    bias = rng.integers(-(1 << bits - 1), 1 << bits - 1, len(rows)) * rng.integers(0, 2, len(rows))
    sums = (rows[:, 0] - bias) << 64 - bits >> 64 - bits
    multiplier = np.array(multipliers, np.float32)[rows[:, 1]]
    return Batch(output, sums, bias, multiplier, None if residuals is None else rows[:, 2])


def full(bits: int, **fields: int) -> OutputFormat:
    limit = 1 << bits - 1
    return OutputFormat(**{"activation_bits": bits, "clamp_min": -limit, "clamp_max": limit - 1} | fields)


def edges(bits: int) -> list[int]:
    """Totals at the ends of the accumulator, around the 24 bits of a mantissa, with ties of the first rounding."""
    top = 31 if bits == 8 else 47
    near = [power + offset for power in (1 << 23, 1 << 24, 1 << 25, 1 << 26, 1 << top - 1) for offset in (-1, 0, 1, 2, 3)]
    ties = [(1 << 30) + odd * 64 + offset for odd in (1, 3) for offset in (-1, 0, 1)]
    values = [0, 1, 2, 3, 5, 127, 128, 255, *near, *ties, (1 << top) - 1, (1 << top) - 64, (1 << top) - 65]
    return [*values, *(-value for value in values), -(1 << top)]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("device", [ULTRASCALE, NARROW], ids=["ultrascale", "narrow"])
def test_edges_of_sums_and_multipliers(bits: int, device: Device) -> None:
    """From subnormal to the greatest multiplier, around the bounds where products saturate or become tiny."""
    rng = np.random.default_rng(1)
    around = [exponent + offset for exponent in (-31, -24, -17, -9, -1) for offset in (0, 1, 2)]
    mantissas = (1.0, 1.5, float(np.nextafter(np.float32(2), np.float32(0))))
    multipliers = [mantissa * 2.0**exponent for mantissa in mantissas for exponent in around]
    multipliers += [1e-45, 1.1754942e-38, 2.0**-126, 2.0**-120, 2.0**127, 3.4028235e38]
    one = 1 << RESIDUAL_FRACTION[bits]
    check(
        bits,
        [
            vectors(full(bits), edges(bits), multipliers, None, rng),
            vectors(full(bits, zero_point=-7, residual_multiplier=one // 2), edges(bits)[::3], multipliers, [-3, 1, 2], rng),
        ],
        device,
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_ties_go_to_even(bits: int) -> None:
    rng = np.random.default_rng(2)
    odd = list(range(-41, 42, 2))
    batch = vectors(full(bits), odd, [0.5], None, rng)
    (result,) = check(bits, [batch])
    assert (result % 2 == 0).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("multiplier", [2.0**-18, 2.0**-40, 2.0**-100, 2.0**-126])
def test_a_product_below_the_fixed_point_breaks_the_tie_of_a_residual(bits: int, multiplier: float) -> None:
    """The residual alone is a tie; the sign of what is left of the product decides, and no product leaves it to evenness."""
    rng = np.random.default_rng(3)
    half = 1 << RESIDUAL_FRACTION[bits] - 1
    batch = vectors(full(bits, residual_multiplier=half), [-1, 0, 1], [multiplier], [-3, -1, 1, 3], rng)
    shaped = batch.reshaped(CONFIGS[bits].output_lanes)
    (result,) = check(bits, [batch])
    exact = np.sign(shaped.sums + shaped.bias) / 4 + shaped.residual / 2
    assert result.tolist() == np.rint(exact).astype(int).tolist()


@pytest.mark.parametrize("bits", [8, 16])
def test_residuals_at_every_extreme(bits: int) -> None:
    """Extreme residuals, zero points and multipliers; products at their bound, and of either sign and nothing beside them."""
    rng = np.random.default_rng(4)
    limit = 1 << bits - 1
    extremes = [-limit, -limit + 1, -1, 0, 1, limit - 1]
    totals = [0, 1, -1, (1 << 15) - 1, 1 << 15, -(1 << 15), 8 * 4096 - 3, -(8 * 4096) + 3, (1 << 21) + 9, -(1 << 30), 3 << 28]
    batches = []
    for residual_zero_point, zero_point in product((-limit, 0, limit - 1), (-limit, limit - 1)):
        for residual_multiplier in (0, 1, (1 << RESIDUAL_FRACTION[bits]) - 1, (1 << 28) - 1):
            output = full(
                bits, zero_point=zero_point, residual_zero_point=residual_zero_point, residual_multiplier=residual_multiplier
            )
            batches.append(vectors(output, totals, [1.0, 2.0**-10, 1e30], extremes, rng))
    check(bits, batches[:: 1 if bits == 8 else 3])


@pytest.mark.parametrize("bits", [8, 16])
def test_clamps(bits: int) -> None:
    rng = np.random.default_rng(5)
    limit = 1 << bits - 1
    totals = list(range(-300, 301, 7))
    ranges = [(-limit, -limit), (limit - 1, limit - 1), (0, 6), (-5, limit - 1), (-limit, 90)]
    batches = [
        vectors(full(bits, zero_point=zero_point, clamp_min=low, clamp_max=high), totals, [limit / 128, 1e20], None, rng)
        for (low, high), zero_point in product(ranges, (-limit, 0, limit - 1))
    ]
    check(bits, batches)


def random_batch(bits: int, count: int, rng: np.random.Generator) -> Batch:
    """Totals of every magnitude, results within and around the range, half of them near a tie; a random number format."""
    width, limit = (32, 1 << 7) if bits == 8 else (48, 1 << 15)
    low, high = sorted(int(value) for value in rng.integers(-limit, limit, 2))
    narrow = rng.random() < 0.3
    fraction = RESIDUAL_FRACTION[bits]
    output = full(
        bits,
        zero_point=int(rng.integers(-limit, limit)),
        clamp_min=low if narrow else -limit,
        clamp_max=high if narrow else limit - 1,
        residual_zero_point=int(rng.integers(-limit, limit)),
        residual_multiplier=int(rng.integers(1 << 28)) >> int(rng.integers(0, 20)) if rng.random() < 0.7 else 1 << fraction - 1,
    )
    total = rng.integers(-(1 << width - 1), 1 << width - 1, count) >> rng.integers(0, width - 1, count)
    bias = rng.integers(-(1 << width - 1), 1 << width - 1, count)
    sums = (total - bias) << 64 - width >> 64 - width
    residual = rng.integers(-limit, limit, count) if rng.random() < 0.6 else None
    goal = rng.integers(-2 * limit, 2 * limit, count) + np.where(rng.random(count) < 0.5, 0.5, rng.random(count))
    if residual is not None:
        goal = goal - (residual - output.residual_zero_point) * output.residual_multiplier / 2.0**fraction
    near = np.abs(goal / np.where(total == 0, 1, total)).astype(np.float32)
    wild = (rng.uniform(1, 2, count) * 2.0 ** rng.integers(-60, 20, count)).astype(np.float32)
    multiplier = np.where((rng.random(count) < 0.2) | (near == 0), wild, near)
    return Batch(output, sums, bias, multiplier, residual)


@pytest.mark.parametrize(("seed", "device"), [(0, ULTRASCALE), (1, ULTRASCALE), (2, ULTRASCALE), (3, NARROW)])
def test_random_int8(seed: int, device: Device) -> None:
    """4 x 25,600 vectors, the number format changing every 16 cycles."""
    rng = np.random.default_rng(seed)
    check(8, [random_batch(8, 256, rng) for _ in range(100)], device)


def test_random_int16() -> None:
    rng = np.random.default_rng(16)
    check(16, [random_batch(16, 64, rng) for _ in range(100)])


def test_random_vectors_reach_what_they_are_for() -> None:
    """They tell the rule from one that rounds the product to an integer once, and from one that knows of no residual."""
    rng = np.random.default_rng(0)
    batches = [random_batch(8, 256, rng) for _ in range(100)]
    once = plain = inside = 0
    for batch in batches:
        expected = batch.expected()
        total = ((batch.sums + batch.bias) << 32 >> 32).astype(np.float64)
        value = total * batch.multiplier.astype(np.float64)
        if batch.residual is not None:
            value += (batch.residual - batch.output.residual_zero_point) * batch.output.residual_multiplier / 2.0**16
            plain += int((Batch(batch.output, batch.sums, batch.bias, batch.multiplier).expected() != expected).sum())
        rounded = np.clip(np.rint(value) + batch.output.zero_point, batch.output.clamp_min, batch.output.clamp_max)
        once += int((rounded != expected).sum())
        inside += int(((expected > batch.output.clamp_min) & (expected < batch.output.clamp_max)).sum())
    assert once > 100
    assert plain > 1000
    assert inside > 5000
