"""Conversion without training, of vowels of known pitch and formants."""

from __future__ import annotations

import numpy as np
import pytest

from soundgate.tracks.voice.baselines.methods import BASELINES, KNN, WORLD_ENV, WORLD_F0, baseline_methods
from soundgate.tracks.voice.baselines.world import formant_factor

RATE = 16_000
# Fundamental in Hz, factor of the formants.
LOW, HIGH = (105.0, 1.0), (180.0, 1.15)
VOWELS_HZ = np.array([[300, 2200, 3000], [700, 1200, 2600], [320, 800, 2400], [550, 1700, 2500]])
SOUNDS, SOUND_S = [0, 1, 2, 3, 1, 0, 3, 2, 0, 2], 0.2


def say(voice, seed):
    """Return two seconds of vowels in a voice, in an order of their own."""
    (f0, factor), generator = voice, np.random.default_rng(seed)
    t = np.arange(round(len(SOUNDS) * SOUND_S * RATE)) / RATE
    pitch = f0 * np.exp(0.1 * np.sin(2 * np.pi * (t / 0.7 + generator.uniform())))
    formants = VOWELS_HZ[np.repeat(generator.permutation(SOUNDS), round(SOUND_S * RATE))] * factor
    wav, phase = np.zeros(len(t)), 2 * np.pi * np.cumsum(pitch) / RATE
    for harmonic in range(1, 80):
        hz = harmonic * pitch
        gain = sum(np.exp(-np.abs(hz - formant) / 150) for formant in formants.T) + 0.05
        wav += np.where(hz < 7_000, gain / (1 + hz / 1_000), 0) * np.sin(harmonic * phase)
    return (0.1 * wav / wav.std() + generator.normal(0, 1e-3, len(wav))).astype(np.float32)


@pytest.fixture(scope="module")
def methods():
    return baseline_methods(RATE)


@pytest.fixture(scope="module")
def voices(methods):
    """Both voices as each method knows them."""
    return {
        name: tuple(method.enrol([say(voice, seed) for seed in (1, 2)]) for voice in (LOW, HIGH))
        for name, method in methods.items()
    }


@pytest.fixture(scope="module")
def made(methods, voices):
    """The low voice's words in the high voice, by method."""
    return {name: method.convert(say(LOW, 3), *voices[name]) for name, method in methods.items()}


def mean_envelope(wav):
    """Return a recording's mean log envelope below 4 kHz, where its vowels are."""
    own = baseline_methods(RATE)[WORLD_F0].enrol([wav]).log_envelope
    return own[: len(own) // 2]


@pytest.mark.parametrize("name", BASELINES)
def test_pitch_arrives_at_the_targets_in_as_many_samples_and_again_the_same(methods, voices, made, name):
    wav, (own, voice) = made[name], voices[name]
    assert wav.shape == say(LOW, 3).shape and wav.dtype == np.float32 and np.isfinite(wav).all()
    found = methods[name].enrol([wav])
    assert abs(found.log_f0_mean - voice.log_f0_mean) < 0.03 < abs(own.log_f0_mean - voice.log_f0_mean)
    np.testing.assert_array_equal(wav, methods[name].convert(say(LOW, 3), own, voice))
    again = baseline_methods(RATE)[name]
    both = (again.enrol([say(voice, seed) for seed in (1, 2)]) for voice in (LOW, HIGH))
    np.testing.assert_array_equal(wav, again.convert(say(LOW, 3), *both))


def test_the_difference_of_mean_envelopes_brings_timbre_nearer_than_pitch_alone(voices, made):
    goal = voices[WORLD_ENV][1].log_envelope[: len(mean_envelope(made[WORLD_ENV]))]
    near, far = (np.abs(mean_envelope(made[name]) - goal).mean() for name in (WORLD_ENV, WORLD_F0))
    assert near < 0.5 * far


def test_the_length_of_the_throat_is_found(methods):
    own, longer = (methods[WORLD_F0].enrol([say((120.0, factor), 1)]) for factor in (1.0, 0.85))
    assert formant_factor(own, longer, RATE) == pytest.approx(0.85, abs=0.06)
    assert formant_factor(longer, own, RATE) == pytest.approx(1 / 0.85, abs=0.06)
    assert formant_factor(own, own, RATE) == pytest.approx(1, abs=0.011)


def test_a_speaker_matched_with_other_words_of_their_own_keeps_the_sounds(methods, voices):
    method, own = methods[KNN], voices[KNN][0]
    source = say(LOW, 3)

    def likeness(one, other):
        logs = [np.log(method.vocoder.analyse(wav).envelope)[:, :256:8] for wav in (one, other)]
        return np.corrcoef(*(part.ravel() - np.tile(part.mean(0), len(part)) for part in logs))[0, 1]

    kept, other = method.convert(source, own, own), say(LOW, 4)
    assert likeness(kept, source) > 0.8 > 0.5 > likeness(other, source)
