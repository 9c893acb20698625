"""How a learning rate runs over a training."""

from __future__ import annotations

import math

import torch


def warm_cosine(step: int, n_steps: int, *, warm_up: int, final: float) -> float:
    """Return the share of the learning rate at a step: a straight rise, then a half cosine.

    Args:
        step: from 0.
        n_steps: of the whole training.
        warm_up: steps of the rise.
        final: share at the end.

    Source: Loshchilov and Hutter 2017, SGDR, eq. 5 (without restarts).
    """
    fallen = 0.5 * (1 - math.cos(math.pi * min(1.0, step / n_steps)))
    return min(1.0, (step + 1) / max(1, warm_up)) * (1 - (1 - final) * fallen)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate
