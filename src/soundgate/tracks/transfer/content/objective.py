"""What Lab 1 is trained for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrast(first: Tensor, second: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Return InfoNCE in both directions between two views of the same items.

    Args:
        first: [B, D] of unit length.
        second: [B, D] of unit length; item i is another view of first's item i.
        groups: int [B]; items of one group are not negatives of one another.
        temperature: divides the cosines.

    Source: van den Oord et al. 2018, eq. 4; Chen et al. 2020 (SimCLR).
    Differs: items that are known to be the same music are left out of the negatives.
    """
    logits = first @ second.T / temperature
    same = (groups[:, None] == groups[None, :]) & ~torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    logits = logits.masked_fill(same, -torch.inf)
    target = torch.arange(len(first), device=first.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def sequence_contrast(first: Tensor, second: Tensor, groups: Tensor, temperature: float, n_steps: int) -> Tensor:
    """Return InfoNCE between steps in time of two views: a step's negatives are other music and other moments.

    Args:
        first: [B, D, L], steps of unit length.
        second: [B, D, L].
        groups: int [B]; the same music is not a negative at the same moment.
        temperature: divides the cosines.
        n_steps: moments drawn of each clip, the same for all clips.
    """
    chosen = torch.randperm(first.shape[-1], device=first.device)[:n_steps]
    flat_first, flat_second = (view[..., chosen].transpose(1, 2).reshape(-1, view.shape[1]) for view in (first, second))
    moments = groups[:, None] * first.shape[-1] + chosen[None, :]
    return contrast(flat_first, flat_second, moments.flatten(), temperature)


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Return one minus the mean cosine of unit vectors [B, D]."""
    return 1 - (first * second).sum(-1).mean()


def excess_similarity(first: Tensor, second: Tensor, groups: Tensor, limit: float) -> Tensor:
    """Return by how much cosines of different music exceed ``limit``, squared, in the mean.

    Args:
        first: [B, D] of unit length.
        second: [B, D] of unit length.
        groups: int [B].
        limit: cosine that costs nothing.
    """
    cosines = first @ second.T
    different = groups[:, None] != groups[None, :]
    excess = functional.relu(cosines - limit).square() * different
    return excess.sum() / different.sum().clamp(min=1)
