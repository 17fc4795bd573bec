"""The resource estimate, on what can be counted by hand."""

import itertools

import pytest

from cosoc.gateware.fft.config import FFTConfig, NumberFormat
from cosoc.gateware.fft.resources import estimate, pipeline


def test_default_core():
    """Complex multipliers of 8 DSP slices behind the stages of 1024, 256, 64, 16 and 4.

    Stages of 1024, 512 and 256: two lines of samples of 2, 1 and 1 block RAMs, and one line of control each; factors behind the
    stages of 1024, 256 and 64: 2, 2 and 1; reorder buffer: two banks of 4; buffers of two DMAs of 2.
    """
    total = estimate(FFTConfig(max_log2=11))
    assert total.dsp == 8 * 5
    assert total.bram36 == 2 * (2 + 1 + 1) + 3 + (2 + 2 + 1) + 2 * 4 + 2 * 2


def test_a_longer_transform_takes_more():
    sizes = [estimate(FFTConfig(max_log2=n)) for n in range(3, 17)]
    for smaller, larger in itertools.pairwise(sizes):
        assert larger.lut > smaller.lut
        assert larger.ff > smaller.ff
        assert larger.dsp >= smaller.dsp
        assert larger.bram36 >= smaller.bram36


def test_multipliers_of_each_format():
    """Behind the stages of 256, 64, 16 and 4; behind the last one half of the lanes, if there are several, have none."""
    block = {"number_format": int(NumberFormat.BLOCK_FLOATING_POINT)}
    assert [pipeline(FFTConfig(max_log2=10, samples=samples)).dsp for samples in (1, 2, 4)] == [32, 56, 112]
    assert [pipeline(FFTConfig(max_log2=10, samples=samples, **block)).dsp for samples in (1, 2, 4)] == [16, 28, 56]


@pytest.mark.parametrize("max_log2", range(5, 17))
@pytest.mark.parametrize("number_format", list(NumberFormat))
def test_two_samples_per_cycle_take_less_than_twice_as_much(max_log2, number_format):
    one, two = (estimate(FFTConfig(max_log2=max_log2, samples=p, number_format=int(number_format))) for p in (1, 2))
    assert two.dsp < 1.9 * one.dsp
    assert two.lut < 1.9 * one.lut
    assert two.ff < 1.9 * one.ff
