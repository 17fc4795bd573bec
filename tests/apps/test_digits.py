"""The digits application: data, trained weights, and the accuracy of the int8 model over the whole test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cosoc.apps.digits import data, train
from cosoc.apps.digits.bundle import build_bundle
from cosoc.apps.digits.model import WEIGHTS, DigitsVGG, load_trained
from cosoc.converter import Bundle, compare, emulation
from cosoc.converter.figures import macs


@pytest.fixture(scope="module")
def digits() -> data.Digits:
    return data.load()


@pytest.fixture(scope="module")
def bundle(digits: data.Digits) -> Bundle:
    return build_bundle(digits=digits)


def test_split(digits: data.Digits) -> None:
    """Every image once, none in both parts, each digit in both."""
    assert digits.train_images.shape == (1257, 1, 32, 32)
    assert digits.test_images.shape == (540, 1, 32, 32)
    both = torch.cat([digits.train_images, digits.test_images]).flatten(1)
    # scikit-learn's set itself contains no image twice.
    assert len(torch.unique(both, dim=0)) == 1797
    assert both.min() == -1
    assert both.max() == 1
    for labels in (digits.train_labels, digits.test_labels):
        assert torch.bincount(labels, minlength=10).min() >= len(labels) // 11


def test_enlarging_keeps_grey_levels() -> None:
    images = data.enlarge(torch.full((1, 8, 8), 12))
    assert images.shape == (1, 1, 32, 32)
    assert (images == 0.5).all()


def test_deployed_accuracy(digits: data.Digits, bundle: Bundle) -> None:
    """Over all 540 images the int8 model loses at most one image (0.3 points) against float, which names 98.5 % rightly."""
    right = train.correct(load_trained(), digits.test_images, digits.test_labels)
    assert right >= 532
    scores = emulation.run(bundle, digits.test_images.numpy())[bundle.graph.outputs[0]]
    deployed = int((scores.argmax(1) == digits.test_labels.numpy()).sum())
    assert deployed >= right - 1


def test_layers_are_near_float(digits: data.Digits, bundle: Bundle) -> None:
    errors = compare(bundle, load_trained(), digits.test_images[:8])
    assert [error.op for error in errors].count("conv2d") == 7
    assert len(errors) == len(bundle.graph.nodes) - 1
    for error in errors:
        assert error.relative_error < 0.05, error
        assert error.snr_db > 25, error


def test_all_convolutions_may_run_on_the_accelerator(bundle: Bundle) -> None:
    assert all("c2d" in node.devices for node in bundle.graph.nodes if node.op == "conv2d")
    assert 9_000_000 < sum(macs(bundle.graph, node) for node in bundle.graph.nodes) < 11_000_000


def test_committed_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 400_000


def test_weights_of_another_network(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"does not fit DigitsVGG: .*conv\.weight; train again"):
        load_trained(tmp_path / "other.safetensors")


def test_training_is_deterministic_and_learns(digits: data.Digits) -> None:
    """One epoch on a part of the data, twice: the same weights, and better than chance on images never seen."""
    part = data.Digits(digits.train_images[:320], digits.train_labels[:320], digits.test_images, digits.test_labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first, second = (train.train(part, epochs=2) for _ in range(2))
    finally:
        torch.set_num_threads(threads)
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), second.state_dict()[name].numpy())
    assert train.correct(first, digits.test_images[:100], digits.test_labels[:100]) > 40
    assert not first.training
    assert isinstance(first, DigitsVGG)


@pytest.mark.slow
def test_training_reproduces_the_committed_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole training: accuracy is as good; the bytes are equal on the machine that made them only."""
    monkeypatch.setattr("sys.argv", ["train", "--output", str(tmp_path / "weights.safetensors")])
    threads = torch.get_num_threads()
    try:
        train.main()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    digits = data.load()
    model = load_trained(tmp_path / "weights.safetensors")
    assert train.correct(model, digits.test_images, digits.test_labels) >= 532
