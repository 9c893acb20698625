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


def frames_of(wav: np.ndarray, sample_rate: int) -> Frames:
    """Return a recording's frames.

    Args:
        wav: mono float32 [T].
        sample_rate: Hz.
    """
    padded = np.pad(wav, (0, max(0, _N_FFT - len(wav))))
    power = _transform(sample_rate)(torch.from_numpy(padded)).numpy().T[: 1 + len(wav) // HOP]
    level = np.log(power + _FLOOR * max(float(power.max()), 1e-12))
    level -= level.mean(axis=0)
    level -= level.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(level, axis=1, keepdims=True)
    # Frames without any shape (silence) are like nothing, not like each other.
    return Frames((level / np.maximum(norm, 0.5)).astype(np.float32), power)


@cache
def _transform(sample_rate: int) -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        sample_rate, n_fft=_N_FFT, hop_length=HOP, f_min=40.0, n_mels=_N_MELS, norm="slaney", mel_scale="slaney"
    )


@cache
def mel_centres_hz(sample_rate: int) -> np.ndarray:
    """Return the bands' centre frequencies [n_mels]."""
    return band_centres_hz(_transform(sample_rate).mel_scale.fb.numpy(), sample_rate)
