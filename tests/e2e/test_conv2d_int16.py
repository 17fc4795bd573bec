"""Bundles of int16 on the RTL of a small engine that computes with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.converter import Bundle, convert, emulation
from cosoc.converter.ir import Graph, Node, Tensor
from cosoc.gateware.soc import SoCConfig
from cosoc.runtime import Session
from tests.e2e.conv2d_rtl import check_tasks
from tests.e2e.test_conv2d_operations import chain
from tests.e2e.test_user_models import Residual, rows
from tests.sim.soc_library import build_library

PARAMETERS = {
    "c2d_activation_bits": 16,
    "c2d_input_lanes": 4,
    "c2d_output_lanes": 4,
    "c2d_pixel_lanes": 1,
    "c2d_feature_words": 2048,
    "c2d_weight_steps": 256,
    "c2d_channel_blocks": 16,
}


@pytest.fixture(scope="module")
def soc(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SoC of that engine, beside the runtime of the build under test."""
    folder = tmp_path_factory.mktemp("int16")
    placed = SoC.place(SoCConfig.make({"c2d": 1}, PARAMETERS), load_platform("sim"))
    description = json.loads(placed.json())
    (item,) = placed.accelerators
    (folder / "rtl").mkdir()
    instance = item.instance.name, item.instance.accelerator, item.instance.config, item.memory_ports
    description["rtl"] = {"library": str(build_library(folder / "rtl", [instance]))}
    (folder / "soc.json").write_text(json.dumps(description))
    (folder / "lib").symlink_to(build / "lib")
    return folder


def require_bits(soc: Path, bundle: Bundle, x: np.ndarray, folder: Path) -> None:
    """On the functional model and in RTL every layer runs on the engine, with the bits of the emulation in every tensor; their
    cycles are close."""
    layers = [node.name for node in bundle.graph.nodes if node.op not in ("quantize", "dequantize")]
    nodes = tuple(replace(node, devices=("c2d",)) if node.name in layers else node for node in bundle.graph.nodes)
    replace(bundle, graph=replace(bundle.graph, nodes=nodes)).save(folder / "bundle")
    expected = emulation.run(bundle, x)
    reports = []
    for mode in ("functional", "rtl"):
        with Session(soc=soc, mode=mode, keep_tensors=True) as session:
            model = session.load(folder / "bundle")
            model.run([x])
            reports.append([task for task in model.report() if task["name"] in layers])
            assert {task["device"] for task in reports[-1]} == {"c2d0"}
            for node in bundle.graph.nodes:
                np.testing.assert_array_equal(
                    model.tensor(node.outputs[0]), expected[node.outputs[0]], err_msg=f"{node.name}, {mode}"
                )
    check_tasks(*reports)


@pytest.mark.parametrize(("make", "shape"), [(Residual, (3, 12, 12)), (rows, (3, 40))], ids=["residual", "rows"])
def test_a_converted_model(soc: Path, tmp_path: Path, make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    """Its error against PyTorch is that of 16 bits and of weights of 8, and values use more than 8 bits."""
    torch.manual_seed(1)
    model, x = make().eval(), torch.randn(1, *shape)
    bundle = convert(model, x, calibration=torch.randn(16, *shape), precision="int16")
    require_bits(soc, bundle, x.numpy(), tmp_path)
    values = emulation.run(bundle, x.numpy())
    wide = [values[name] for name, tensor in bundle.graph.tensors.items() if tensor.dtype == "int16"]
    assert max(int(np.abs(value).max()) for value in wide) > 1000
    with torch.no_grad():
        expected = model(x).numpy()
    assert np.abs(values[bundle.graph.outputs[0]] - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["image", "row", "averages"])
def test_random_layers(soc: Path, tmp_path: Path, name: str) -> None:
    """Also values that saturate."""
    bundle = chain(name, "int16", ("c2d",))
    x = np.random.default_rng(1).normal(size=bundle.graph.tensors["x"].shape).astype(np.float32)
    require_bits(soc, bundle, x, tmp_path)


def test_addition_and_pooling_alone(soc: Path, tmp_path: Path) -> None:
    """Neither is part of a convolution."""
    limits = {"clamp": [-32768, 32767]}
    tensors = [
        Tensor("x", "float32", (1, 9, 7, 6)),
        Tensor("a", "int16", (1, 7, 6, 9), 1e-4, 5),
        Tensor("b", "int16", (1, 7, 6, 9), 3e-4, -700),
        Tensor("sum", "int16", (1, 7, 6, 9), 2e-4, 40),
        Tensor("most", "int16", (1, 4, 3, 9), 2e-4, 40),
        Tensor("y", "float32", (1, 9, 4, 3)),
    ]
    window = {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 0, 1, 0]}
    nodes = (
        Node("quantize_a", "quantize", ("x",), ("a",)),
        Node("quantize_b", "quantize", ("x",), ("b",)),
        Node("add", "add", ("a", "b"), ("sum",), {"multipliers": [0.5, 1.5], **limits}, ("c2d",)),
        Node("pool", "max_pool2d", ("sum",), ("most",), window, ("c2d",)),
        Node("dequantize", "dequantize", ("most",), ("y",)),
    )
    bundle = Bundle(Graph("alone", ("x",), ("y",), {tensor.name: tensor for tensor in tensors}, nodes), {}, "")
    x = np.random.default_rng(3).normal(size=(1, 9, 7, 6)).astype(np.float32)
    require_bits(soc, bundle, x, tmp_path)
