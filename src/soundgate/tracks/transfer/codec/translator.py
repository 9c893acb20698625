"""The translator: latents of a clip to latents of the same clip in another style."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.networks.film import Film
from soundgate.tracks.transfer.codec.settings import TranslatorSettings


class _Block(nn.Module):
    def __init__(self, n_condition: int, width: int, dilation: int) -> None:
        super().__init__()
        self.norm, self.film = nn.GroupNorm(8, width), Film(n_condition, width)
        self.over_time = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        moved = self.over_time(functional.silu(self.film(self.norm(hidden), condition)))
        return hidden + self.mix(functional.silu(moved))


class Translator(nn.Module):
    """Dilated residual blocks, steered in each, that move every latent by at most ``reach`` of its spread.

    Untrained it changes nothing: its last convolution starts at 0.

    Args:
        settings: see `TranslatorSettings`.
        dim: D of the latents.
        n_content: width of the pooled content.
        n_style: width of the style.
    """

    def __init__(self, settings: TranslatorSettings, dim: int, n_content: int, n_style: int) -> None:
        super().__init__()
        self.settings, self.dim, self.n_content, self.n_style = settings, dim, n_content, n_style
        n_condition = n_content + n_style + settings.n_noise
        self.register_buffer("mean", torch.zeros(dim, 1))
        self.register_buffer("std", torch.ones(dim, 1))
        self.inner = nn.Conv1d(dim, settings.width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(n_condition, settings.width, dilation) for dilation in settings.dilations)
        self.norm = nn.GroupNorm(8, settings.width)
        self.outer = nn.Conv1d(settings.width, dim, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, latents: Tensor, content: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Translate.

        Args:
            latents: [B, D, L], of the source.
            content: [B, n_content], its pooled content.
            style: [B, n_style], asked for.
            noise: [B, n_noise], standard normal.

        Returns:
            [B, D, L].
        """
        condition = torch.cat([content, style, noise], dim=-1)
        hidden = self.inner(self.standardise(latents))
        for block in self.blocks:
            hidden = block(hidden, condition)
        move = self.settings.reach * torch.tanh(self.outer(functional.silu(self.norm(hidden))))
        return latents + self.std * move

    def standardise(self, latents: Tensor) -> Tensor:
        """Return latents less their mean in units of their spread over the train items."""
        return (latents - self.mean) / self.std
