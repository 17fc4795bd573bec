"""The golden model against PyTorch's convolution in float64 and a rounding rule in exact integers."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from cosoc.gateware.conv2d.config import COMMAND, Conv2DConfig, Conv2DFlag
from cosoc.gateware.conv2d.golden import convolve, execute, new_partial_sums, requantize
from cosoc.gateware.layout.page import Error
from tests.gateware.conv2d.tiles import SMALL, Memory


def round_half_even(value: Fraction, bits: int | None = None) -> Fraction:
    """To an integer, or to a float with this many significant bits and no limit of its exponent."""
    unit = Fraction(1)
    if bits is not None and value != 0:
        exponent = value.numerator.bit_length() - value.denominator.bit_length()
        exponent -= abs(value) < Fraction(2) ** exponent
        unit = Fraction(2) ** (exponent - bits + 1)
    return round(value / unit) * unit


def exact_requantize(acc: int, multiplier: float, zero_point: int, low: int, high: int) -> int:
    """The rule in rational numbers; subnormal products need no case of their own, because they round to zero."""
    product = round_half_even(round_half_even(Fraction(acc), 24) * Fraction(multiplier), 24)
    return min(max(int(round_half_even(product)) + zero_point, low), high)


@pytest.mark.parametrize("kind", ["ties", "limits", "sizes", "boundaries"])
def test_requantize_is_the_exact_rule(kind):
    memory = Memory(Conv2DConfig(), seed=3)
    cases = memory.requantization_cases(kind, 600)
    for zero_point, low, high in ((0, -128, 127), (-128, -128, 127), (100, -5, 90)):
        expected = [exact_requantize(int(c["bias"]), float(c["multiplier"]), zero_point, low, high) for c in cases]
        assert requantize(cases["bias"], cases["multiplier"], zero_point, low, high).tolist() == expected


def test_requantization_cases_reach_what_they_are_for():
    """The cases distinguish the rule from those with one rounding, and from rounding away from zero."""
    memory = Memory(Conv2DConfig(), seed=4)
    cases = memory.requantization_cases("boundaries", 3000)
    out = requantize(cases["bias"], cases["multiplier"], 0, -128, 127)
    once = np.clip(np.rint(cases["bias"].astype(np.float64) * cases["multiplier"].astype(np.float64)), -128, 127)
    assert (out != once).sum() > 100
    cases = memory.requantization_cases("ties", 500)
    product = cases["bias"] * cases["multiplier"].astype(np.float64)
    away = np.clip(np.sign(product) * np.floor(np.abs(product) + 0.5), -128, 127)
    assert (requantize(cases["bias"], cases["multiplier"], 0, -128, 127) != away).sum() > 50


def reference(x, weight, bias, multiplier, *, stride, padding, dilation, groups, in_zero_point, out_zero_point, clamp):
    """(N, H, W, C) int8 through PyTorch's own convolution and its float32 operations."""
    nchw = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    top, left, bottom, right = padding
    padded = torch.nn.functional.pad(nchw, (left, right, top, bottom), value=in_zero_point)
    kernel = torch.from_numpy(weight.astype(np.float64)).permute(0, 3, 1, 2)
    bias = torch.from_numpy(bias.astype(np.float64))
    sums = torch.nn.functional.conv2d(padded, kernel, bias, stride=stride, dilation=dilation, groups=groups)
    assert sums.abs().max() < 2**31
    product = sums.to(torch.int32).to(torch.float32) * torch.from_numpy(multiplier)[:, None, None]
    out = (torch.round(product).to(torch.float64) + out_zero_point).clamp(clamp[0], clamp[1])
    return out.to(torch.int8).permute(0, 2, 3, 1).numpy()


