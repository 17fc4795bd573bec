"""The whole core and its peripheral, in small configurations."""

import json

import pytest

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from cosoc.gateware.peripheral.verilog import peripheral_verilog
from tests.gateware.conv2d.core.engine import SMALLEST
from tests.gateware.harness import simulate

FOLDER = "tests.gateware.conv2d.core"

CONFIGS = {
    "4x4x2": SMALLEST,
    "8x8x4-two-ports": {"input_lanes": 8, "output_lanes": 8, "pixel_lanes": 4, "memory_ports": 2} | {"feature_words": 1024},
    "8x8x2-int16": {"activation_bits": 16, "input_lanes": 8, "output_lanes": 8, "feature_words": 1024},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_core(name):
    core = Conv2DCore(Conv2DConfig(**CONFIGS[name]))
    env = {"CONFIG": json.dumps(CONFIGS[name])}
    simulate(core, name="conv2d", module=f"{FOLDER}.bench_core", simulator="verilator", seed=1, env=env, timeout_s=500)


def test_core_in_icarus():
    """A second simulator, on the shortest tests of every kind of layer."""
    config = CONFIGS["4x4x2"]
    env = {"CONFIG": json.dumps(config), "COCOTB_TEST_FILTER": "pointwise|folded|depthwise_windows|residuals|pooled|errors_end"}
    core = Conv2DCore(Conv2DConfig(**config))
    simulate(core, name="conv2d", module=f"{FOLDER}.bench_core", simulator="icarus", seed=1, env=env, timeout_s=300)


def test_peripheral():
    """With registers, ring and DMA around it; soft resets, and programs that memory refuses."""
    verilog = peripheral_verilog(ACCELERATORS[0], Conv2DConfig(**SMALLEST))
    name = f"cosoc_{ACCELERATORS[0].module}"
    simulate(verilog, name=name, module=f"{FOLDER}.bench_peripheral", simulator="verilator", seed=2, timeout_s=500)
