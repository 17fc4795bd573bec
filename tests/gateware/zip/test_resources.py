"""The estimate grows with the lanes, and a lane's DSP slices are those of its six multipliers."""

from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.resources import estimate


def test_estimate() -> None:
    one, two = (estimate(ZIPConfig(lanes=lanes)) for lanes in (1, 2))
    assert (one.dsp, two.dsp) == (12, 24)
    assert one.lut < two.lut < 2 * one.lut
    assert one.ff < two.ff < 2 * one.ff
