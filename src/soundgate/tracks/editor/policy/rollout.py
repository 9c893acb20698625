"""Labels drawn from the policy, judged by the frozen reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical

from soundgate.tracks.editor.policy.advantage import advantages, normalised
from soundgate.tracks.editor.policy.executing import execute
from soundgate.tracks.editor.policy.model import EditPredictor, ValueNetwork
from soundgate.tracks.editor.policy.reward import RewardParts, beat_parts, credited_parts, sample_parts
from soundgate.tracks.editor.policy.settings import PpoSettings, RewardWeights
from soundgate.tracks.editor.reconstruct.model import Reconstruction
from soundgate.tracks.editor.recovery.scores import N_LABELS
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import Batch


@dataclass(frozen=True)
class Rollout:
    """One batch of decisions [B, D]: D is N, or 1 where a window is one decision.

    Args:
        batch: what was decided on.
        labels: int64 [B, N], what was drawn; PAD in padding.
        log_probs: of the decisions.
        mask: bool, which decisions there are.
        rewards: of the decisions.
        advantages: of mean 0 and standard deviation 1 over the batch.
        returns: what the value network should have said, in its unit.
        parts: of the samples' rewards, [B].
    """

    batch: Batch
    labels: Tensor
    log_probs: Tensor
    mask: Tensor
    rewards: Tensor
    advantages: Tensor
    returns: Tensor
    parts: RewardParts


def distribution(policy: EditPredictor, batch: Batch) -> Categorical:
    """Return what the policy thinks of every beat; PAD is none of its choices."""
    logits = policy(batch.raw, batch.beat_of_frame, batch.labels.shape[1])
    return Categorical(logits=logits[..., :N_LABELS], validate_args=False)


def log_probabilities(thoughts: Categorical, labels: Tensor, mask: Tensor, settings: PpoSettings) -> Tensor:
    """Return the log-probabilities of the decisions, [B, D], 0 in padding: of each label, or summed over a window."""
    own = thoughts.log_prob(labels.masked_fill(~mask, 0)).masked_fill(~mask, 0)
    return own.sum(1, keepdim=True) if settings.ratio == "seed_summed" else own


def decision_values(value: ValueNetwork, batch: Batch, settings: PpoSettings) -> Tensor:
    """Return what the value network expects of the decisions, [B, D], in its unit: of a window, its beats' mean."""
    own = value(batch.raw, batch.beat_of_frame, batch.labels.shape[1]) * batch.beat_mask
    if settings.ratio == "beat":
        return own
    return own.sum(1, keepdim=True) / batch.beat_mask.sum(1, keepdim=True)


@torch.no_grad()
def roll_out(
    batch: Batch,
    policy: EditPredictor,
    value: ValueNetwork,
    reconstruction: Reconstruction,
    settings: PpoSettings,
    weights: RewardWeights,
) -> Rollout:
    """Draw labels with PyTorch's global generator, make what they say, and judge it.

    Args:
        batch: of true edits.
        policy: in evaluation mode.
        value: see `ValueNetwork`.
        reconstruction: phase 1's model, frozen.
        settings: see `PpoSettings`.
        weights: of the reward.
    """
    mask = batch.beat_mask
    thoughts = distribution(policy, batch)
    labels = thoughts.sample().masked_fill(~mask, int(Label.PAD))
    made = execute(reconstruction, batch, labels)
    parts = sample_parts(labels, made, batch)
    if settings.ratio == "beat":
        of_beats = credited_parts if settings.advantage == "bandit" else beat_parts
        rewards = of_beats(labels, made, batch).total(weights)
    else:
        rewards, mask = parts.total(weights)[:, None], mask[:, :1]
    gamma = settings.gamma if settings.advantage == "sequence" else 0.0
    values = decision_values(value, batch, settings) * settings.horizon
    gained = advantages(rewards, values, mask, gamma, settings.gae_lambda)
    return Rollout(
        batch,
        labels,
        log_probabilities(thoughts, labels, batch.beat_mask, settings),
        mask,
        rewards,
        normalised(gained, mask),
        (gained + values) / settings.horizon,
        parts,
    )
