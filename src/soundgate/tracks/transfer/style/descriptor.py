"""The descriptor of 32 numbers: how loud 16 mel bands are, and how much they move."""

from __future__ import annotations

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import square_root

N_BANDS = 16


def descriptor32(decibels: Tensor) -> Tensor:
    """Return temporal means and standard deviations of 16 mel bands.

    Args:
        decibels: [..., n_mels, F] dB.

    Returns:
        [..., 32]: 16 means, then 16 standard deviations (of the population), in dB; differentiable.

    Source: the seed's Lab 2 (bands at ``linspace(0, 95, 16)``).
    """
    bands = torch.linspace(0, decibels.shape[-2] - 1, N_BANDS).round().long()
    chosen = decibels[..., bands.to(decibels.device), :]
    # A band that never moves has no gradient of its square root.
    spread = square_root(chosen.var(dim=-1, correction=0) + 1e-8)
    return torch.cat([chosen.mean(dim=-1), spread], dim=-1)
