"""Random small models: the emulated int8 model stays near PyTorch's float model, every operation equals PyTorch's int8, and
fusion changes nothing but the rounding of sums."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.converter import emulation
from cosoc.converter.convert import Conversion
from cosoc.converter.ir import Graph, Node
from tests.converter.models import Residual, converted
from tests.converter.test_operators import differences


def random_model(generator: random.Random) -> tuple[nn.Module, tuple[int, ...]]:
    """Three to six random layers and sometimes a linear head, for a random image size."""
    channels, size = generator.randint(1, 20), generator.randint(9, 20)
    shape = (generator.choice([1, 2]), channels, size, size)
    layers: list[nn.Module] = []
    for _ in range(generator.randint(3, 6)):
        kind = generator.choice(["conv", "conv", "conv", "pool", "residual", "activation"])
        if kind == "conv":
            kernel, stride, wider = generator.choice([1, 2, 3, 5]), generator.choice([1, 1, 2]), generator.randint(1, 20)
            if size < kernel:
                continue
            padding = generator.randint(0, kernel // 2)
            layers.append(nn.Conv2d(channels, wider, kernel, stride, padding, bias=generator.random() < 0.5))
            channels, size = wider, (size + 2 * padding - kernel) // stride + 1
            layers += [nn.BatchNorm2d(channels)] if generator.random() < 0.5 else []
            layers += generator.choice([[], [nn.ReLU()], [nn.ReLU6()]])
        elif kind == "pool" and size >= 4:
            layers.append(generator.choice([nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AvgPool2d(3, 1)]))
            size = layers[-1](torch.zeros(1, 1, size, size)).shape[2]
        elif kind == "residual":
            layers.append(Residual(channels, generator.choice([1, 2])))
            size = size if layers[-1].identity else (size + 1) // 2
        elif kind == "activation":
            layers.append(generator.choice([nn.ReLU(), nn.Hardtanh(-1.5, 2.0), nn.Dropout(), nn.Identity()]))
    head = generator.choice(["none", "flatten", "global"])
    if head == "flatten":
        layers += [nn.Flatten(), nn.Linear(channels * size * size, 7)]
    elif head == "global":
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 7), nn.ReLU(), nn.Linear(7, 3)]
    return nn.Sequential(*layers), shape


def without_pooling(lowered: Graph, fused: Node) -> tuple[Node, Node]:
    """A convolution with a residual as it is before its pooling, and the addition that it took in."""
    addition = lowered.producer(fused.outputs[0])
    assert addition is not None
    if addition.op.endswith("pool2d"):
        addition = lowered.producer(addition.inputs[0])
    assert addition is not None
    assert addition.op == "add"
    attributes = {name: value for name, value in fused.attributes.items() if not name.startswith("pool_")}
    return replace(fused, outputs=addition.outputs, attributes=attributes), addition


def check_fusion(conversion: Conversion, data: torch.Tensor) -> None:
    """Every node of the bundle, given what the lowered graph computes: a pooling is exact, a sum is rounded once less.

    What is gone is the rounding of the convolution, half a step of its scale, and its saturation.
    """
    lowered, constants = conversion.lowered, conversion.bundle.constants
    values = emulation.run_graph(lowered, conversion.lowered_constants, [data.numpy()])
    for fused in conversion.bundle.graph.nodes:
        operands = [constants[name] if lowered.tensors[name].constant else values[name] for name in fused.inputs]
        if len(fused.inputs) < 5:
            np.testing.assert_array_equal(emulation.run_node(lowered, fused, operands), values[fused.outputs[0]])
            continue
        node, addition = without_pooling(lowered, fused)
        gone = 1 - addition.inputs.index(fused.inputs[4])
        convolved = values[addition.inputs[gone]]
        difference = emulation.run_node(lowered, node, operands).astype(int) - values[node.outputs[0]]
        unsaturated = (convolved > -128) & (convolved < 127)
        assert np.abs(difference[unsaturated]).max() <= 1 + addition.attributes["multipliers"][gone] // 2, node


@pytest.mark.parametrize("seed", range(8))
def test_random_model(seed: int) -> None:
    model, shape = random_model(random.Random(seed))
    conversion, data = converted(model, shape, seed)
    bundle = conversion.bundle
    check_fusion(conversion, data)
    found = emulation.run(bundle, data.numpy(), samples=5)[bundle.graph.outputs[0]]
    with torch.no_grad():
        expected = model(data).numpy()
    noise, signal = np.square(found - expected).mean(), np.square(expected).mean()
    assert 10 * np.log10(signal / noise) > 20, "signal to noise of eight-bit layers in a row"
    for operation, pieces in differences(conversion, data[:4]).items():
        different = np.concatenate([np.abs(piece).ravel() for piece in pieces])
        assert different.max() <= (0 if operation in ("quantize", "max_pool2d") else 1), operation
        assert (different != 0).mean() < 0.01, operation
