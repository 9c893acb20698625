"""Conversions are to sound like their targets and like nobody else."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from soundgate.tracks.voice.gan.settings import ContrastiveSettings


class Negatives(NamedTuple):
    """Voices that conversions are not to sound like.

    Args:
        embeddings: float32 [B, n, D] of unit length.
        valid: bool [B, n]; there may be fewer than asked for.
    """

    embeddings: Tensor
    valid: Tensor


def choose_negatives(
    target: Tensor, speaker: Tensor, pool: Tensor, pool_speaker: Tensor, order: Tensor, settings: ContrastiveSettings
) -> Negatives:
    """Choose negatives from a pool: other speakers, and none that may be the same speaker after all.

    Args:
        target: [B, D] of unit length.
        speaker: int64 [B], of the targets.
        pool: [N, D] of unit length.
        pool_speaker: int64 [N]; below 0 for an empty place.
        order: [B, N], random; the smaller, the sooner a candidate's turn inside its band.
        settings: see `ContrastiveSettings`.
    """
    similarity = target @ pool.T
    allowed = (pool_speaker >= 0) & (pool_speaker != speaker[:, None]) & (similarity < settings.hard)
    turn = order
    if settings.hard_negatives:
        band = (similarity >= settings.easy).long() + (similarity >= settings.medium)
        turn = order - 2 * band
    turn = turn.masked_fill(~allowed, torch.inf)
    chosen = turn.argsort(dim=1, stable=True)[:, : settings.n_negatives]
    return Negatives(pool[chosen], allowed.gather(1, chosen))


def contrastive_loss(made: Tensor, target: Tensor, negatives: Negatives, settings: ContrastiveSettings) -> Tensor:
    """Return each conversion's loss, [B]; 0 where it has no negatives.

    Args:
        made: [B, D] of unit length, embeddings of what was converted.
        target: [B, D] of unit length, of the voices asked for.
        negatives: see `Negatives`.
        settings: see `ContrastiveSettings`.

    Source: van den Oord et al. 2018, eq. 4 (InfoNCE); Schroff et al. 2015, FaceNet, eq. 1 (margin).
    """
    positive = (made * target).sum(dim=1)
    others = (made[:, None] * negatives.embeddings).sum(dim=2)
    if settings.kind == "margin":
        excess = functional.relu(others - positive[:, None] + settings.margin) * negatives.valid
        return excess.sum(dim=1) / negatives.valid.sum(dim=1).clamp(min=1)
    logits = torch.cat([positive[:, None], others.masked_fill(~negatives.valid, -torch.inf)], dim=1)
    return -(logits / settings.temperature).log_softmax(dim=1)[:, 0]
