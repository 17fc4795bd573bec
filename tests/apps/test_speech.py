"""The speech application: synthesis, front end and the trained network."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from cosoc.apps.speech import data
from cosoc.apps.speech.model import (
    FLOOR,
    FRAME,
    FRAMES,
    HOP,
    MELS,
    SAMPLE_RATE,
    SAMPLES,
    WEIGHTS,
    LogMel,
    load_trained,
    mel_filters,
)
from cosoc.apps.speech.train import masked


def test_synthesis_repeats_and_voices_differ() -> None:
    first, again, other = (data.synthesize("yes", voice, "en-us", 160, 50) for voice in ("m3", "m3", "f2"))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert np.abs(first).max() == 1
    assert SAMPLE_RATE // 8 < len(first) <= SAMPLES
    assert len(other) != len(first) or not np.array_equal(other, first)


def test_missing_synthesizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(data.SynthesisError, match="apt-get install espeak-ng"):
        data.synthesize("yes", "m3", "en-us", 160, 50)


def test_voices_are_split() -> None:
    assert not set(data.TRAIN_VOICES) & set(data.TEST_VOICES)
    assert (len(set(data.TRAIN_VOICES)), len(set(data.TEST_VOICES)), len(set(data.WORDS))) == (32, 8, 10)


@pytest.mark.parametrize("kind", data.NOISES)
def test_noise_has_the_wanted_power(kind: str) -> None:
    generator = np.random.default_rng(3)
    noise = data.noise(kind, generator)
    assert np.mean(np.square(noise)) == pytest.approx(1)
    word = np.sin(np.arange(4000) * 0.3).astype(np.float32)
    clip = data.mixed(word, 10.0, kind, generator)
    assert clip.shape == (SAMPLES,)
    assert 0.3 <= np.abs(clip).max() <= 1


def test_stretching() -> None:
    word = np.sin(np.arange(2000) * 0.1).astype(np.float32)
    longer = data.stretched(word, 1.5)
    assert len(longer) == 3000
    np.testing.assert_allclose(longer[::3], word[::2], atol=1e-6)
    assert len(data.stretched(np.ones(SAMPLES, np.float32), 2.0)) == SAMPLES


def test_mel_filters() -> None:
    """Each weighs bins around its own centre, the weights sum to 1, centres rise."""
    filters = mel_filters().double().numpy()
    assert filters.shape == (FRAME // 2 + 1, MELS)
    np.testing.assert_allclose(filters.sum(0), 1, rtol=1e-6)
    assert (filters >= 0).all()
    centres = filters.T @ np.arange(FRAME // 2 + 1)
    assert (np.diff(centres) > 0).all()


def test_front_end_equals_its_definition() -> None:
    """Frame by frame in float64."""
    sound = np.random.default_rng(0).uniform(-1, 1, (2, SAMPLES))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    expected = np.empty((2, FRAMES, MELS))
    for sample in range(2):
        for frame in range(FRAMES):
            piece = sound[sample, frame * HOP : frame * HOP + FRAME] * window
            expected[sample, frame] = np.log(np.abs(np.fft.rfft(piece)) @ mel_filters().double().numpy() + FLOOR) * 0.5 + 0.5
    found = LogMel()(torch.from_numpy(sound).float())
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=2e-5)
    assert found.shape == (2, 1, FRAMES, MELS)


def test_masking_hides_stripes_only() -> None:
    spectrograms = torch.randn(8, 1, FRAMES, MELS, generator=torch.Generator().manual_seed(0))
    hidden = masked(spectrograms, torch.Generator().manual_seed(1)) != spectrograms
    assert hidden.any()
    for clip in hidden[:, 0]:
        rows, columns = clip.all(1), clip.all(0)
        assert torch.equal(clip, rows[:, None] | columns[None])


def test_trained_network() -> None:
    """Words of two voices that training does not have."""
    speech = data.noisy(data.words(data.TEST_VOICES[:2], data.TEST_SETTINGS[:2]), data.TEST_SNR_DB, seed=5)
    with torch.no_grad():
        right = int((load_trained()(speech.clips).argmax(1) == speech.labels).sum())
    assert right >= 36
    assert len(speech.labels) == 40
    assert WEIGHTS.stat().st_size < 300_000
