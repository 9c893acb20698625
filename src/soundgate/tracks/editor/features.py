"""The log-mel features that every model of the track reads and writes, in one fixed scale."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
import torch
import torchaudio
from pydantic import Field
from torch import Tensor

from soundgate.audio.mel import MelSettings
from soundgate.runtime.arithmetic import decibels
from soundgate.tracks.editor.recovery.sound import passage

_SMALLEST_POWER = 1e-13
_BLOCK_FRAMES = 4_096


class FeatureSettings(MelSettings):
    """What a spectrogram is made of, and which levels count.

    Args:
        n_fft: samples of the Hann window and of the transform.
        hop_length: samples from frame to frame.
        n_mels: bands.
        f_min: lower edge, Hz.
        ceiling_db: 10 log10 of the mel power that becomes 1. At the seed's transform a full-scale sine reaches 40.8
            in the loudest band, music with its peak at full scale 36.7 at most (16 recordings, generated and real).
        range_db: so far below it lies what becomes 0.
    """

    n_fft: int = Field(default=2048, ge=64)
    hop_length: int = Field(default=512, ge=1)
    n_mels: int = Field(default=128, ge=8)
    f_min: float = Field(default=0.0, ge=0)
    ceiling_db: float = 40.0
    range_db: float = Field(default=80.0, gt=0)

    @property
    def floor_db(self) -> float:
        """What becomes 0."""
        return self.ceiling_db - self.range_db


class Features:
    """Waveforms to log-mel frames: 0 at the floor, 1 at the ceiling, frame ``f`` centred on sample ``f · hop_length``.

    Beyond its ends a recording is silent, so that one of any length has frames.

    Args:
        settings: see `FeatureSettings`.

    Source: Slaney 1998, Auditory Toolbox (scale and area-normalised filters).
    Differs: the seed scales each file by its own maximum and minimum, which cannot be undone; see `seed_normalised`.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        self.settings = settings
        self.power = torchaudio.transforms.MelSpectrogram(
            settings.sample_rate,
            n_fft=settings.n_fft,
            hop_length=settings.hop_length,
            f_min=settings.f_min,
            n_mels=settings.n_mels,
            norm="slaney",
            mel_scale="slaney",
            center=False,
        )
        self._elsewhere: dict[torch.device, torch.nn.Module] = {}

    @cached_property
    def centres_hz(self) -> np.ndarray:
        """The bands' centre frequencies, float64 [n_mels], rising."""
        return band_centres_hz(self.power.mel_scale.fb.numpy(), self.settings.sample_rate)

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a recording has."""
        return 1 + n_samples // self.settings.hop_length

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """Return a recording's frames, float32 [F, n_mels] in [0, 1] with F = 1 + T // hop_length.

        Args:
            wav: mono float32 [T] at the settings' rate, of any length; worked on in blocks.
        """
        return self.from_db(self.decibels(wav))

    def decibels(self, wav: np.ndarray) -> np.ndarray:
        """Return float32 [F, n_mels] in dB, neither limited by the ceiling nor by the floor; see `__call__`."""
        hop, half = self.settings.hop_length, self.settings.n_fft // 2
        n_frames = self.n_frames(len(wav))
        out = np.empty((n_frames, self.settings.n_mels), np.float32)
        for first in range(0, n_frames, _BLOCK_FRAMES):
            last = min(first + _BLOCK_FRAMES, n_frames)
            block = passage(wav, first * hop - half, (last - 1) * hop + half)
            out[first:last] = decibels(self.power(torch.from_numpy(block)).clamp(min=_SMALLEST_POWER)).numpy().T
        return out

    def of_batch(self, wavs: Tensor) -> Tensor:
        """Return the frames of a batch, differentiable: [B, T] to [B, F, n_mels] in [0, 1]."""
        half = self.settings.n_fft // 2
        if wavs.device not in self._elsewhere:
            self._elsewhere[wavs.device] = copy.deepcopy(self.power).to(wavs.device)
        power = self._elsewhere[wavs.device](torch.nn.functional.pad(wavs, (half, half)))
        return self.from_db(decibels(power.clamp(min=_SMALLEST_POWER)).mT)

    def to_db(self, unit):
        """Map [0, 1] to dB; arrays and tensors alike."""
        return self.settings.floor_db + self.settings.range_db * unit

    def from_db(self, db):
        """Map dB to [0, 1], what lies outside to the ends; arrays and tensors alike."""
        return ((db - self.settings.floor_db) / self.settings.range_db).clip(0, 1)


def seed_normalised(db: np.ndarray, range_db: float = 80.0) -> np.ndarray:
    """Scale a recording's spectrogram as the seed does, by its own loudest and quietest value.

    Args:
        db: float [F, n_mels].
        range_db: what lies further below the loudest value is raised first.

    Returns:
        float32, in [0, 1]; a recording without any contrast is 0 throughout.

    Source: the seed's ``extract_mel``: ``power_to_db(ref=max)`` (McFee et al., librosa) and min-max.
    """
    limited = np.maximum(db, db.max() - range_db)
    return ((limited - limited.min()) / (limited.max() - limited.min() + 1e-8)).astype(np.float32)


def band_centres_hz(filters: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the centre frequencies [n_mels] of a bank of filters [n_fft / 2 + 1, n_mels]."""
    hz = np.linspace(0, sample_rate / 2, len(filters))
    return hz @ filters / filters.sum(axis=0)
