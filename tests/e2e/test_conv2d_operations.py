"""Operations of Conv2D through the whole runtime: every kind of convolution, also transposed, of one dimension and on int16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.converter import Bundle, emulation
from cosoc.converter.ir import Graph, Node, Tensor
from cosoc.gateware.soc import SoCConfig
from cosoc.runtime import CosocError, Session
from tests.e2e.conv2d_rtl import check_tasks

Attributes = dict[str, Any]
LIMITS = {"int8": [-128, 127], "int16": [-32768, 32767]}


def layer(kernel: tuple[int, int], channels: int, **attributes: Any) -> tuple[str, tuple[int, int], int, Attributes]:
    """A `conv2d`: kernel, output channels, and attributes other than the plainest."""
    plain = {"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
    return "conv2d", kernel, channels, {**plain, **attributes}


def transposed(kernel: tuple[int, int], channels: int, **attributes: Any) -> tuple[str, tuple[int, int], int, Attributes]:
    """The same for a `conv_transpose2d`."""
    _, _, _, plain = layer(kernel, channels, output_padding=[0, 0])
    return "conv_transpose2d", kernel, channels, {**plain, **attributes}


def averages(kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]) -> Attributes:
    """Attributes of averages over windows of a convolution's result."""
    window = {"pool_kernel": list(kernel), "pool_stride": list(stride), "pool_padding": list(padding)}
    return window | {"pool_multiplier": 2.5 / (kernel[0] * kernel[1]), "pool_zero_point": -12}


CHAINS = {
    "image": (
        (1, 3, 15, 13),
        [
            layer((11, 11), 8, stride=[2, 1], padding=[5, 6, 4, 5]),
            layer((1, 7), 8, padding=[0, 3, 0, 3]),
            layer((7, 1), 12, padding=[3, 0, 3, 0], stride=[1, 4]),
            layer((3, 3), 12, padding=[1, 1, 1, 1], groups=12),
            layer((2, 3), 20, padding=[0, 2, 1, 0], groups=2, dilation=[2, 2]),
            transposed((3, 3), 10, stride=[2, 2], padding=[1, 1, 1, 1], output_padding=[1, 1]),
            transposed((2, 2), 5, stride=[3, 2]),
        ],
    ),
    "averages": (
        (1, 12, 17, 14),
        [
            layer((3, 3), 20, padding=[1, 1, 1, 1], **averages((3, 2), (2, 2), (1, 0, 1, 0))),
            layer((1, 1), 24, stride=[2, 1], **averages((2, 2), (1, 1), (0, 0, 0, 0))),
            layer((1, 1), 60, **averages((4, 6), (1, 1), (0, 0, 0, 0))),
        ],
    ),
    "row": (
        (1, 4, 40),
        [
            layer((1, 9), 16, stride=[1, 2], padding=[0, 8, 0, 0]),
            layer((1, 3), 16, padding=[0, 4, 0, 0], dilation=[1, 2], groups=16),
            transposed((1, 4), 6, stride=[1, 2], padding=[0, 1, 0, 1]),
        ],
    ),
}


def extent(op: str, size: int, kernel: int, axis: int, attributes: Attributes) -> int:
    """Rows or columns of the output."""
    stride, padding = attributes["stride"][axis], attributes["padding"]
    reach, around = attributes["dilation"][axis] * (kernel - 1) + 1, padding[axis] + padding[axis + 2]
    if op == "conv2d":
        return (size + around - reach) // stride + 1
    return (size - 1) * stride + reach - around + attributes["output_padding"][axis]


