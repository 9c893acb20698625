"""The held-out judges' models."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.tracks.transfer.judge.features import N_RISE_BANDS, content_features, style_features

DIM = 64
# Segments of a clip that the pooled embedding keeps apart, coarse to fine.
PYRAMID = (1, 2, 4, 8)


class ContentJudge(nn.Module):
    """Dilated convolutions over time, pooled in a pyramid of segments, to a unit vector.

    Args:
        n_mels: bands of the spectrograms.
        channels: of the convolutions.
    """

    def __init__(self, n_mels: int, channels: int) -> None:
        super().__init__()
        self.n_mels, self.channels = n_mels, channels
        self.inner = nn.Conv1d(n_mels + N_RISE_BANDS, channels, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.outer = nn.Linear(channels * sum(PYRAMID), DIM)

    def forward(self, decibels: Tensor) -> Tensor:
        """Return [B, 64] of unit length from spectrograms [B, n_mels, F] dB."""
        return self.embed(content_features(decibels))

    def embed(self, features: Tensor) -> Tensor:
        """Return [B, 64] of unit length from content features."""
        values = functional.gelu(self.inner(features))
        for block in self.blocks:
            values = values + functional.gelu(block(values))
        pooled = torch.cat([functional.adaptive_avg_pool1d(values, n) for n in PYRAMID], dim=-1)
        return functional.normalize(self.outer(pooled.flatten(1)), dim=-1)


class StyleJudge(nn.Module):
    """Multinomial logistic regression on standardised style features, with a temperature.

    Args:
        n_features: width of `style_features`.
        n_genres: classes.
    """

    def __init__(self, n_features: int, n_genres: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        self.register_buffer("weight", torch.zeros(n_genres, n_features))
        self.register_buffer("bias", torch.zeros(n_genres))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, decibels: Tensor) -> Tensor:
        """Return probabilities [B, G] from spectrograms [B, n_mels, F] dB."""
        return torch.softmax(self.logits(style_features(decibels)) / self.temperature, dim=-1)

    def logits(self, features: Tensor) -> Tensor:
        """Return [B, G] from style features, before the temperature."""
        return (features - self.mean) / self.std @ self.weight.T + self.bias
