"""Spoken commands from sound: a log-mel spectrogram and six convolutions, 15 million multiply-accumulates a second of sound."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cosoc.apps import weights

WEIGHTS = Path(__file__).with_name("weights.safetensors")
"""What `train` wrote."""

SAMPLE_RATE = 8000
SAMPLES = 8000
"""One second of sound."""

FRAME, HOP = 256, 128
"""Samples of a frame, and from one to the next."""

FRAMES = (SAMPLES - FRAME) // HOP + 1
MELS = 32
CLASSES = 10
FLOOR = 1e-3
"""Added to a band's magnitude before the logarithm; full scale is about 64."""


def mel_filters() -> torch.Tensor:
    """Triangles that overlap by half, equally wide on the mel scale from 60 Hz to 4 kHz: float32 (bins, MELS), each sum 1."""
    to_mel, bins = 2595 / torch.log(torch.tensor(10.0, dtype=torch.float64)), FRAME // 2 + 1
    low, high = (to_mel * torch.log1p(torch.tensor(hertz / 700, dtype=torch.float64)) for hertz in (60.0, SAMPLE_RATE / 2))
    corners = 700 * torch.expm1(torch.linspace(float(low), float(high), MELS + 2, dtype=torch.float64) / to_mel)
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, bins, dtype=torch.float64)[:, None]
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    # The lowest bands are narrower than a bin: each keeps at least the bin nearest to its centre.
    nearest = torch.nn.functional.one_hot((frequencies - corners[1:-1]).abs().argmin(0), bins).T.double()
    filters = torch.maximum(torch.minimum(rising, falling).clamp(min=0), 0.1 * nearest)
    return (filters / filters.sum(0)).float()


class LogMel(nn.Module):
    """Log-mel spectrogram: sound float32 (N, 8000) -> float32 (N, 1, FRAMES, MELS), roughly of mean 0 and deviation 1.

    Windowed frames, their Fourier transforms and magnitudes are the work of FFT and ZIP.
    """

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FRAME), persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        frames = sound.unfold(1, FRAME, HOP) * self.window
        magnitudes = torch.fft.rfft(frames).abs()
        bands = torch.log(torch.matmul(magnitudes, self.filters) + FLOOR)
        return (bands * 0.5 + 0.5).unsqueeze(1)


class CommandNet(nn.Module):
    """Scores of the ten commands from log-mel spectrograms: float32 (N, 1, FRAMES, MELS) -> float32 (N, CLASSES)."""

    WIDTHS = (16, 32, 48)
    """Channels of the three stages; each stage is two 3x3 convolutions and a pooling that halves time and frequency."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in self.WIDTHS:
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        features = torch.flatten(self.pool(self.features(spectrograms)), 1)
        return self.classifier(self.dropout(features))  # type: ignore[no-any-return]


class SpeechCommands(nn.Module):
    """From sound to scores: float32 (N, 8000) -> float32 (N, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.front_end = LogMel()
        self.network = CommandNet()

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        return self.network(self.front_end(sound))  # type: ignore[no-any-return]


def load_trained(path: Path = WEIGHTS) -> SpeechCommands:
    """The network in eval mode with weights that `train` wrote.

    Raises:
        ValueError: the file is of another network.
    """
    return weights.load(SpeechCommands(), path)
