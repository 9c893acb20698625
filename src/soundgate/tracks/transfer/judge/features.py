"""What the held-out judges hear of a log-mel spectrogram."""

from __future__ import annotations

import librosa
import numpy as np
import torch
import torchaudio
from torch import Tensor
from torch.nn import functional

FLOOR_DB = -60.0
# Bands of the running spectral envelope, and the scale of what stands out of it, in dB.
ENVELOPE_BANDS = 11
CONTRAST_DB = 12.0
N_RISE_BANDS = 8
N_MFCC = 20
_RISE_DB = 6.0


def content_features(decibels: Tensor) -> Tensor:
    """Return what is pitch and rhythm, with little of timbre: partials above their envelope, and rises of level.

    Args:
        decibels: [B, n_mels, F], F even.

    Returns:
        [B, n_mels + 8, F / 2]: bands relative to their running mean over 11 bands and to their own mean over time,
        then rises of level from frame to frame in 8 groups of bands.
    """
    pooled = functional.avg_pool1d(decibels, 2)
    heard = (pooled - pooled.amax(dim=(1, 2), keepdim=True)).clamp(min=FLOOR_DB)
    margin = ENVELOPE_BANDS // 2
    padded = functional.pad(heard.mT, (margin, margin), mode="replicate")
    whitened = heard - functional.avg_pool1d(padded, ENVELOPE_BANDS, 1).mT
    whitened = ((whitened - whitened.mean(dim=-1, keepdim=True)) / CONTRAST_DB).clamp(-2, 2)
    rises = functional.pad(functional.relu(heard[..., 1:] - heard[..., :-1]), (1, 0))
    grouped = functional.adaptive_avg_pool1d(rises.mT, N_RISE_BANDS).mT
    return torch.cat([whitened, grouped / _RISE_DB], dim=1)


def shift_bands(features: Tensor, by: np.ndarray, n_mels: int) -> Tensor:
    """Return content features [B, C, F] whose first ``n_mels`` rows moved up by int [B] bands: other keys, roughly."""
    shifted = features.clone()
    for item, bands in enumerate(by):
        if bands:
            shifted[item, :n_mels] = torch.roll(features[item, :n_mels], int(bands), dims=0)
            emptied = slice(0, bands) if bands > 0 else slice(n_mels + bands, n_mels)
            shifted[item, emptied] = 0
    return shifted


def style_features(decibels: Tensor) -> Tensor:
    """Return what is sound rather than notes: cepstra, how they move, and how bands are modulated.

    Args:
        decibels: [B, n_mels, F].

    Returns:
        [B, 3 · 20 + 2 · 12]: of 20 cepstral coefficients the mean, the deviation and the deviation of the change
        from frame to frame; of 12 groups of bands the mean rise and the share of modulation above 8 Hz.

    Source: Davis and Mermelstein 1980 (cepstral coefficients).
    """
    transform = torchaudio.functional.create_dct(N_MFCC, decibels.shape[1], norm="ortho").to(decibels)
    cepstra = transform.mT @ decibels
    moves = cepstra[..., 1:] - cepstra[..., :-1]
    groups = functional.adaptive_avg_pool1d(decibels.mT, 12).mT
    rises = functional.relu(groups[..., 1:] - groups[..., :-1]).mean(-1)
    spectrum = torch.fft.rfft(groups - groups.mean(-1, keepdim=True)).abs().square()
    fast = spectrum[..., _first_fast_bin(decibels.shape[-1]) :].sum(-1) / (spectrum.sum(-1) + 1e-6)
    return torch.cat([cepstra.mean(-1), cepstra.std(-1), moves.std(-1), rises, fast], dim=-1)


def _first_fast_bin(n_frames: int, frame_rate: float = 22050 / 256, hz: float = 8.0) -> int:
    return int(np.searchsorted(librosa.fft_frequencies(sr=frame_rate, n_fft=n_frames), hz))
