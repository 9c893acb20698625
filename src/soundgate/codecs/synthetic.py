"""Speech-like sound made from nothing, to fit the built-in codebooks on."""

from __future__ import annotations

import numpy as np
from scipy.signal import sosfilt

from soundgate.runtime.randomness import keyed_generator

FORMANT_HZ = ((250, 900), (850, 2500), (2000, 3200), (3200, 4500))


def speech_like(duration_s: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Return syllables of pulses or noise through four random resonances, with pauses.

    Args:
        duration_s: length.
        sample_rate: Hz.
        seed: equal seeds give equal sound.

    Returns:
        float64 [T] in (−1, 1).

    Source: Klatt 1980 (cascade formant synthesis), with every parameter drawn at random.
    """
    generator = keyed_generator(seed, "gain-shape-synthetic")
    n_samples = round(duration_s * sample_rate)
    wav = np.zeros(n_samples)
    start = 0
    while start < n_samples:
        length = min(int(generator.uniform(0.08, 0.35) * sample_rate), n_samples - start)
        wav[start : start + length] = _syllable(length, sample_rate, generator)
        start += length + (int(generator.uniform(0.05, 0.3) * sample_rate) if generator.random() < 0.2 else 0)
    return wav + 1e-4 * generator.standard_normal(n_samples)


def _syllable(length: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    time_s = np.arange(length) / sample_rate
    pitch_hz = generator.uniform(80, 260) * (1 + generator.uniform(-0.3, 0.3) * time_s)
    pulses = np.diff(np.floor(np.cumsum(pitch_hz) / sample_rate), prepend=0.0) - pitch_hz / sample_rate
    noise = generator.standard_normal(length)
    voiced = generator.random() < 0.75
    source = pulses + 0.01 * noise if voiced else np.diff(noise, prepend=0.0)
    sections = [_resonance(generator.uniform(*band), generator.uniform(60, 200), sample_rate) for band in FORMANT_HZ]
    filtered = sosfilt(np.array(sections if voiced else sections[2:]), source)
    level = 10 ** generator.uniform(-2.0, -0.5) * (1.0 if voiced else 0.3)
    attack = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / 0.02)
    return np.clip(filtered * attack * level / (np.sqrt(np.mean(filtered**2)) + 1e-9), -0.99, 0.99)


def _resonance(frequency_hz: float, bandwidth_hz: float, sample_rate: int) -> list[float]:
    radius = np.exp(-np.pi * bandwidth_hz / sample_rate)
    feedback = [1.0, -2 * radius * np.cos(2 * np.pi * frequency_hz / sample_rate), radius**2]
    return [sum(feedback), 0.0, 0.0, *feedback]
