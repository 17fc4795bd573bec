"""Trains `SpeechCommands` and writes its weights: `python -m cosoc.apps.speech.train [--output weights.safetensors]`.

Deterministic: one thread, fixed seeds, deterministic algorithms. The same machine with the same espeak-ng writes the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional

from cosoc.apps import weights
from cosoc.apps.speech import data
from cosoc.apps.speech.model import WEIGHTS, SpeechCommands

SEED = 30
EPOCHS = 30
BATCH = 32
LEARNING_RATE = 4e-3
SNR_DB = (0.0, 30.0)
STRETCH = 0.12
MASKED_FRAMES, MASKED_BANDS = 10, 5
"""Most frames and bands that augmentation hides."""


def masked(spectrograms: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random stretch of time and one of frequency set to each spectrogram's mean."""
    count, _, frames, bands = spectrograms.shape
    hidden = torch.zeros(count, 1, frames, bands, dtype=torch.bool)
    for axis, size, most in ((2, frames, MASKED_FRAMES), (3, bands, MASKED_BANDS)):
        width = torch.randint(0, most + 1, (count, 1, 1, 1), generator=generator)
        start = (torch.rand(count, 1, 1, 1, generator=generator) * (size - width)).long()
        index = torch.arange(size).reshape([-1 if dimension == axis else 1 for dimension in range(4)])
        hidden |= (index >= start) & (index < start + width)
    return torch.where(hidden, spectrograms.mean((2, 3), keepdim=True), spectrograms)


def train(spoken: Sequence[tuple[int, data.Clip]], epochs: int = EPOCHS) -> SpeechCommands:
    """A trained network in eval mode; every epoch hears the words in other noise. Prints the loss of every epoch."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = SpeechCommands()
    steps = epochs * (len(spoken) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps)
    for epoch in range(epochs):
        speech = data.noisy(spoken, SNR_DB, seed=1000 + epoch, stretch=STRETCH)
        with torch.no_grad():
            spectrograms = model.front_end(speech.clips)
        order = torch.randperm(len(spoken), generator=generator)
        total = 0.0
        for start in range(0, len(spoken) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            scores = model.network(masked(spectrograms[chosen], generator))
            loss = functional.cross_entropy(scores, speech.labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} of {epochs}: loss {total / (len(spoken) // BATCH):.4f}", flush=True)
    return model.eval()


def correct(model: torch.nn.Module, speech: data.Speech) -> int:
    """How many clips the model names rightly."""
    with torch.no_grad():
        return int((model(speech.clips).argmax(1) == speech.labels).sum())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="train the network of spoken commands")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="file of the weights, .safetensors")
    output: Path = parser.parse_args().output
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"synthesizing {len(data.TRAIN_VOICES) * len(data.TRAIN_SETTINGS) * len(data.WORDS)} words", flush=True)
    model = train(data.words(data.TRAIN_VOICES, data.TRAIN_SETTINGS))
    weights.save(model, output)
    test = data.test_set()
    hits, count = correct(model, test), len(test.labels)
    print(f"test accuracy: {hits} of {count} = {100 * hits / count:.2f} %")
    print(f"wrote {output} ({output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
