"""What the judges hear: cepstra on a linear scale of frequency, which no other network of the track reads."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchaudio.functional import create_dct

from soundgate.tracks.voice.features import FeatureSettings

# Below the loudest value of a recording by this much, in nepers (60 dB), everything is silence.
_RANGE = math.log(1_000)


class Cepstra(nn.Module):
    """Waveforms to cosine transforms of log magnitudes up to a frequency, without the level.

    Args:
        n_cepstra: coefficients from the first on. Coefficient ``k`` is a ripple of ``2 f_max_hz / k`` Hz: few of them
            hold the envelope, about ``2 f_max_hz / f0`` also the harmonics.
        f_max_hz: upper edge.
        features: the track's; sample rate, window and hop are taken from them.
    """

    def __init__(self, n_cepstra: int, f_max_hz: float, features: FeatureSettings) -> None:
        super().__init__()
        self.features = features
        self.n_bins = round(f_max_hz * features.n_fft / features.sample_rate)
        self.register_buffer("window", torch.hann_window(features.n_fft), persistent=False)
        self.register_buffer("cosines", create_dct(1 + n_cepstra, self.n_bins, "ortho")[:, 1:].T, persistent=False)

    def spectrum(self, wav: Tensor) -> Tensor:
        """Return log magnitudes [B, n_bins, 1 + T // hop_length] below the loudest of each item, from [B, T]."""
        settings = self.features
        transform = torch.stft(
            wav, settings.n_fft, settings.hop_length, window=self.window, pad_mode="constant", return_complex=True
        )
        magnitude = transform[:, : self.n_bins].abs()
        loudest = magnitude.amax(dim=(1, 2), keepdim=True).clamp(min=1e-5)
        return (magnitude / loudest).clamp(min=math.exp(-_RANGE)).log()

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return cepstra [B, n_cepstra, L] of log magnitudes [B, n_bins, L]."""
        return self.cosines @ spectrum
