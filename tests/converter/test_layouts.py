"""Copies of copies: what is composed computes the same, and real models have few of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.converter import convert
from cosoc.converter.dense.movement import strided
from cosoc.converter.layouts import Walk, composed
from cosoc.runtime import CosocError
from tests.converter.dense_models import Runner
from tests.converter.models import SmallResNet, randomize, samples


def random_walk(generator: np.random.Generator, elements: int) -> Walk:
    """A view of a dense tensor: its axes split, permuted, sliced and turned round."""
    shape = [int(generator.choice([1, 2, 3, 4])) for _ in range(3)]
    shape.append(max(1, elements // int(np.prod(shape))))
    x = torch.arange(int(np.prod(shape))).reshape(shape)
    view = x.permute(*generator.permutation(4).tolist())
    view = view[:, int(generator.integers(view.shape[1])) :]
    if generator.random() < 0.5:
        view = view[..., :: int(generator.integers(1, 3))]
    return Walk(tuple(view.shape), tuple(view.stride()), int(view.storage_offset()))


def test_composed_copies_are_two_copies() -> None:
    generator = np.random.default_rng(0)
    x = torch.arange(4096)
    successes = 0
    for _ in range(2000):
        inner = random_walk(generator, 96)
        middle = strided(x, list(inner.strides), inner.offset, list(inner.shape))
        outer = random_walk(generator, middle.numel())
        if outer.offset + sum((n - 1) * s for n, s in zip(outer.shape, outer.strides, strict=True)) >= middle.numel():
            continue
        expected = strided(middle, list(outer.strides), outer.offset, list(outer.shape))
        walk = composed(inner, outer)
        if walk is not None:
            successes += 1
            found = strided(x, list(walk.strides), walk.offset, list(walk.shape), list(outer.shape))
            assert torch.equal(found, expected), (inner, outer)
    assert successes > 500


@pytest.mark.parametrize(
    ("function", "copies"),
    [
        (lambda x: nn.functional.pixel_shuffle(x, 2), 1),
        (lambda x: x.permute(0, 2, 3, 1).reshape(2, 20, 8).transpose(0, 1), 1),
        (lambda x: x.reshape(2, 2, 4, 20).transpose(1, 2).reshape(2, 8, 4, 5)[:, 1:7:2], 2),
        (lambda x: x.permute(0, 2, 3, 1).reshape(2, 160).reshape(4, 80)[:, :50], 2),
    ],
)
def test_chains_of_copies(runner: Runner, function: Callable[[torch.Tensor], torch.Tensor], copies: int) -> None:
    """One copy; two where a slice begins in the middle of what was merged."""
    bundle = runner.check(lambda x: function(x) + 1.0, torch.randn(2, 8, 4, 5), tolerance=1e-6)
    assert sum(node.op == "strided" for node in bundle.graph.nodes) <= copies


def test_a_result_of_another_size_is_refused(runner: Runner) -> None:
    runner.check(lambda x: nn.functional.pixel_shuffle(x, 2), torch.randn(1, 4, 2, 3))
    file = runner.folder / "model.bundle" / "graph.json"
    document = json.loads(file.read_text())
    (node,) = document["nodes"]
    axes = node["attributes"]["shape"]
    for last in (1, 4, 3):
        node["attributes"]["shape"] = [*axes[:-1], last]
        file.write_text(json.dumps(document))
        with pytest.raises(CosocError, match="another number of elements"):
            runner.session.load(runner.folder / "model.bundle")


def copies(model: nn.Module, *inputs: torch.Tensor) -> int:
    """Copies in a converted int8 model."""
    return sum(node.op == "strided" for node in convert(randomize(model, 0), inputs).graph.nodes)


def test_models_have_no_copies_that_they_do_not_need() -> None:
    """A residual network none; attention five for each layer: queries, keys and values to heads, heads back, the batch in front."""
    assert copies(SmallResNet(), samples((1, 3, 32, 32), 1, 0)) == 0
    layer = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, norm_first=True)
    assert copies(layer, samples((2, 9, 16), 2, 0)) <= 6
