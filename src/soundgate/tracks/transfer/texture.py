"""Statistics of how bands sound over time, which tell textures apart whatever is played."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from soundgate.tracks.transfer.mel.losses import band_statistics

# Mel bands that are joined for what is measured between bands or by rates of modulation.
_JOINED = 4


def texture_statistics(mels: Tensor) -> Tensor:
    """Return each spectrogram's texture.

    Args:
        mels: [B, M, F] in the models' scale, M a multiple of 4.

    Returns:
        [B, S]: of every band mean, spread, size of the steps and mean rise; of groups of four bands their
        covariances, those of their steps, and log power in octaves of modulation rate; differentiable.

    Source: McDermott and Simoncelli 2011, "Sound texture perception via statistics of the auditory periphery".
    Differs: levels in dB for compressed envelopes, mean rises for skewness, a log-mel for a cochlear filter bank.
    """
    groups = functional.avg_pool1d(mels.mT, _JOINED).mT
    centred = groups - groups.mean(dim=-1, keepdim=True)
    rises = functional.relu(mels.diff(dim=-1)).mean(dim=-1)
    parts = [band_statistics(mels), rises, _covariances(centred), _covariances(centred.diff(dim=-1))]
    return torch.cat([part.flatten(1) for part in (*parts, _modulation(centred))], dim=1)


def _covariances(values: Tensor) -> Tensor:
    """Return the upper triangles of [B, G, G]."""
    upper = torch.triu_indices(values.shape[1], values.shape[1], device=values.device)
    return (values @ values.mT / values.shape[-1])[:, upper[0], upper[1]]


def _modulation(values: Tensor) -> Tensor:
    """Return [B, G, octaves] from the slowest cycle in a clip up to half the frame rate."""
    power = torch.fft.rfft(values, norm="ortho").abs().square()
    edges = [1]
    while 2 * edges[-1] < power.shape[-1]:
        edges.append(2 * edges[-1])
    octaves = [power[..., low : 2 * low].mean(dim=-1) for low in edges]
    return torch.stack(octaves, dim=-1).clamp(min=1e-5).log()


@dataclass(frozen=True)
class Textures:
    """What the genres' textures are.

    Args:
        means: [G, S], over real items of each genre.
        spread: [S], between items of one genre.
    """

    means: Tensor
    spread: Tensor

    @classmethod
    def of(cls, statistics: list[Tensor]) -> Textures:
        """Return those of real items' statistics, one [n_g, S] for each genre."""
        within = torch.cat([own - own.mean(dim=0) for own in statistics])
        spread = within.std(dim=0, correction=0)
        return cls(torch.stack([own.mean(dim=0) for own in statistics]), spread + 1e-3 * spread.mean() + 1e-6)

    def loss(self, made: Tensor, genres: Tensor) -> Tensor:
        """Return by how many spreads statistics lie outside the genre's mean and one spread, averaged over all.

        Item by item: of a mean over items, what one has too little makes up for what another has too much. Within a
        spread an item is as its genre's own are.

        Args:
            made: [B, M, F] in the models' scale.
            genres: int64 [B], codes that the items should sound like.
        """
        off = (texture_statistics(made) - self.means[genres]).abs() / self.spread
        return functional.relu(off - 1).mean()
