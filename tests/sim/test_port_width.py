"""A Conv2D with narrow memory ports in a Verilated SoC, and its functional model, against the golden model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.layout.page import SLOT_BYTES, Error
from tests.gateware.conv2d.core.engine import SMALLEST
from tests.gateware.conv2d.core.image import Image
from tests.gateware.conv2d.layers import Layer
from tests.gateware.conv2d.machine import execute
from tests.sim.soc_library import Soc, build_soc

CONV2D = next(accelerator for accelerator in ACCELERATORS if accelerator.config is Conv2DConfig)

LAYERS = (
    Layer(size=(7, 9, 20), out_channels=24, kernel=(3, 3), padding=(1, 1, 1, 1), residual=True),
    Layer(size=(12, 12, 5), out_channels=17, kernel=(1, 1)),
    Layer(size=(6, 5, 64), out_channels=8, kernel=(1, 3), padding=(0, 2, 0, 1)),
)


@pytest.mark.parametrize(
    ("bits", "ports"),
    [(64, ["HP0"]), pytest.param(32, ["HP0"], marks=pytest.mark.slow), pytest.param(64, ["HP0", "HP3"], marks=pytest.mark.slow)],
)
def test_layers_through_narrow_ports(tmp_path: Path, bits: int, ports: list[str]) -> None:
    parameters = {**SMALLEST, "output_lanes": 4 * len(ports), "memory_ports": len(ports), "memory_port_bits": bits}
    config = Conv2DConfig(**parameters)
    image = Image(config, 3, first=SLOT_BYTES)
    for layer in LAYERS:
        image.add(layer)
    memory = np.frombuffer(bytes(image.data), np.uint8).copy()
    soc = Soc(build_soc(tmp_path, CONV2D, config, ports), CONV2D, memory)
    assert [soc.run(command)["error"] for command in image.commands] == [Error.NONE] * len(LAYERS)
    soc.close()
    data = image.data[:SLOT_BYTES] + memory[SLOT_BYTES:].tobytes()
    errors, of_model = execute(config, image.commands, bytes(image.data), address=0)
    assert errors == [Error.NONE] * len(LAYERS)
    for result in (data, of_model):
        image.check(bytearray(result))
