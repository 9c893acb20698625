"""Frames of audio that look alike whatever their level and their file's equaliser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torchaudio

from soundgate.tracks.editor.features import band_centres_hz

HOP = 512
_N_FFT, _N_MELS = 2048, 40
_FLOOR = 1e-7  # of the loudest value: -70 dB


@dataclass(frozen=True)
class Frames:
    """A recording's frames, frame ``f`` centred on sample ``f · HOP``.

    Attributes:
        shape: float32 [F, n_mels], of length at most 1: log-mel without the file's mean and the frame's level.
        power: float32 [F, n_mels].
    """

    shape: np.ndarray
    power: np.ndarray


def frames_of(wav: np.ndarray, sample_rate: int, pitch: float = 1.0) -> Frames:
    """Return a recording's frames.

    Args:
        wav: mono float32 [T].
        sample_rate: Hz.
        pitch: by how much all its frequencies lie above those that bands are for.
    """
    padded = np.pad(wav, (0, max(0, _N_FFT - len(wav))))
    power = _transform(sample_rate, round(sample_rate / pitch))(torch.from_numpy(padded)).numpy().T
    power = power[: 1 + len(wav) // HOP]
    level = np.log(power + _FLOOR * max(float(power.max()), 1e-12))
    level -= level.mean(axis=0)
    level -= level.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(level, axis=1, keepdims=True)
    # Frames without any shape (silence) are like nothing, not like each other.
    return Frames((level / np.maximum(norm, 0.5)).astype(np.float32), power)


def rows_between(power: np.ndarray, start: float, length: int) -> np.ndarray:
    """Return frames from a place between two on, by linear interpolation; those that lie in the recording."""
    places = start + np.arange(max(length, 0))
    places = places[(places >= 0) & (places <= len(power) - 1)]
    whole = np.minimum(places.astype(int), max(len(power) - 2, 0))
    part = (places - whole).astype(power.dtype)[:, None]
    return (1 - part) * power[whole] + part * power[np.minimum(whole + 1, len(power) - 1)]


@cache
def _transform(sample_rate: int, pitched_rate: int) -> torchaudio.transforms.MelSpectrogram:
    """Return what makes frames; bands are those of the sample rate, bins those of the rate that gives true pitches."""
    return torchaudio.transforms.MelSpectrogram(
        pitched_rate, n_fft=_N_FFT, hop_length=HOP, f_min=40.0, f_max=float(sample_rate // 2), n_mels=_N_MELS,
        norm="slaney", mel_scale="slaney",
    )  # fmt: skip


@cache
def mel_centres_hz(sample_rate: int) -> np.ndarray:
    """Return the bands' centre frequencies [n_mels]."""
    return band_centres_hz(_transform(sample_rate, sample_rate).mel_scale.fb.numpy(), sample_rate)
