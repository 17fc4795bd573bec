"""The whole core and its peripheral, in small configurations."""

import json

import pytest

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.core import Conv2DCore
from cosoc.gateware.peripheral.verilog import peripheral_verilog
from tests.gateware.conv2d.core.engine import SMALLEST
from tests.gateware.conv2d.points import POINTS, Point
from tests.gateware.harness import simulate

FOLDER = "tests.gateware.conv2d.core"

ANY_LAYER = (
    "pointwise|kernels|strides|folded|depthwise|residuals|pooled|extremes|words_of_no|random_layers|overlapping_layers|errors_end"
)
"""Tests whose bounds hold for engines of every size."""

THOROUGH = ("4x4x2-int8-p1", "4x8x2-int16-p2", "8x8x4-int8-p2")
"""Points with all tests: also stalls, and the cycles of a layer."""


def _marked(point: Point) -> object:
    return pytest.param(point, id=point.name, marks=[pytest.mark.slow, pytest.mark.timeout(3600)] if point.slow else [])


@pytest.mark.parametrize("point", [_marked(point) for point in POINTS])
def test_core(point: Point) -> None:
    env = {"CONFIG": json.dumps(point.parameters)}
    if point.name not in THOROUGH:
        env["COCOTB_TEST_FILTER"] = ANY_LAYER
    core = Conv2DCore(point.config)
    simulate(
        core,
        name="conv2d",
        module=f"{FOLDER}.bench_core",
        simulator="verilator",
        seed=1,
        env=env,
        timeout_s=3000 if point.slow else 500,
    )


def test_core_in_icarus():
    """A second simulator, on the shortest tests of every kind of layer, and on what a layer takes."""
    config = SMALLEST
    env = {
        "CONFIG": json.dumps(config),
        "COCOTB_TEST_FILTER": "pointwise|kernels|strides|folded|depthwise_windows|residuals|pooled|extremes|cycles|errors_end",
    }
    core = Conv2DCore(Conv2DConfig(**config))
    simulate(core, name="conv2d", module=f"{FOLDER}.bench_core", simulator="icarus", seed=1, env=env, timeout_s=500)


@pytest.mark.parametrize("ports", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_peripheral(ports: int):
    """With registers, ring and DMA around it, all of whose channels stall; soft resets, and programs that memory refuses."""
    config = {**SMALLEST, "output_lanes": 4 * ports, "memory_ports": ports}
    verilog = peripheral_verilog(ACCELERATORS[0], Conv2DConfig(**config))
    name, env = f"cosoc_{ACCELERATORS[0].module}", {"CONFIG": json.dumps(config)}
    simulate(verilog, name=name, module=f"{FOLDER}.bench_peripheral", simulator="verilator", seed=2, env=env, timeout_s=500)
