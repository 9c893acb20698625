"""What the mel generator minimises besides the critic's opinion."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from soundgate.audio.mel import FLOOR_DB, from_model
from soundgate.runtime.arithmetic import log_sum_exp, square_root
from soundgate.tracks.transfer.content.model import Analysis
from soundgate.training.adversarial import group_means

# dB of a power ratio of e.
_DB = 10 / math.log(10)


def content_loss(made: Analysis, wanted: Analysis) -> Tensor:
    """Return 1 - cosine of the pooled contents plus the mean over time of 1 - cosine of the sequences."""
    pooled = functional.cosine_similarity(made.content, wanted.content, dim=1)
    steps = functional.cosine_similarity(made.sequence, wanted.sequence, dim=1)
    return (1 - pooled).mean() + (1 - steps).mean()


def style_loss(made: Tensor, target: Tensor) -> Tensor:
    """Return 1 - cosine between target vectors [B, D], averaged."""
    return (1 - functional.cosine_similarity(made, target, dim=1)).mean()


def flatness(mels: Tensor) -> Tensor:
    """Return each frame's spectral flatness over the mel bands in dB: at most 0, which is a flat frame.

    Args:
        mels: [B, M, F] in the models' scale.

    Returns:
        [B, F].

    Source: Gray and Markel 1974: geometric over arithmetic mean of the powers.
    """
    decibels = from_model(mels)
    arithmetic = (log_sum_exp(decibels / _DB, 1) - math.log(mels.shape[1])) * _DB
    return decibels.mean(dim=1) - arithmetic


def flatness_loss(made: Tensor, real: Tensor) -> Tensor:
    """Return how differently the frames' flatness is distributed, item by item; for items that are no pairs.

    The mean distance between sorted values, which is Wasserstein's, in the models' scale (40 dB = 1).

    Args:
        made: [B, M, F] in the models' scale.
        real: the same shape.
    """
    ordered = [flatness(values).sort(dim=1).values for values in (made, real)]
    return (ordered[0] - ordered[1]).abs().mean() / (-FLOOR_DB / 2)


def band_statistics(mels: Tensor) -> Tensor:
    """Return how each band sounds over time: mean, standard deviation, standard deviation of its steps.

    Args:
        mels: [B, M, F] in the models' scale.

    Returns:
        [B, 3, M]; differentiable.
    """
    # A band that never moves has no gradient of its square root.
    spread = square_root(mels.var(dim=-1, correction=0) + 1e-6)
    steps = square_root(mels.diff(dim=-1).square().mean(dim=-1) + 1e-6)
    return torch.stack([mels.mean(dim=-1), spread, steps], dim=1)


def band_loss(made: Tensor, wanted: Tensor, genres: Tensor) -> Tensor:
    """Return how far the bands' statistics are from those of real items of the genre; for items that are no pairs.

    Args:
        made: [B, M, F] in the models' scale.
        wanted: [G, 3, M], the mean of `band_statistics` over real items of each genre.
        genres: int64 [B], codes; only means over a genre's items are compared.
    """
    return (group_means(band_statistics(made), genres) - wanted[genres.unique()]).abs().mean()
