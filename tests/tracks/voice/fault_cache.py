"""A small cache of planted voices, for trainings that tests break: harmonics under a formant of the speaker's own."""

import numpy as np
import pandas as pd

from soundgate.tracks.voice.cache import COLUMNS, VoiceCache, write_cache
from soundgate.tracks.voice.features import FeatureSettings

FEATURES = FeatureSettings(
    sample_rate=16_000, n_fft=1024, hop_length=256, n_mels=80, f0_min_hz=60.0, f0_max_hz=500.0
)  # fmt: skip
N_SAMPLES = 16_384


def speak(speaker, number):
    """Return a second of a speaker, int16 [T], and its fundamental, float32 [L]."""
    generator = np.random.default_rng([speaker, number])
    time = np.arange(N_SAMPLES) / 16_000
    f0 = (90 + 35 * speaker) * (1 + 0.1 * np.sin(2 * np.pi * (1 + generator.random()) * time))
    phase = 2 * np.pi * np.cumsum(f0) / 16_000
    formant = 500 + 350 * speaker
    wave = sum(np.sin(k * phase) * np.exp(-(((k * f0 - formant) / 400) ** 2)) for k in range(1, 12))
    wave = wave * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) + 0.01 * generator.standard_normal(N_SAMPLES)
    frames = np.minimum(np.arange(FEATURES.n_frames(N_SAMPLES)) * FEATURES.hop_length, N_SAMPLES - 1)
    return (wave * 4000).astype(np.int16), f0[frames].astype(np.float32)


def planted(folder, n_speakers=3, n_utterances=4):
    """Return a cache of speakers who are all trained on, one utterance of each for validation."""
    rows, samples, f0 = [], [], []
    for split, numbers in (("train", range(1, n_utterances)), ("validation", range(1))):
        for speaker in range(n_speakers):
            for number in numbers:
                wave, pitch = speak(speaker, number)
                logs = np.log(pitch)
                rows.append(
                    [f"{speaker}-{number}", f"s{speaker}", split, "", len(wave), float(logs.mean()), float(logs.std())]
                )
                samples.append(wave)
                f0.append(pitch)
    write_cache(folder, FEATURES, pd.DataFrame(rows, columns=COLUMNS), samples, f0)
    return VoiceCache.open(folder)
