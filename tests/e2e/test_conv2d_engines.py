"""Other engines than the default one, each in a SoC of its own: that of the board zcu102, the largest, one with a narrow port."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.support.networks import NETWORKS, Layer
from bench.support.soc import build_soc
from tests.e2e.conv2d_rtl import check_schedule, run_in_rtl

SEED = 3
BUILD_TIMEOUT = 3000

ENGINES = {
    "zcu102": {"c2d_output_lanes": "16", "c2d_pixel_lanes": "4", "c2d_memory_ports": "2"},
    "port64": {"c2d_memory_port_bits": "64"},
    "2048": {
        "c2d_output_lanes": "16",
        "c2d_pixel_lanes": "8",
        "c2d_feature_words": "65536",
        "c2d_weight_steps": "2048",
        "c2d_channel_blocks": "256",
        "c2d_memory_ports": "2",
    },
}
"""Options of the build."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_TIMEOUT)]


def layer(name: str, **members: Any) -> Layer:
    return Layer(name=name, input="x", output="y", **members)


LAYERS = [
    layer("3x3", rows=28, columns=28, channels=64, filters=64, kernel=3, padding=1, residual="r"),
    layer("1x1", rows=28, columns=28, channels=64, filters=128, kernel=1),
    layer("1x1-stride", rows=56, columns=56, channels=64, filters=128, kernel=1, stride=2),
    layer("1x1-residual", rows=28, columns=28, channels=96, filters=64, kernel=1, residual="r"),
    layer("first", rows=112, columns=112, channels=3, filters=32, kernel=3, stride=2, padding=1),
    layer("depthwise", rows=28, columns=28, channels=192, filters=192, kernel=3, padding=1, groups=192),
    layer("depthwise-stride", rows=28, columns=28, channels=96, filters=96, kernel=3, stride=2, padding=1, groups=96),
    layer("pooled", rows=28, columns=28, channels=32, filters=32, kernel=3, padding=1, pool=(2, 2, 0)),
    layer("pooling", rows=28, columns=28, channels=64, filters=64, kernel=1, pool=(2, 2, 0), kind="max_pooling"),
    layer("average", rows=7, columns=7, channels=128, filters=128, kernel=7, groups=128, average=True),
    layer("add", rows=28, columns=28, channels=64, filters=64, kernel=1, groups=64, residual="r"),
    layer("fully-connected", rows=1, columns=1, channels=512, filters=1000, kernel=1),
]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def soc(engine: str) -> Path:
    """soc.json of an engine that is simulated in RTL."""
    return build_soc({"c2d": "1", "fft": "0", "zip": "0"} | ENGINES[engine], BUILD_TIMEOUT)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_layers(build: Path, soc: Path, tmp_path: Path, layer: Layer) -> None:
    program = [asdict(layer)]
    [result] = run_in_rtl(soc, build / "bin" / "conv2d-network", tmp_path, [program], SEED, BUILD_TIMEOUT)
    check_schedule(program, result)


def test_one_program_of_several_layers(build: Path, soc: Path, tmp_path: Path) -> None:
    """The first stage of ResNet-18 behind its first layer: what one layer makes lies where the next one reads it."""
    program = [asdict(each) for each in NETWORKS["resnet18"]().layers[1:5]]
    [result] = run_in_rtl(soc, build / "bin" / "conv2d-network", tmp_path, [program], SEED, BUILD_TIMEOUT)
    check_schedule(program, result)
