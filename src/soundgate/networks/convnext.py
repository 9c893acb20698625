"""The residual block of ConvNeXt along time, with or without a condition."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundgate.networks.film import Film

KERNEL = 7
_EXPANSION = 3


class ConvNeXtBlock(nn.Module):
    """A convolution of each channel along time, a norm, and a mixture of channels, added to what came in.

    Source: Liu et al. 2022, "A ConvNet for the 2020s", figure 4, along one axis; Siuzdak 2023, "Vocos", section 3.2.
    Differs: with a condition, the norm's output is scaled and shifted by it, not at all before training.

    Args:
        width: channels.
        n_blocks: of the network; a block's share begins at one over it.
        n_condition: width of the condition; 0: there is none.
    """

    def __init__(self, width: int, n_blocks: int, n_condition: int = 0) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, _EXPANSION * width), nn.GELU(), nn.Linear(_EXPANSION * width, width))
        self.scale = nn.Parameter(torch.full((width,), 1 / n_blocks))
        self.film = Film(n_condition, width, identity=True) if n_condition else None

    def forward(self, frames: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return [B, L, width] from frames of that shape and a condition [B, n_condition], where there is one."""
        hidden = self.norm(self.over_time(frames.mT).mT)
        if self.film is not None:
            hidden = self.film(hidden.mT, condition).mT
        return frames + self.scale * self.mix(hidden)