def chain(name: str, dtype: str, devices: tuple[str, ...]) -> Bundle:
    """A bundle of layers with random constants, between float32 tensors."""
    random = np.random.default_rng(len(name))
    shape, layers = CHAINS[name]
    # Steps of the finer type are smaller, so that values use its range.
    scale = 0.05 if dtype == "int8" else 2e-4
    size, channels = ([1, *shape] if len(shape) == 3 else list(shape))[-2:], shape[1]
    if len(shape) == 3:
        size = [1, shape[2]]
    tensors = [Tensor("x", "float32", shape), Tensor("a0", dtype, (1, *size, channels), scale, 5)]
    nodes = [Node("quantize", "quantize", ("x",), ("a0",))]
    constants: dict[str, Any] = {}
    for index, (op, kernel, filters, attributes) in enumerate(layers):
        group = channels // attributes["groups"]
        size = [extent(op, size[axis], kernel[axis], axis, attributes) for axis in (0, 1)]
        weight = random.integers(-127, 128, (filters, *kernel, group)).astype(np.int8)
        offset = random.integers(-1000, 1000, filters) - 5 * weight.sum(axis=(1, 2, 3), dtype=np.int64)
        factor = random.uniform(1, 3, filters) / (80 * np.sqrt(weight[0].size))
        if "pool_kernel" in attributes:
            taps, stride, padding = (attributes[f"pool_{key}"] for key in ("kernel", "stride", "padding"))
            size = [(size[a] + padding[a] + padding[a + 2] - taps[a]) // stride[a] + 1 for a in (0, 1)]
            attributes = {**attributes, "pool_clamp": LIMITS[dtype]}
        own = {f"w{index}": weight, f"b{index}": offset.astype(np.int32), f"m{index}": factor.astype(np.float32)}
        constants |= own
        tensors += [Tensor(key, str(value.dtype), value.shape, constant=True) for key, value in own.items()]
        tensors.append(Tensor(f"a{index + 1}", dtype, (1, *size, filters), scale, 5))
        inputs = (f"a{index}", f"w{index}", f"b{index}", f"m{index}")
        values = {**attributes, "clamp": LIMITS[dtype]}
        nodes.append(Node(f"layer{index}", op, inputs, (f"a{index + 1}",), values, devices))
        channels = filters
    last = f"a{len(layers)}"
    tensors.append(Tensor("y", "float32", (1, channels, size[1]) if len(shape) == 3 else (1, channels, *size)))
    nodes.append(Node("dequantize", "dequantize", (last,), ("y",)))
    return Bundle(Graph(name, ("x",), ("y",), {tensor.name: tensor for tensor in tensors}, tuple(nodes)), constants, "")


def devices_of(report: list[Any]) -> set[str]:
    """Where the layers ran."""
    return {record["device"] for record in report if record["name"].startswith("layer")}


@pytest.mark.parametrize("name", CHAINS)
def test_int8_on_the_accelerator(build: Path, tmp_path: Path, name: str) -> None:
    """The functional model and the RTL have the same bits, and cycles that are close."""
    bundle = chain(name, "int8", ("c2d",))
    bundle.save(tmp_path / "bundle")
    x = np.random.default_rng(1).normal(size=bundle.graph.tensors["x"].shape).astype(np.float32)
    expected = emulation.run(bundle, x)["y"]
    assert np.unique(expected).size > 30, "a chain whose values all saturate shows nothing"
    reports = []
    for mode in ("functional", "rtl"):
        with Session(soc=build, mode=mode) as session:
            model = session.load(tmp_path / "bundle")
            (found,) = model.run([x])
            reports.append(model.report())
        assert devices_of(reports[-1]) == {"c2d0"}
        np.testing.assert_array_equal(found, expected, err_msg=mode)
    check_tasks(*reports)


def extreme_layer(devices: tuple[str, ...]) -> Bundle:
    """A layer whose filters have all the least weights, all the greatest, or either; some of their results saturate."""
    random = np.random.default_rng(4)
    filters, kernel, shape = 12, (3, 3), (1, 20, 9, 8)
    weight = np.empty((filters, *kernel, shape[1]), np.int8)
    weight[0::3], weight[1::3], weight[2::3] = -127, 127, random.choice([-127, 127], weight[2::3].shape)
    products = weight[0].size
    factor = np.where(np.arange(filters) < 6, 0.5 / (127 * products), 0.01).astype(np.float32)
    # With these biases sums of the least activation cancel: a difference of 1 in one of them is seen.
    offset = 128 * weight.sum(axis=(1, 2, 3), dtype=np.int64) + random.integers(-40, 40, filters)
    offset[:9], factor[9:] = 0, 1
    constants = {"w": weight, "b": offset.astype(np.int32), "m": factor}
    tensors = [
        Tensor("x", "float32", shape),
        Tensor("a", "int8", (1, *shape[2:], shape[1]), 0.05, -128),
        *(Tensor(key, str(value.dtype), value.shape, constant=True) for key, value in constants.items()),
        Tensor("c", "int8", (1, *shape[2:], filters), 0.05, 3),
        Tensor("y", "float32", (1, filters, *shape[2:])),
    ]
    attributes = {"stride": [1, 1], "padding": [1] * 4, "dilation": [1, 1], "groups": 1, "clamp": LIMITS["int8"]}
    nodes = (
        Node("quantize", "quantize", ("x",), ("a",)),
        Node("layer0", "conv2d", ("a", "w", "b", "m"), ("c",), attributes, devices),
        Node("dequantize", "dequantize", ("c",), ("y",)),
    )
    return Bundle(Graph("extreme", ("x",), ("y",), {tensor.name: tensor for tensor in tensors}, nodes), constants, "")


@pytest.mark.parametrize("mode", ["cpu", "functional", "rtl"])
def test_extreme_operands(build: Path, tmp_path: Path, mode: str) -> None:
    """Rows of the least activation, then of the greatest one, then of either; results of both ends."""
    bundle = extreme_layer(("cpu",) if mode == "cpu" else ("c2d",))
    bundle.save(tmp_path / "bundle")
    x = np.full(bundle.graph.tensors["x"].shape, 1000, np.float32)
    x[:, :, :3] *= -1
    x[:, :, 6:] *= np.random.default_rng(5).choice([-1, 1], x[:, :, 6:].shape)
    expected = emulation.run(bundle, x)
    assert set(np.unique(expected["a"])) == {-128, 127}
    assert {-128, 127} < set(np.unique(expected["c"]))
    assert np.unique(expected["c"]).size > 30
    with Session(soc=build, mode=mode) as session:
        (found,) = session.load(tmp_path / "bundle").run([x])
    np.testing.assert_array_equal(found, expected["y"])


def int16_soc(folder: Path) -> Path:
    """A SoC whose Conv2D computes with int16, for the functional model."""
    parameters = {"c2d_activation_bits": 16, "c2d_input_lanes": 8, "c2d_memory_port_bits": 64}
    description = json.loads(SoC.place(SoCConfig.make({"c2d": 1}, parameters), load_platform("sim")).json())
    del description["rtl"]
    path = folder / "soc.json"
    path.write_text(json.dumps(description))
    return path


@pytest.mark.parametrize("name", CHAINS)
def test_int16_where_an_engine_has_it(build: Path, tmp_path: Path, name: str) -> None:
    """An engine of int16 computes what the CPU does; beside one of int8 the CPU does it."""
    library = build / "lib" / "libcosoc.so"
    x = np.random.default_rng(2).normal(size=CHAINS[name][0]).astype(np.float32)
    for soc, devices in ((int16_soc(tmp_path), ("c2d",)), (build / "soc.json", ("cpu", "c2d"))):
        bundle = chain(name, "int16", devices)
        bundle.save(tmp_path / "bundle")
        with Session(soc=soc, mode="functional", library=library) as session:
            model = session.load(tmp_path / "bundle")
            (found,) = model.run([x])
            kinds = {device.rstrip("0123") for device in devices_of(model.report())}
        assert kinds == {devices[0]}
        np.testing.assert_array_equal(found, emulation.run(bundle, x)["y"])


def test_int16_without_an_engine_says_what_to_build(build: Path, tmp_path: Path) -> None:
    chain("row", "int16", ("c2d",)).save(tmp_path / "bundle")
    with Session(soc=build, mode="functional") as session, pytest.raises(CosocError, match="c2d_activation_bits=16"):
        session.load(tmp_path / "bundle")
