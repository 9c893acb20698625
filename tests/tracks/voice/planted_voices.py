"""Speakers whose voice, pitch and content are known, and listeners that read just those.

A voice is a formant below 2 kHz and a pitch; content is which of five tones above 3 kHz sounds.
"""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from soundgate.tracks.voice.cache import COLUMNS, VoiceCache, write_cache
from soundgate.tracks.voice.features import FeatureSettings

FEATURES = FeatureSettings(
    sample_rate=16_000, n_fft=1024, hop_length=256, n_mels=80, f0_min_hz=60.0, f0_max_hz=500.0
)  # fmt: skip
RATE, HOP = FEATURES.sample_rate, FEATURES.hop_length
TONES_HZ = np.array([3000, 3900, 4800, 5700, 6600])
FORMANTS_HZ = {"ann": 500, "bob": 800, "cat": 1100, "dan": 1400, "eve": 1750}
PITCH_HZ = {"ann": 150.0, "bob": 110.0, "cat": 200.0, "dan": 130.0, "eve": 170.0}
LOG_F0_STD = 0.08
_SEGMENT = 25 * HOP // 4


def melody(name, n_frames):
    """Return an utterance's pitch in units of its speaker's deviation, [n_frames]."""
    phase = np.random.default_rng(abs(hash_of(name))).uniform(0, 2 * np.pi, 2)
    time = np.arange(n_frames) * HOP / RATE
    return np.sqrt(2) * np.sin(2 * np.pi * 1.7 * time + phase[0]) * np.cos(phase[1] + time)


def text(name, n_samples):
    """Return which tone sounds at each sample of an utterance."""
    units = np.random.default_rng(hash_of(name) + 1).integers(0, 5, n_samples // _SEGMENT + 1)
    return np.repeat(units, _SEGMENT)[:n_samples]


def say(name, voice, n_samples):
    """Return the utterance ``name`` in a voice, and its F0."""
    n_frames = FEATURES.n_frames(n_samples)
    f0 = PITCH_HZ[voice] * np.exp(LOG_F0_STD * melody(name, n_frames))
    phase = 2 * np.pi * np.cumsum(np.interp(np.arange(n_samples) / HOP, np.arange(n_frames), f0)) / RATE
    order = np.arange(1, 21)
    strength = np.exp(-np.square((order * PITCH_HZ[voice] - FORMANTS_HZ[voice]) / 250)) + 0.03
    wav = np.cos(phase[:, None] * order) @ strength * 0.05
    tone = np.sin(2 * np.pi * np.cumsum(TONES_HZ[text(name, n_samples)]) / RATE)
    return (wav + 0.04 * tone).astype(np.float32), f0.astype(np.float32)


def hash_of(name):
    return sum((place + 1) * ord(letter) for place, letter in enumerate(name))


def write_planted_cache(folder, n_utterances=6, duration_s=2.0, seen=("dan", "eve"), unseen=("ann", "bob", "cat")):
    """Write a cache of the planted speakers; the last third of those seen is held out for validation."""
    n_samples, rows, samples, f0 = int(duration_s * RATE), [], [], []
    for split in ("train", "validation", "test"):
        for speaker in unseen if split == "test" else seen:
            held_out = n_utterances - max(1, n_utterances // 3)
            numbers = {"train": range(held_out), "validation": range(held_out, n_utterances)}.get(
                split, range(n_utterances)
            )
            for number in numbers:
                name = f"{speaker}-{number}"
                wav, frames = say(name, speaker, n_samples)
                samples.append(np.rint(wav * 2**15).astype(np.int16))
                f0.append(frames)
                rows.append((name, speaker, split, f"{name}.wav", n_samples, np.log(PITCH_HZ[speaker]), LOG_F0_STD))
    write_cache(folder, FEATURES, pd.DataFrame(rows, columns=COLUMNS), samples, f0)
    return VoiceCache.open(folder)


class FormantJudge(nn.Module):
    """Hears the spectrum below 2 kHz, smoothed until harmonics are gone."""

    def __init__(self):
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def forward(self, wav):
        power = torch.stft(wav, 1024, 256, window=torch.hann_window(1024), return_complex=True).abs().square()
        low = power.mean(dim=-1)[:, :128]
        smooth = functional.avg_pool1d(low[:, None], 25, 4, 12)[:, 0].clamp(min=1e-12).sqrt()
        return functional.normalize(self.sharpness * (smooth - smooth.mean(dim=1, keepdim=True)), dim=1)


class ToneUnits(nn.Module):
    """Hears which tone sounds."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, wav):
        power = torch.stft(wav, 1024, 256, window=torch.hann_window(1024), return_complex=True).abs().square()
        bins = torch.from_numpy(np.rint(TONES_HZ * 1024 / RATE).astype(np.int64))
        return (self.scale * power[:, bins].clamp(min=1e-12).log()).mT.log_softmax(dim=-1)
