"""What a demonstration of a trained network needs: inputs, judgement and picture, the same for every application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cosoc.converter import Bundle

Outputs = Sequence[NDArray[Any]]
"""Outputs of a network over some samples: an array for each, samples first."""


@dataclass(frozen=True)
class Demonstration:
    """A trained network with its test set.

    Attributes:
        name: of the application.
        title: what it does, in a line.
        sample: what one input is called, such as `image`.
        model: the network in PyTorch.
        inputs: the whole test set, float32 (n, ..).
        build_bundle: converts the network.
        right: outputs over the first samples -> which of them are right, bool (n,).
        picture: outputs of PyTorch and of the deployed model over the first samples -> what was found.
        summary: outputs over the first samples -> more figures in words, or nothing.
    """

    name: str
    title: str
    sample: str
    model: torch.nn.Module
    inputs: torch.Tensor
    build_bundle: Callable[[], Bundle]
    right: Callable[[Outputs], NDArray[np.bool_]]
    picture: Callable[[Outputs, Outputs], Image.Image]
    summary: Callable[[Outputs], str] = lambda _: ""

    def reference(self) -> list[NDArray[Any]]:
        """PyTorch's outputs over the whole test set, float32."""
        with torch.no_grad():
            results = self.model(self.inputs)
        return [value.numpy() for value in (results if isinstance(results, tuple) else (results,))]


def names_rightly(labels: NDArray[Any]) -> Callable[[Outputs], NDArray[np.bool_]]:
    """Judgement of a classifier: its first output has the largest score at the label."""
    return lambda outputs: np.asarray(outputs[0].argmax(1) == labels[: len(outputs[0])])


@dataclass(frozen=True)
class Comparison:
    """The deployed model beside PyTorch, in samples.

    Attributes:
        float_right, deployed_right: named rightly by each.
        lost, gained: right in PyTorch only, and in the deployed model only.
        samples: number of samples.
    """

    float_right: int
    deployed_right: int
    lost: int
    gained: int
    samples: int

    @staticmethod
    def of(expected: NDArray[np.bool_], found: NDArray[np.bool_]) -> Comparison:
        """Counts over the samples that `found` has."""
        expected = expected[: len(found)]
        lost, gained = expected & ~found, found & ~expected
        return Comparison(int(expected.sum()), int(found.sum()), int(lost.sum()), int(gained.sum()), len(found))


def probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def pick(right: NDArray[np.bool_], count: int) -> list[int]:
    """Samples for a picture: a few of the wrong ones, the first right ones otherwise."""
    wrong = [index for index in range(len(right)) if not right[index]][: count // 4]
    good = [index for index in range(len(right)) if right[index]][: count - len(wrong)]
    return sorted(good) + wrong
