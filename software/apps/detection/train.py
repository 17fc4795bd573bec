"""Trains `DigitDetector` and writes its weights: `python -m cosoc.apps.detection.train [--output weights.safetensors]`.

Deterministic: one thread, fixed seeds, deterministic algorithms. The same machine writes the same bytes; another one may round
differently.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cosoc.apps import weights
from cosoc.apps.detection import boxes, scenes
from cosoc.apps.detection.model import BOX_UNIT, CLASSES, STRIDE, WEIGHTS, DigitDetector

SEED = 40
EPOCHS = 14
EPOCH_SCENES = 1600
BATCH = 16
LEARNING_RATE = 4e-3
CELLS = scenes.SIZE // STRIDE


def targets(truth: Sequence[boxes.Array], labels: Sequence[NDArray[np.int64]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the network should return for pictures.

    Returns:
        heat float32 (n, 10, cells, cells): 1 at the cell of a digit's centre, a bell around it; sides float32 (n, 4, cells,
        cells); and where the sides count: bool (n, cells, cells), the cells in the middle of a box.
    """
    count = len(truth)
    heat = np.zeros((count, CLASSES, CELLS, CELLS), np.float32)
    sides = np.zeros((count, 4, CELLS, CELLS), np.float32)
    inside = np.zeros((count, CELLS, CELLS), bool)
    places = np.arange(CELLS) * STRIDE + STRIDE / 2
    for picture in range(count):
        for (left, top, right, bottom), label in zip(truth[picture], labels[picture], strict=True):
            across, down = (left + right) / 2, (top + bottom) / 2
            centre_column, centre_row = int(across // STRIDE), int(down // STRIDE)
            away = np.hypot(
                *np.meshgrid(
                    (places - places[centre_row]) / (bottom - top), (places - places[centre_column]) / (right - left), indexing="ij"
                )
            )
            heat[picture, label] = np.maximum(heat[picture, label], np.exp(-np.square(away) / (2 * 0.15**2)))
            rows, columns = np.nonzero(away < 0.3)
            inside[picture, rows, columns] = True
            sides[picture, :, rows, columns] = np.stack(
                [places[columns] - left, places[rows] - top, right - places[columns], bottom - places[rows]], axis=1
            )
    return torch.from_numpy(heat), torch.from_numpy(sides / BOX_UNIT), torch.from_numpy(inside)


def loss(scores: torch.Tensor, found: torch.Tensor, heat: torch.Tensor, sides: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Focal loss on the scores (cells near a centre count less as wrong) and absolute differences of the sides."""
    likely = torch.sigmoid(scores).clamp(1e-5, 1 - 1e-5)
    centre = heat > 0.999
    positive = (centre * (1 - likely).square() * likely.log()).sum()
    negative = (~centre * (1 - heat).pow(4) * likely.square() * (1 - likely).log()).sum()
    error = ((found - sides).abs() * inside[:, None]).sum()
    return -(positive + negative) / centre.sum() + 2 * error / (4 * inside.sum())


def train(digits: scenes.Digits, epochs: int = EPOCHS, count: int = EPOCH_SCENES) -> DigitDetector:
    """A trained network in eval mode; every epoch sees new scenes. Prints the loss of every epoch."""
    torch.manual_seed(SEED)
    model = DigitDetector()
    for name, parameter in model.scores.named_parameters():
        if name == "1.bias":
            torch.nn.init.constant_(parameter, -4.0)  # almost no cell has a digit
    steps = epochs * (count // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps)
    for epoch in range(epochs):
        seen = scenes.scenes(digits, count, seed=1000 + epoch)
        heat, sides, inside = targets(seen.boxes, seen.labels)
        total = 0.0
        for start in range(0, count - BATCH + 1, BATCH):
            part = slice(start, start + BATCH)
            scores, found = model(seen.images[part])
            error = loss(scores, found, heat[part], sides[part], inside[part])
            optimizer.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += error.item()
        print(f"epoch {epoch + 1:2d} of {epochs}: loss {total / (count // BATCH):.4f}", flush=True)
    return model.eval()


def score(model: torch.nn.Module, seen: scenes.Scenes) -> boxes.Score:
    """How well a model does on scenes."""
    with torch.no_grad():
        heat, found = model(seen.images)
    return boxes.evaluate(heat.numpy(), found.numpy(), seen.boxes, seen.labels)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="train the detector of digits")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="file of the weights, .safetensors")
    output: Path = parser.parse_args().output
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"training DigitDetector, seed {SEED}", flush=True)
    model = train(scenes.split_digits()[0])
    weights.save(model, output)
    test = score(model, scenes.test_set())
    print(f"test: precision {100 * test.precision:.2f} %, recall {100 * test.recall:.2f} %, ", end="")
    print(f"{test.perfect} of {test.pictures} scenes without a mistake")
    print(f"wrote {output} ({output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
