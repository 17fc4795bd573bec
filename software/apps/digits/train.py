"""Trains `DigitsVGG` and writes its weights: `python -m cosoc.apps.digits.train [--output weights.safetensors]`.

Deterministic: one thread, a fixed seed, deterministic algorithms. The same machine writes the same bytes; another one may round
differently.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.nn import functional

from cosoc.apps import weights
from cosoc.apps.digits.data import Digits, load
from cosoc.apps.digits.model import WEIGHTS, DigitsVGG

SEED = 20
EPOCHS = 12
BATCH = 32
LEARNING_RATE = 4e-3
MAX_SHIFT = 2
"""Augmentation moves each batch by up to this many pixels in both directions."""


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The images (n, 1, H, W) moved by one random offset; paper (-1) comes in at the edges."""
    down, right = torch.randint(0, 2 * MAX_SHIFT + 1, (2,), generator=generator).tolist()
    padded = functional.pad(images, [MAX_SHIFT] * 4, value=-1.0)
    height, width = images.shape[2:]
    return padded[:, :, down : down + height, right : right + width]


def train(digits: Digits, epochs: int = EPOCHS) -> DigitsVGG:
    """A trained network in eval mode. Prints the loss of every epoch."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = DigitsVGG()
    count = len(digits.train_images)
    steps = epochs * (count // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps)
    for epoch in range(epochs):
        order = torch.randperm(count, generator=generator)
        total = 0.0
        for start in range(0, count - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            scores = model(shifted(digits.train_images[chosen], generator))
            loss = functional.cross_entropy(scores, digits.train_labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} of {epochs}: loss {total / (count // BATCH):.4f}", flush=True)
    return model.eval()


def correct(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    """How many images the model names rightly."""
    with torch.no_grad():
        return int((model(images).argmax(1) == labels).sum())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="train the digits network")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="file of the weights, .safetensors")
    output: Path = parser.parse_args().output
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"training DigitsVGG, seed {SEED}")
    digits = load()
    model = train(digits)
    weights.save(model, output)
    hits, count = correct(model, digits.test_images, digits.test_labels), len(digits.test_labels)
    print(f"test accuracy: {hits} of {count} = {100 * hits / count:.2f} %")
    print(f"wrote {output} ({output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
