"""Ten spoken commands, synthesized by espeak-ng with 40 voices and mixed with noise. It is synthetic speech: nobody recorded it.

Nothing is downloaded and nothing is stored. Voices are split: no voice of the test set is heard in training. The same
version of espeak-ng gives the same samples every time.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

from cosoc.apps.speech.model import SAMPLE_RATE, SAMPLES

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The commands, in the order of the network's scores."""

TRAIN_VOICES = tuple(
    "m1 m2 m3 m4 m6 m7 f1 f2 f4 f5 Alex Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Mario Michael Nguyen "
    "adam anika antonio belinda caleb linda pablo rob".split()
)
TEST_VOICES = tuple("m5 m8 f3 Alicia Marco david shelby steph".split())
"""Variants of espeak-ng's English voices: other formants, pitches and phonations."""

ACCENTS = ("en-us", "en-gb", "en-gb-scotland")
TRAIN_SETTINGS = tuple(product((130, 160, 195), (35, 60)))
TEST_SETTINGS = ((120, 50), (145, 30), (150, 65), (175, 45), (200, 55))
"""Words per minute and pitch (0..99)."""

TEST_SNR_DB = (5.0, 25.0)
"""Power of the speech over that of the noise in the test set: from .. to."""

Clip = NDArray[np.float32]


@dataclass(frozen=True)
class Speech:
    """Clips float32 (n, 8000), values within -1..1, and labels int64 (n,), which index `WORDS`."""

    clips: torch.Tensor
    labels: torch.Tensor


class SynthesisError(Exception):
    """espeak-ng is missing or does not speak."""


def synthesize(word: str, voice: str, accent: str, speed: int, pitch: int) -> Clip:
    """One clean word at 8 kHz, silence around it cut off, the loudest sample 1."""
    if shutil.which("espeak-ng") is None:
        raise SynthesisError("espeak-ng is not installed; it makes the speech: apt-get install espeak-ng")
    command = ["espeak-ng", "-v", f"{accent}+{voice}", "-s", str(speed), "-p", str(pitch), "--stdout", word]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0 or len(done.stdout) < 1000:
        raise SynthesisError(f"{' '.join(command)} fails: {done.stderr.decode(errors='replace').strip() or 'no sound'}")
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate = file.getframerate()
        # espeak-ng writes to a pipe with a length in the header that is too large.
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    common = np.gcd(rate, SAMPLE_RATE)
    sound = resample_poly(samples, SAMPLE_RATE // common, rate // common)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1][:SAMPLES]
    return np.asarray(sound / np.abs(sound).max(), np.float32)


def noise(kind: str, generator: np.random.Generator) -> NDArray[np.float64]:
    """One second of noise of power 1: white, pink (power falls with the frequency) or hum (a buzz with harmonics)."""
    if kind == "hum":
        time = np.arange(SAMPLES) / SAMPLE_RATE
        base = generator.uniform(50, 180)
        phases = generator.uniform(0, 2 * np.pi, 12)
        sound = sum(np.sin(2 * np.pi * base * n * time + phase) / n for n, phase in enumerate(phases, 1))
        sound = sound + 0.1 * generator.standard_normal(SAMPLES)
    else:
        sound = generator.standard_normal(SAMPLES)
    if kind == "pink":
        frequencies = np.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE)
        sound = np.fft.irfft(np.fft.rfft(sound) / np.sqrt(np.maximum(frequencies, 20.0)), SAMPLES)
    return np.asarray(sound / np.sqrt(np.mean(np.square(sound))))


def mixed(word: Clip, snr_db: float, kind: str, generator: np.random.Generator) -> Clip:
    """A clip of one second: the word at a random place and loudness, with noise."""
    clip = np.zeros(SAMPLES)
    start = int(generator.integers(0, SAMPLES - len(word) + 1))
    clip[start : start + len(word)] = word
    power = np.mean(np.square(word.astype(np.float64))) / 10 ** (snr_db / 10)
    clip += np.sqrt(power) * noise(kind, generator)
    return np.asarray(clip * generator.uniform(0.3, 1.0) / np.abs(clip).max(), np.float32)


NOISES = ("white", "pink", "hum")


def words(voices: Sequence[str], settings: Sequence[tuple[int, int]]) -> list[tuple[int, Clip]]:
    """Every command by every voice in every setting, with its label; accents follow each other in turn."""
    wanted = [
        (label, word, voice, ACCENTS[(number + index) % len(ACCENTS)], speed, pitch)
        for number, voice in enumerate(voices)
        for index, (speed, pitch) in enumerate(settings)
        for label, word in enumerate(WORDS)
    ]
    with ThreadPoolExecutor(2) as pool:
        clips = list(pool.map(lambda item: synthesize(*item[1:]), wanted))
    return [(item[0], clip) for item, clip in zip(wanted, clips, strict=True)]


def stretched(word: Clip, factor: float) -> Clip:
    """A word `factor` times as long, its pitch and formants lower by as much: another speaker, nearly."""
    places = np.arange(min(int(len(word) * factor), SAMPLES)) / factor
    return np.asarray(np.interp(places, np.arange(len(word)), word), np.float32)


def noisy(spoken: Sequence[tuple[int, Clip]], snr_db: tuple[float, float], seed: int, stretch: float = 0.0) -> Speech:
    """Each word in a clip of its own, with noise that the seed chooses, stretched by up to a part of its length."""
    generator = np.random.default_rng(seed)
    clips = []
    for _, word in spoken:
        snr = float(generator.uniform(*snr_db))
        spoken_word = stretched(word, generator.uniform(1 - stretch, 1 + stretch)) if stretch else word
        clips.append(mixed(spoken_word, snr, NOISES[generator.integers(len(NOISES))], generator))
    return Speech(torch.from_numpy(np.stack(clips)), torch.tensor([label for label, _ in spoken]))


def test_set() -> Speech:
    """The 400 clips of the test: 8 voices that training does not have, 5 settings, 10 commands, noise of 5 to 25 dB."""
    return noisy(words(TEST_VOICES, TEST_SETTINGS), TEST_SNR_DB, seed=1)


def calibration_set(count: int = 120) -> Speech:
    """Clips of training voices, every command equally often, from which the scales of the activations come."""
    voices = TRAIN_VOICES[:: max(1, len(TRAIN_VOICES) * len(WORDS) // count)]
    return noisy(words(voices, TRAIN_SETTINGS[:1]), TEST_SNR_DB, seed=2)
