"""The optimiser of all trainings."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.AdamW:
    """Return AdamW, without weight decay Adam, with one kernel for all of a step.

    That kernel takes exact square roots, so steps have the same bytes on every processor; PyTorch's others do not
    (`soundgate.runtime.arithmetic`).

    Args:
        parameters: floating-point, on one device.
        learning_rate: see `soundgate.training.schedule.set_rate`.
        betas: of the averages of gradients and of their squares.
        eps: is added to the root of the second.
        weight_decay: share of the rate by which weights shrink a step.

    Source: Loshchilov and Hutter 2019, Decoupled weight decay regularization.
    """
    return torch.optim.AdamW(parameters, learning_rate, betas, eps, weight_decay, fused=True)
