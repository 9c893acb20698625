"""The reward of labels: how near what they make is to the true edit, how long it is, how restless they are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from soundgate.tracks.editor.policy.settings import RewardWeights
from soundgate.tracks.editor.timeline import LOOP_REPEATS
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import Batch, pool

# How often `soundgate.tracks.editor.timeline.from_labels` plays a beat: a crossfade is as long as one of its two sides.
_PLAYS = {Label.CUT: 0.0, Label.LOOP: float(LOOP_REPEATS), Label.TRANSITION: 0.5, Label.PAD: 0.0}


class RewardParts(NamedTuple):
    """The parts of a reward without their weights, [B, N] a beat or [B] a sample.

    Args:
        reconstruction: minus the mean absolute difference between made and true edit, in the models' scale.
        labels: 1 for the true label.
        duration: 1 minus the relative error of the whole edit's length, at least 0; the same for all of its beats.
        smoothness: -1 for a label other than the last beat's.
    """

    reconstruction: Tensor
    labels: Tensor
    duration: Tensor
    smoothness: Tensor

    def total(self, weights: RewardWeights) -> Tensor:
        """Return the weighted sum."""
        return sum(getattr(weights, name) * part for name, part in self._asdict().items())


def plays_of(labels: Tensor) -> Tensor:
    """Return how often an edit made from labels plays each beat, float32 of the labels' shape."""
    table = torch.tensor([_PLAYS.get(label, 1.0) for label in Label], device=labels.device)
    return table[labels]


def duration_error(labels: Tensor, batch: Batch) -> Tensor:
    """Return the relative error of the edit's length, [B] in 0 to 1; 1 where there should be none and is.

    Args:
        labels: int64 [B, N], PAD in padding.
        batch: the truth.
    """
    made = (batch.seconds * plays_of(labels)).sum(1)
    true = (batch.seconds * batch.plays * batch.beat_mask).sum(1)
    return ((made - true).abs() / true.clamp(min=1e-6)).clamp(max=1)


def beat_parts(labels: Tensor, made: Tensor, batch: Batch) -> RewardParts:
    """Return every beat's parts, [B, N], 0 in padding.

    Args:
        labels: int64 [B, N], PAD in padding.
        made: [B, T, M], what the frozen reconstruction makes of them.
        batch: the truth.
    """
    mask = batch.beat_mask
    away = pool((made - batch.target).abs().mean(-1, keepdim=True), batch.beat_of_frame, labels.shape[1])[..., 0]
    return RewardParts(
        -away * mask,
        ((labels == batch.labels) & mask).float(),
        (1 - duration_error(labels, batch))[:, None] * mask,
        -(_changes(labels) & mask).float(),
    )


def credited_parts(labels: Tensor, made: Tensor, batch: Batch) -> RewardParts:
    """Return what each beat's own label answers for, [B, N]: its part in the sample's reward, times the beats.

    Of the length that is the difference to the same edit without this beat, of the smoothness both changes that the
    beat takes part in. A length that all beats are paid for alike tells none of them what it did, and weighs as
    little beside its label as one beat in a whole edit.

    Args:
        labels: as `beat_parts`'s, as are the others.
        made: [B, T, M].
        batch: the truth.

    Source: difference rewards, Wolpert and Tumer 2002, "Optimal payoff functions for members of collectives".
    """
    parts, mask = beat_parts(labels, made, batch), batch.beat_mask
    played = batch.seconds * plays_of(labels) * mask
    total, true = played.sum(1, keepdim=True), (batch.seconds * batch.plays * mask).sum(1, keepdim=True)
    without, whole = ((length - true).abs() / true.clamp(min=1e-6) for length in (total - played, total))
    after = torch.cat([parts.smoothness[:, 1:], torch.zeros_like(parts.smoothness[:, :1])], 1)
    return parts._replace(
        duration=(without - whole) * mask * mask.sum(1, keepdim=True), smoothness=parts.smoothness + after
    )


def sample_parts(labels: Tensor, made: Tensor, batch: Batch) -> RewardParts:
    """Return the parts of every sample, [B]: the means of the seed's reward, over frames, beats and pairs of beats.

    Differs: the length of the edit, not the share of KEEP; and nothing is averaged over the batch.

    Args:
        labels: as `beat_parts`'s, as are the others.
        made: [B, T, M].
        batch: the truth.
    """
    parts = beat_parts(labels, made, batch)
    n_beats, there = batch.beat_mask.sum(1), batch.frame_mask
    away = (made - batch.target).abs().mean(-1) * there
    return RewardParts(
        -away.sum(1) / there.sum(1),
        parts.labels.sum(1) / n_beats,
        1 - duration_error(labels, batch),
        parts.smoothness.sum(1) / (n_beats - 1).clamp(min=1),
    )


def _changes(labels: Tensor) -> Tensor:
    """Return where a label differs from the last beat's, bool [B, N]; the first beat's does not."""
    return torch.cat([torch.zeros_like(labels[:, :1], dtype=torch.bool), labels[:, 1:] != labels[:, :-1]], 1)
