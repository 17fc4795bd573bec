"""The Conv2D core on both simulators."""

import json

import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from tests.gateware.conv2d.tiles import SMALL
from tests.gateware.harness import simulate

MODULE = "tests.gateware.conv2d.bench_core"

LARGE = {"activation_words": 2048, "weight_steps": 64, "output_words": 1024, "partial_pixels": 64}
"""Buffers for a tile of 16x16 pixels and 64 channels."""

CASES = [
    ("verilator", 8, SMALL, ".*"),
    ("verilator", 16, LARGE, ".*"),
    ("icarus", 8, SMALL, ".*"),
    ("icarus", 16, SMALL, ".*"),
    ("icarus", 32, SMALL, "output_channels|single_steps|requantization|refusals"),  # what differs with the lanes
]


@pytest.mark.parametrize(("simulator", "lanes", "buffers", "tests"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_core(simulator, lanes, buffers, tests):
    parameters = {"output_lanes": lanes} | buffers
    core = Conv2DCore(Conv2DConfig(**parameters))
    env = {"CONFIG": json.dumps(parameters), "CYCLES": str(int(simulator == "verilator")), "COCOTB_TEST_FILTER": tests}
    simulate(core, name="conv2d_core", module=MODULE, simulator=simulator, seed=1, env=env, timeout_s=500)
