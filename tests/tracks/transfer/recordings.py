"""Sounds that transfers are tried on."""

import numpy as np
import soundfile

RATE = 22_050


def noise(seconds, slope_db=0.0, seed=0, rate=RATE, channels=1):
    """Noise whose spectrum falls by so many dB an octave, peak 0.3, [C, T]."""
    wav = np.random.default_rng(seed).normal(size=(channels, round(seconds * rate)))
    hz = np.maximum(np.fft.rfftfreq(wav.shape[1], 1 / rate), 20.0)
    wav = np.fft.irfft(np.fft.rfft(wav) * (hz / 1000) ** (slope_db / 20 / np.log10(2)), wav.shape[1])
    return (0.3 * wav / np.abs(wav).max()).astype(np.float32)


def notes(keys, seconds=0.5, rate=RATE, partials=6):
    """Notes one after another, MIDI keys, with partials and a decay, [1, T]."""
    t = np.arange(round(seconds * rate)) / rate
    sounds = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * n * t) / n for n in range(1, partials + 1))
        * np.exp(-3 * t)
        * np.minimum(1, t / 0.01)
        * np.minimum(1, (seconds - t) / 0.01)
        for key in keys
    ]
    return (0.2 * np.concatenate(sounds)[None]).astype(np.float32)


def write(path, wav, rate=RATE, subtype="FLOAT", **options):
    """Write samples [C, T]."""
    soundfile.write(path, np.atleast_2d(wav).T, rate, subtype=subtype, **options)
