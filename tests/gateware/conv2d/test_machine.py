"""The C++ model of the engine against the golden model, with the programs that the tests of the RTL run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.golden import Pooling
from cosoc.gateware.conv2d.isa import Opcode, assemble, disassemble
from cosoc.gateware.layout.page import Error
from tests.gateware.conv2d.core.image import Image
from tests.gateware.conv2d.layers import Layer
from tests.gateware.conv2d.machine import execute

SAME = (1, 1, 1, 1)

CONFIGS = [
    Conv2DConfig(input_lanes=4, output_lanes=4, pixel_lanes=2),
    Conv2DConfig(input_lanes=8, output_lanes=8, pixel_lanes=4, memory_ports=2),
    Conv2DConfig(input_lanes=16, output_lanes=16, pixel_lanes=16, memory_ports=2),
    Conv2DConfig(activation_bits=16, input_lanes=8, output_lanes=8, pixel_lanes=2),
    Conv2DConfig(activation_bits=16, input_lanes=4, output_lanes=4, pixel_lanes=1),
]

LAYERS = [
    Layer(size=(1, 1, 1), out_channels=1, strict=True),
    Layer(size=(5, 4, 20), out_channels=9, kernel=(3, 2), padding=(0, 1, 2, 0)),
    Layer(size=(7, 9, 5), out_channels=8, kernel=(3, 3), padding=(2, 2, 2, 2), dilation=(2, 2)),
    Layer(size=(9, 17, 4), out_channels=4, kernel=(2, 3), stride=(4, 4)),
    Layer(size=(9, 12, 3), out_channels=8, kernel=(7, 7), stride=(2, 2), padding=(3, 3, 3, 3), fold=True),
    Layer(size=(4, 6, 4), out_channels=4, kernel=(2, 4), padding=(1, 2, 0, 1), fold=True),
    Layer(size=(6, 9, 3), out_channels=8, kernel=(3, 5), stride=(1, 2), padding=(1, 2, 1, 2), fold=True, halves=True),
    Layer(size=(7, 5, 19), kernel=(3, 3), stride=(2, 2), padding=SAME, depthwise=True),
    Layer(size=(4, 4, 20), kernel=(3, 3), padding=SAME, depthwise=True, residual=True),
    Layer(size=(5, 7, 35), kernel=(3, 3), padding=SAME, depthwise=True, window=True, residual=True),
    Layer(size=(4, 1, 17), kernel=(5, 3), padding=(4, 1, 3, 1), dilation=(2, 1), depthwise=True, window=True),
    Layer(size=(4, 6, 16), out_channels=24, residual=True),
    Layer(size=(7, 7, 3), out_channels=8, kernel=(3, 3), padding=SAME, pooling=Pooling(window=(3, 3), stride=(2, 2), padding=SAME)),
    Layer(size=(3, 3, 8), out_channels=8, residual=True, pooling=Pooling(window=(3, 3), stride=(1, 1))),
]


def run(config: Conv2DConfig, image: Image, **options: bool) -> tuple[list[Error], bytearray]:
    errors, memory = execute(config, image.commands, bytes(image.data), address=0, **options)
    return errors, bytearray(memory)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_layers_one_after_the_other(config: Conv2DConfig) -> None:
    image = Image(config, 1)
    for layer in LAYERS:
        image.add(layer)
    errors, memory = run(config, image)
    assert errors == [Error.NONE] * len(LAYERS)
    image.check(memory)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_micro_operation_of_no_words_is_one_of_one_word(config: Conv2DConfig) -> None:
    """As in the hardware; who checks programs refuses it."""
    image = Image(config, 2)
    image.clear_micro_words(image.add(Layer(size=(4, 5, config.word_channels), out_channels=8, kernel=(3, 3), padding=SAME)))
    with pytest.raises(ValueError, match="has 0 words in entry 0, which must be at least 1"):
        run(config, image)
    errors, memory = run(config, image, check=False)
    assert errors == [Error.NONE]
    image.check(memory)


@pytest.mark.parametrize("config", CONFIGS[:3], ids=str)
def test_layers_that_overlap(config: Conv2DConfig) -> None:
    image = Image(config, 2)
    image.add_overlapped(LAYERS)
    errors, memory = run(config, image)
    assert errors == [Error.NONE]
    image.check(memory)


def test_random_layers() -> None:
    rng = np.random.default_rng(3)
    for config in CONFIGS:
        image = Image(config, int(rng.integers(1000)))
        for _ in range(10):
            kernel, stride, padding = rng.integers(1, 4, 2), rng.integers(1, 4, 2), rng.integers(0, 2, 4)
            layer = Layer(
                size=(int(rng.integers(3, 9)), int(rng.integers(3, 9)), int(rng.integers(1, 30))),
                out_channels=int(rng.integers(1, 30)),
                kernel=(int(kernel[0]), int(kernel[1])),
                stride=(int(stride[0]), int(stride[1])),
                padding=tuple(int(side) for side in padding),
                residual=bool(rng.integers(2)),
            )
            image.add(replace(layer, depthwise=bool(rng.integers(4) == 0)))
        errors, memory = run(config, image)
        assert set(errors) == {Error.NONE}
        image.check(memory)


def test_errors_end_their_command_only() -> None:
    config = CONFIGS[0]
    image = Image(config, 4)
    command = image.add(LAYERS[1])
    start, count = command["instruction_address"], command["instruction_count"]
    code = bytes(image.data[start : start + 32 * count])
    image.commands.pop()
    image.add_code(code + b"\x0f" + bytes(31) + code, [command[f"base{i}"] for i in range(4)])
    image.add_program([(Opcode.WEIGHTS, {"steps": 0})], [0] * 4)
    image.commands.append(command | {"base3": 8})
    image.commands.append(command | {"instruction_count": 0})
    image.commands.append(command | {"opcode": 3})
    errors, memory = run(config, image, check=False)
    assert errors == [Error.BAD_OPCODE, Error.BAD_PARAMETER, Error.MISALIGNED, Error.BAD_LENGTH, Error.BAD_OPCODE]
    image.check(memory)


@pytest.mark.parametrize(("limit", "error"), [(2**18 - 1, Error.OUTSIDE_WINDOW), (2**64 - 1, Error.WRITE_RESPONSE)])
def test_failed_transfers_write_nothing(limit: int, error: Error) -> None:
    image = Image(CONFIGS[0], 5, size=2**18)
    image.add(LAYERS[1])
    image.commands[0]["base1"] = 2**18
    errors, memory = execute(CONFIGS[0], image.commands, bytes(image.data), address=0, window=(0, limit))
    assert errors == [error]
    assert memory == image.data


@pytest.mark.parametrize("opcode", [Opcode.COMPUTE, Opcode.STORE])
def test_a_missing_wait_is_told(opcode: Opcode) -> None:
    config = CONFIGS[0]
    image = Image(config, 6)
    command = image.add(LAYERS[1])
    start, count = command["instruction_address"], command["instruction_count"]
    instructions = disassemble(bytes(image.data[start : start + 32 * count]))
    for kind, fields in instructions:
        if kind == opcode:
            fields |= {"wait_load": 255, "wait_weights": 255, "wait_compute": 255}
    image.data[start : start + 32 * count] = assemble(instructions)
    with pytest.raises(ValueError, match=rf"command 0: instruction \d+ \({opcode.name}\) reads word"):
        run(config, image)
    assert run(config, image, check=False)[0] == [Error.NONE]
