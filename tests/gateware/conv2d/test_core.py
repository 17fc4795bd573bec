"""The Conv2D core on both simulators."""

import json

import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from tests.gateware.conv2d.tiles import SMALL
from tests.gateware.harness import SIMULATORS, simulate

MODULE = "tests.gateware.conv2d.bench_core"


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("lanes", [8, 16])
def test_core(simulator, lanes):
    parameters = {"output_lanes": lanes} | SMALL
    core = Conv2DCore(Conv2DConfig(**parameters))
    simulate(core, name="conv2d_core", module=MODULE, simulator=simulator, seed=1, env={"CONFIG": json.dumps(parameters)})
