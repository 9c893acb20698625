"""A network that follows another's weights slowly: less noise than the last step's."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, kept: float) -> None:
    """Move an average towards a network of the same shape.

    Args:
        average: changed in place.
        network: what it follows.
        kept: share of itself that the average keeps, 0 to 1.

    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; here exponential.
    """
    for own, weight in zip(average.parameters(), network.parameters(), strict=True):
        own.lerp_(weight, 1 - kept)
