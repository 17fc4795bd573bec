"""The estimate grows with lanes and ports, and a lane's DSP slices are those of its multipliers: six, or twelve of int16."""

from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.resources import estimate


def test_estimate() -> None:
    one, two = (estimate(ZIPConfig(lanes=lanes)) for lanes in (1, 2))
    assert (one.dsp, two.dsp) == (12, 24)
    assert one.lut < two.lut < 2 * one.lut
    assert one.ff < two.ff < 2 * one.ff
    both = estimate(ZIPConfig(lanes=4, memory_ports=2))
    assert (both.dsp, both.bram36) == (48, 2 * two.bram36)
    assert two.lut < both.lut < 2 * two.lut + 1000
    integers = estimate(ZIPConfig(number_format=1))
    assert integers.dsp == 24
    assert integers.lut < two.lut
