"""The golden model of commands: what they do to memory."""

import numpy as np
import pytest

from cosoc.gateware.fft.config import FFTConfig, FFTOperation
from cosoc.gateware.fft.golden import execute, transform
from cosoc.gateware.layout.page import Error
from tests.gateware.fft.signals import white_noise


def test_execute():
    """In memory: other bytes stay, a refused command changes nothing, one that leaves memory raises."""
    config = FFTConfig(max_log2=5)
    x = white_noise(np.random.default_rng(8), 64).reshape(2, 32)
    memory = bytearray(b"\xa5" * 2048)
    memory[512:1024] = x.tobytes()
    fields = {"opcode": FFTOperation.INVERSE, "log2_length": 5, "frames": 2, "in_address": 512, "out_address": 1040}
    before = bytes(memory)
    assert execute(fields | {"log2_length": 6}, memory, config) == Error.BAD_LENGTH
    assert execute(fields | {"out_address": 1048}, memory, config) == Error.MISALIGNED
    assert execute(fields | {"opcode": 2, "frames": 0}, memory, config) == Error.BAD_OPCODE
    assert memory == before
    assert execute(fields, memory, config) == Error.NONE
    assert memory == before[:1040] + transform(x, True).tobytes() + before[1552:]
    with pytest.raises(IndexError, match="leave a memory of 2048 bytes"):
        execute(fields | {"out_address": 1552}, memory, config)
