"""Frames of audio that look alike whatever their level and their file's equaliser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import librosa
import numpy as np
from scipy.fft import rfft
from scipy.signal import get_window

HOP = 512
_N_FFT, _N_MELS = 2048, 40
# Frames that are transformed at a time.
_BLOCK = 1_024
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
    n_frames, half = 1 + len(wav) // HOP, _N_FFT // 2
    # Mirrored at both ends; what is shorter than a window is filled up first.
    padded = np.pad(np.pad(wav, (0, max(0, _N_FFT - len(wav)))), half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::HOP]
    power = np.empty((n_frames, _N_MELS), np.float32)
    for first in range(0, n_frames, _BLOCK):
        spectra = rfft(windows[first : min(first + _BLOCK, n_frames)] * _window(), axis=1)
        power[first : first + _BLOCK] = (np.square(spectra.real) + np.square(spectra.imag)) @ _filters(
            sample_rate, round(sample_rate / pitch)
        )
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
def _window() -> np.ndarray:
    return get_window("hann", _N_FFT).astype(np.float32)


@cache
def _filters(sample_rate: int, pitched_rate: int) -> np.ndarray:
    """Return the bands, [bins, n_mels]: those of the sample rate, bins those of the rate that gives true pitches."""
    return librosa.filters.mel(
        sr=pitched_rate, n_fft=_N_FFT, n_mels=_N_MELS, fmin=40.0, fmax=sample_rate // 2, norm="slaney"
    ).T


@cache
def mel_centres_hz(sample_rate: int) -> np.ndarray:
    """Return the bands' centre frequencies [n_mels]."""
    filters = _filters(sample_rate, sample_rate)
    return np.linspace(0, sample_rate / 2, len(filters)) @ filters / filters.sum(axis=0)