SHAPES = [
    # input (N, H, W, C), output channels, kernel, stride, padding, dilation, groups
    ((2, 9, 8, 3), 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 8, 9, 6), 4, (3, 2), (2, 1), (1, 0, 2, 1), (1, 2), 2),
    ((1, 7, 7, 17), 17, (3, 3), (2, 2), (0, 0, 1, 1), (1, 1), 17),
    ((1, 1, 1, 31), 13, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((1, 1, 1, 1), 1, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 2, 3, 2), 3, (7, 7), (3, 3), (3, 3, 3, 3), (1, 1), 1),
    ((1, 11, 5, 4), 6, (2, 3), (3, 2), (2, 1, 0, 3), (3, 2), 1),
]


@pytest.mark.parametrize(("shape", "channels", "kernel", "stride", "padding", "dilation", "groups"), SHAPES)
def test_convolve_is_the_convolution_of_pytorch(shape, channels, kernel, stride, padding, dilation, groups):
    rng = np.random.default_rng(5)
    x = rng.integers(-128, 128, shape).astype(np.int8)
    weight = rng.integers(-127, 128, (channels, *kernel, shape[3] // groups)).astype(np.int8)
    spread = 74.0**2 * np.sqrt(weight[0].size)
    bias = rng.normal(0, spread, channels).astype(np.int32)
    multiplier = (rng.uniform(0.5, 2, channels) * 60 / spread).astype(np.float32)
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    attributes |= {"in_zero_point": -7, "out_zero_point": 11, "clamp": (-100, 127)}
    out = convolve(x, weight, bias, multiplier, **attributes)
    assert np.array_equal(out, reference(x, weight, bias, multiplier, **attributes))


def test_convolve_refuses_what_does_not_fit():
    x, channel = np.zeros((1, 3, 3, 4), np.int8), (np.zeros(2, np.int32), np.ones(2, np.float32))
    attributes = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    attributes |= {"in_zero_point": 0, "out_zero_point": 0, "clamp": (-128, 127)}
    with pytest.raises(ValueError, match="4 input and 2 output channels do not fit"):
        convolve(x, np.zeros((2, 1, 1, 3), np.int8), *channel, **attributes)
    with pytest.raises(ValueError, match="kernel 4x1 is larger than the padded input"):
        convolve(x, np.zeros((2, 4, 1, 4), np.int8), *channel, **attributes)


@pytest.mark.parametrize("lanes", [8, 16, 32])
@pytest.mark.parametrize(
    ("size", "channels", "out_channels", "kernel", "stride", "padding"),
    [
        ((6, 5), 16, 8, (3, 3), (1, 1), (1, 1)),
        ((6, 5), 3, 40, (2, 3), (2, 1), (0, 2)),
        ((1, 1), 1, 1, (1, 1), (1, 1), (0, 0)),
        ((2, 3), 37, 31, (5, 3), (1, 2), (2, 1)),
        ((7, 7), 1, 29, (7, 7), (2, 2), (3, 3)),
    ],
)
def test_execute_is_a_layer(lanes, size, channels, out_channels, kernel, stride, padding):
    """A whole layer as one command: channels padded to words and blocks, operands laid out as the command's doc says."""
    config = Conv2DConfig(output_lanes=lanes, weight_steps=168)
    memory = Memory(config, seed=6)
    rng = memory.rng
    words, blocks = -(-channels // 16), -(-out_channels // lanes)
    x = rng.integers(-128, 128, (1, *size, channels)).astype(np.int8)
    weight = rng.integers(-127, 128, (out_channels, *kernel, channels)).astype(np.int8)
    parameters = memory.channels(out_channels, weight[0].size // 16 + 1)
    parameters["bias"] //= 2**8
    out_words = -(-out_channels // 16)
    command = memory.command(
        kernel=kernel, stride=stride, padding=padding, size=size, words=words, blocks=blocks, out_words=out_words
    )

    def place(name, values):
        content = np.ascontiguousarray(values).tobytes()
        memory.data[command[name] : command[name] + len(content)] = content

    place("in_address", np.pad(x, ((0, 0), (0, 0), (0, 0), (0, words * 16 - channels))))
    padded = np.pad(weight, ((0, blocks * lanes - out_channels), (0, 0), (0, 0), (0, words * 16 - channels)))
    place("weight_address", padded.reshape(blocks, lanes, *kernel, words, 16).transpose(0, 2, 3, 4, 1, 5))
    place("channel_address", np.pad(parameters, (0, blocks * lanes - out_channels)))
    assert execute(command, memory.data, config, new_partial_sums(config)) == Error.NONE
    expected = reference(
        x,
        weight,
        parameters["bias"],
        parameters["multiplier"],
        stride=stride,
        padding=padding * 2,
        dilation=(1, 1),
        groups=1,
        in_zero_point=command["in_zero_point"],
        out_zero_point=command["out_zero_point"],
        clamp=(command["clamp_min"], command["clamp_max"]),
    )
    rows, columns = command["out_rows"], command["out_columns"]
    stored = np.frombuffer(memory.data, np.int8, rows * columns * out_words * 16, command["out_address"])
    assert np.array_equal(stored.reshape(1, rows, columns, -1)[..., :out_channels], expected)


def test_partial_sums_add_up_to_the_whole():
    """Three words of input channels at once, and one after the other."""
    config = Conv2DConfig(output_lanes=8, **SMALL)
    memory = Memory(config, seed=7)
    whole = memory.command(size=(4, 4), padding=(1, 1), words=3, blocks=2)
    after_whole = bytearray(memory.data)
    assert execute(whole, after_whole, config, memory.partial_sums) == Error.NONE
    weights = np.frombuffer(memory.data, np.int8, 2 * 27 * 8 * 16, whole["weight_address"]).reshape(2, 9, 3, 8 * 16)
    flags = [Conv2DFlag.PARTIAL, Conv2DFlag.PARTIAL | Conv2DFlag.ACCUMULATE, Conv2DFlag.ACCUMULATE]
    addresses = [memory.put(weights[:, :, part]) for part in range(3)]
    for part, flag in enumerate(flags):
        command = whole | {"flags": int(flag), "in_words": 1, "in_address": whole["in_address"] + 16 * part}
        command |= {"weight_address": addresses[part]}
        assert execute(command, memory.data, config, memory.partial_sums) == Error.NONE
    out = slice(whole["out_address"], whole["out_address"] + 16 * whole["out_row_pitch"] // 4)
    assert memory.data[out] == after_whole[out]


def test_accumulators_wrap():
    config = Conv2DConfig(output_lanes=8, **SMALL)
    memory = Memory(config, seed=8)
    command = memory.command(kernel=(1, 1), size=(1, 1), flags=int(Conv2DFlag.ACCUMULATE), clamp_min=-128, clamp_max=127)
    memory.data[command["weight_address"] : command["weight_address"] + 128] = bytes(128)
    channels = np.array([(1, 1.0)] * 8, [("bias", "<i4"), ("multiplier", "<f4")]).tobytes()
    memory.data[command["channel_address"] : command["channel_address"] + 64] = channels
    memory.partial_sums[0] = 2**31 - 1
    assert execute(command, memory.data, config, memory.partial_sums) == Error.NONE
    assert memory.data[command["out_address"]] == 0x80


def test_execute_refuses_to_leave_memory():
    config = Conv2DConfig(output_lanes=8, **SMALL)
    memory = Memory(config, seed=9)
    for name in ("in_address", "weight_address", "channel_address", "out_address"):
        command = memory.command(size=(3, 3)) | {name: len(memory.data)}
        with pytest.raises(IndexError, match=r"leaves the memory of 0x80000 bytes"):
            execute(command, memory.data, config, memory.partial_sums)


def test_a_command_fits_its_slot():
    command = Memory(Conv2DConfig(), seed=10).command(size=(3, 3), blocks=2)
    assert COMMAND.decode(COMMAND.encode(command)) == command
