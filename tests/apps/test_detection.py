"""The detection application: scenes, boxes, training and the trained network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cosoc.apps.detection import boxes, scenes, train
from cosoc.apps.detection.model import BOX_UNIT, STRIDE, WEIGHTS, load_trained


@pytest.fixture(scope="module")
def seen() -> scenes.Scenes:
    return scenes.scenes(scenes.split_digits()[1], 40, seed=1)


def test_scenes_repeat_and_differ(seen: scenes.Scenes) -> None:
    """A seed gives the same scenes, also as the beginning of more of them; another seed gives others."""
    digits = scenes.split_digits()[1]
    again = scenes.scenes(digits, 10, seed=1)
    assert torch.equal(again.images, seen.images[:10])
    assert not torch.equal(scenes.scenes(digits, 10, seed=3).images, again.images)


def test_scenes_are_well_formed(seen: scenes.Scenes) -> None:
    assert seen.images.shape == (40, 1, 64, 64)
    assert seen.images.abs().max() <= 1
    counts = [len(labels) for labels in seen.labels]
    assert set(counts) == {1, 2, 3, 4}
    for truth, labels in zip(seen.boxes, seen.labels, strict=True):
        assert truth.shape == (len(labels), 4)
        assert (truth >= 0).all()
        assert (truth <= scenes.SIZE).all()
        assert (truth[:, 2:] - truth[:, :2] >= 5).all()
        for index in range(len(truth)):
            assert (boxes.iou(truth[index], np.delete(truth, index, axis=0)) == 0).all(), "digits lie apart"


def test_test_digits_are_not_trained_on() -> None:
    trained, tested = scenes.split_digits()
    known = {digit.tobytes() for digit in trained.ink}
    assert not any(digit.tobytes() in known for digit in tested.ink)
    assert (len(trained.labels), len(tested.labels)) == (1257, 540)


def test_intersection_over_union() -> None:
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 4, 4], [0, 0, 4, 4], [5, 5, 5, 5]], np.float32)
    np.testing.assert_allclose(boxes.iou(np.array([0, 0, 2, 2], np.float32), others), [1, 1 / 7, 0, 4 / 16, 0])


def maps(*cells: tuple[int, int, int, float, tuple[float, float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of a network that sees digits: row, column, digit, logit, distances in pixels."""
    scores, sides = np.full((10, 16, 16), -9, np.float32), np.zeros((4, 16, 16), np.float32)
    for row, column, digit, logit, distances in cells:
        scores[digit, row, column] = logit
        sides[:, row, column] = np.array(distances) / BOX_UNIT
    return scores, sides


def test_decode_places_boxes_around_cell_centres() -> None:
    (found,) = boxes.decode(*maps((2, 3, 7, 1.0, (6, 5, 4, 3))))
    assert found.box == (3.5 * STRIDE - 6, 2.5 * STRIDE - 5, 3.5 * STRIDE + 4, 2.5 * STRIDE + 3)
    assert found.label == 7
    assert found.score == pytest.approx(1 / (1 + np.exp(-1)))


def test_decode_keeps_the_best_of_overlapping_boxes() -> None:
    """Two neighbouring cells with one box between them, another digit far away, and one below the threshold."""
    cells = [
        (4, 4, 3, 1.0, (8, 8, 8, 8)),
        (4, 5, 3, 2.0, (12, 8, 4, 8)),
        (12, 12, 1, 0.5, (8, 8, 8, 8)),
        (0, 15, 9, -1.0, (8, 8, 8, 8)),
    ]
    found = boxes.decode(*maps(*cells))
    assert [(item.label, round(item.score, 3)) for item in found] == [(3, 0.881), (1, 0.622)]
    assert boxes.decode(*maps()) == []


def test_counting() -> None:
    """A digit counts once; at the wrong place or with the wrong name it does not."""
    truth, labels = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32), np.array([4, 5])
    good = boxes.Detection((0, 0, 10, 9), 4, 0.9)
    assert boxes.right([good], truth, labels) == 1
    assert boxes.right([good, boxes.Detection((0, 0, 10, 10), 4, 0.8)], truth, labels) == 1
    assert boxes.right([boxes.Detection((0, 0, 10, 9), 5, 0.9)], truth, labels) == 0
    assert boxes.right([boxes.Detection((6, 6, 16, 16), 4, 0.9)], truth, labels) == 0
    assert boxes.right([], truth, labels) == 0


def test_targets_decode_to_the_truth(seen: scenes.Scenes) -> None:
    """A network that returns its targets finds every digit."""
    heat, sides, _ = train.targets(seen.boxes, seen.labels)
    scores = torch.logit(heat.clamp(1e-4, 1 - 1e-4)).numpy()
    score = boxes.evaluate(scores, sides.numpy(), seen.boxes, seen.labels)
    assert score.perfect == score.pictures == 40
    assert score.precision == score.recall == 1


def test_trained_network(seen: scenes.Scenes) -> None:
    score = train.score(load_trained(), seen)
    assert score.precision > 0.93
    assert score.recall > 0.93
    assert WEIGHTS.stat().st_size < 1_000_000


def test_training_learns() -> None:
    """A few steps lower the loss of scenes never trained on; twice they give the same weights."""
    digits = scenes.split_digits()[0]
    fresh = scenes.scenes(digits, 16, seed=9)
    wanted = train.targets(fresh.boxes, fresh.labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first, second = (train.train(digits, epochs=1, count=64) for _ in range(2))
    finally:
        torch.set_num_threads(threads)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    torch.manual_seed(train.SEED)
    untrained = train.DigitDetector().train()
    with torch.no_grad():
        losses = [float(train.loss(*model.train()(fresh.images), *wanted)) for model in (untrained, first)]
    assert losses[1] < losses[0] / 2
