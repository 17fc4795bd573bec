"""The resource estimate, on what can be counted by hand."""

import itertools

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.resources import estimate


def test_default_core():
    """11 stages of 4 multipliers and 2 for the scaling, of 2 DSP slices each.

    Stages of 1024, 512 and 256: history, products and twiddles of 2, 1 and 1 block RAMs; reorder buffer: two banks of 4.
    """
    total = estimate(FFTConfig(max_log2=11))
    assert total.dsp == 2 * (4 * 11 + 2)
    assert total.bram36 == 3 * (2 + 1 + 1) + 2 * 4


def test_a_longer_transform_takes_more():
    sizes = [estimate(FFTConfig(max_log2=n)) for n in range(3, 17)]
    for smaller, larger in itertools.pairwise(sizes):
        assert larger.lut > smaller.lut
        assert larger.ff > smaller.ff
        assert larger.dsp > smaller.dsp
        assert larger.bram36 >= smaller.bram36
