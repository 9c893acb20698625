"""The one log-mel spectrogram: of caches, training, codecs' outputs and audits alike."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torchaudio
from pydantic import Field
from torch import Tensor, nn

from soundgate.runtime.arithmetic import decibels
from soundgate.runtime.config import Section

FLOOR_DB = -80.0
# Powers below these count as nothing: of one value, and of a clip's loudest one (about -90 dB re full scale).
_SMALLEST_POWER = 1e-13
_SMALLEST_REFERENCE = 1e-4


class MelSettings(Section):
    """What a mel spectrogram is made of.

    Args:
        sample_rate: Hz.
        n_fft: samples of the Hann window and of the transform.
        hop_length: samples from frame to frame.
        n_mels: bands, Slaney's scale and normalisation.
        f_min: lower edge, Hz; the upper one is half the sample rate.
    """

    sample_rate: int = Field(default=22_050, ge=4_000)
    n_fft: int = Field(default=1024, ge=64)
    hop_length: int = Field(default=256, ge=1)
    n_mels: int = Field(default=96, ge=8)
    f_min: float = Field(default=20.0, ge=0)


class MelTransform(nn.Module):
    """Waveforms to log-mel spectrograms in dB relative to each clip's own maximum.

    Args:
        settings: see `MelSettings`.

    Source: Slaney 1998, Auditory Toolbox (scale and area-normalised filters).
    """

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.power = torchaudio.transforms.MelSpectrogram(
            settings.sample_rate,
            n_fft=settings.n_fft,
            hop_length=settings.hop_length,
            f_min=settings.f_min,
            n_mels=settings.n_mels,
            norm="slaney",
            mel_scale="slaney",
            pad_mode="reflect",
        )

    def forward(self, wav: Tensor) -> Tensor:
        """Return float32 [B, n_mels, 1 + T // hop_length] in [-80, 0] dB; silence is -80 throughout.

        Args:
            wav: float32 [B, T], T > n_fft / 2.
        """
        power = self.power(wav)
        reference = power.amax(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST_REFERENCE)
        relative = decibels(power.clamp(min=_SMALLEST_POWER)) - decibels(reference)
        return relative.clamp(min=FLOOR_DB)


def to_model(decibels: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """Map [-80, 0] dB to [-1, 1]."""
    return decibels / (-FLOOR_DB / 2) + 1


def from_model(values: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """Map [-1, 1] to [-80, 0] dB."""
    return (values - 1) * (-FLOOR_DB / 2)


def griffin_lim(decibels: np.ndarray, settings: MelSettings, n_iter: int = 32) -> np.ndarray:
    """Turn a log-mel spectrogram into a waveform that has about that spectrogram.

    Args:
        decibels: [n_mels, F] in [-80, 0].
        settings: those the spectrogram was made with.
        n_iter: iterations of the phase search, from zero phase.

    Returns:
        float32 [(F - 1) · hop_length], peak 0.9.

    Source: Griffin and Lim 1984; Perraudin et al. 2013 (momentum).
    Differs: linear-frequency powers are the pseudo-inverse's, negative ones set to 0.
    """
    power = torch.pow(10.0, torch.as_tensor(decibels, dtype=torch.float32) / 10)
    wav = invert_power(power, settings, n_iter).numpy()
    return (0.9 * wav / max(np.abs(wav).max(), 1e-9)).astype(np.float32)


def invert_power(power: Tensor, settings: MelSettings, n_iter: int = 32) -> Tensor:
    """Turn mel powers into a waveform at their level, float32 [(F - 1) · hop_length]; see `griffin_lim`.

    Args:
        power: float32 [n_mels, F].
        settings: those the spectrogram was made with.
        n_iter: iterations of the phase search, from zero phase.
    """
    return _search(settings, n_iter)(linear_power(power, settings)[None])[0]


def linear_power(power: Tensor, settings: MelSettings) -> Tensor:
    """Return powers [n_fft / 2 + 1, F] of the transform, of which mel powers [n_mels, F] are about the sums."""
    return (_inverse(settings) @ power).clamp(min=0)


@cache
def _inverse(settings: MelSettings) -> Tensor:
    return torch.linalg.pinv(MelTransform(settings).power.mel_scale.fb.T)


@cache
def _search(settings: MelSettings, n_iter: int) -> nn.Module:
    return torchaudio.transforms.GriffinLim(
        settings.n_fft, n_iter, hop_length=settings.hop_length, power=2.0, rand_init=False
    )
