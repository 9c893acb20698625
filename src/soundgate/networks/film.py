"""Conditioning of a layer: scale and shift of its channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Film(nn.Module):
    """Scale and shift of each channel by the condition.

    Source: Perez et al. 2018, "FiLM: visual reasoning with a general conditioning layer".

    Args:
        n_condition: width of the condition.
        n_channels: of what is modulated.
        identity: begin as a layer that changes nothing.
    """

    def __init__(self, n_condition: int, n_channels: int, identity: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(n_condition, 2 * n_channels)
        if identity:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, values: Tensor, condition: Tensor) -> Tensor:
        """Modulate [B, C, ...] by [B, n_condition]."""
        scale, shift = self.linear(condition).reshape(len(values), -1, *[1] * (values.ndim - 2)).chunk(2, dim=1)
        return torch.addcmul(shift, values, 1 + scale)
