"""How much better than expected a label turned out: of one beat, or with all that follows."""

from __future__ import annotations

import torch
from torch import Tensor


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Return generalised advantage estimates over beats; with ``gamma`` 0, reward minus value.

    Args:
        rewards: [B, N].
        values: [B, N], what was expected from each beat on.
        mask: bool [B, N]; each row's padding comes after its beats, and its last beat ends the episode.
        gamma: share of a reward that is left a beat earlier.
        gae_lambda: 0: one beat's reward and the next one's value; 1: all rewards that follow.

    Returns:
        [B, N], 0 in padding.

    Source: Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation",
        eq. 16.
    """
    values = values * mask
    ahead = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    errors = (rewards + gamma * ahead - values) * mask
    result, later = torch.zeros_like(errors), torch.zeros_like(errors[:, 0])
    for beat in reversed(range(errors.shape[1])):
        later = errors[:, beat] + gamma * gae_lambda * later
        result[:, beat] = later
    return result


def normalised(values: Tensor, mask: Tensor) -> Tensor:
    """Return the values of a batch with mean 0 and standard deviation 1, 0 in padding.

    Args:
        values: any shape.
        mask: bool, the same shape, not all False.
    """
    used = values[mask]
    spread = used.std(correction=0).clamp(min=1e-6)
    return torch.where(mask, (values - used.mean()) / spread, 0)
