"""Voices at any rate and length: gliding vowels with pauses, a pitch and a length of throat for each."""

from functools import cache

import numpy as np

VOWELS_HZ = np.array([[300, 2_200, 3_000], [700, 1_200, 2_600], [320, 800, 2_400], [550, 1_700, 2_500]])
_SOUND_S, _WORD_S, _PAUSE_S = 0.15, 0.9, 0.25


@cache
def voice(seconds, f0=120.0, factor=1.0, rate=16_000, seed=0, peak=0.3):
    """Return words of vowels, float32 [T]; after every word there is a pause with a little noise."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    sounds = generator.integers(len(VOWELS_HZ), size=int(seconds / _SOUND_S) + 1)
    bends = np.interp(
        t, np.arange(0, seconds + 1, 0.2), generator.normal(scale=0.12, size=len(np.arange(0, seconds + 1, 0.2)))
    )
    pitch = f0 * np.exp(bends)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = VOWELS_HZ[sounds][(t / _SOUND_S).astype(int)] * factor
    wav = np.zeros(len(t))
    for harmonic in range(1, int(min(4_500, 0.45 * rate) / f0)):
        hz = harmonic * pitch
        gain = sum(np.exp(-(((hz - own) / 150) ** 2)) for own in formants.T) + 0.02
        wav += gain * np.sin(harmonic * phase)
    into = t % (_WORD_S + _PAUSE_S)
    wav *= np.clip(np.minimum(into, _WORD_S - into) / 0.03, 0, 1)
    wav = peak * wav / max(np.abs(wav).max(), 1e-9)
    wav = (wav + 1e-4 * generator.normal(size=len(t))).astype(np.float32)
    wav.flags.writeable = False
    return wav
