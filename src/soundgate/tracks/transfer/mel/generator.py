"""The generator: content over time and a target style to a log-mel spectrogram."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.networks.film import Film
from soundgate.tracks.transfer.content.model import DIM, STEP
from soundgate.tracks.transfer.mel.settings import GeneratorSettings

# Bands of the grid the convolutions begin with; three doublings make 96 of them, and of a step 8 frames.
_GRID_BANDS = 12
N_MELS = _GRID_BANDS * STEP


class _TrunkLayer(nn.Module):
    def __init__(self, n_condition: int, width: int, dilation: int) -> None:
        super().__init__()
        self.film = Film(n_condition, width)
        self.over_time = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, steps: Tensor, condition: Tensor) -> Tensor:
        hidden = self.over_time(functional.silu(self.film(steps, condition)))
        return steps + self.mix(functional.silu(hidden))


class MultiReceptiveResidual(nn.Module):
    """A residual of parallel convolutions that see differently far in time, mixed by a 1 x 1 convolution.

    Source: Kong et al. 2020, HiFi-GAN, section 2.2 (multi-receptive field fusion).
    Differs: the branches share the channels instead of each having all of them: the cost of one convolution.

    Args:
        channels: in and out.
        kernels: (size, dilation in time) of each branch.
    """

    def __init__(self, channels: int, kernels: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        share = channels // len(kernels)
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, share, size, padding=(size // 2, dilation * (size // 2)), dilation=(1, dilation))
            for size, dilation in kernels
        )
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """Return [B, C, bands, frames]."""
        active = functional.leaky_relu(grid, 0.2)
        seen = torch.cat([branch(active) for branch in self.branches], dim=1)
        return grid + self.mix(functional.leaky_relu(seen, 0.2))


class UpBlock(nn.Module):
    """FiLM by the condition, a multi-receptive residual, then twice the bands and frames by pixel shuffle.

    Source: Shi et al. 2016, eq. 4 (pixel shuffle).

    Args:
        n_condition: width of the condition.
        n_in: channels before.
        n_out: channels after.
        kernels: see `MultiReceptiveResidual`.
    """

    def __init__(self, n_condition: int, n_in: int, n_out: int, kernels: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.film = Film(n_condition, n_in)
        self.residual = MultiReceptiveResidual(n_in, kernels)
        # A single channel is the spectrogram itself and should see its neighbours.
        size = 3 if n_out == 1 else 1
        self.spread = nn.Conv2d(n_in, 4 * n_out, size, padding=size // 2)
        _repeat_weights(self.spread, 4)

    def forward(self, grid: Tensor, condition: Tensor) -> Tensor:
        """Return [B, n_out, 2 · bands, 2 · frames]."""
        hidden = self.residual(self.film(grid, condition))
        return functional.pixel_shuffle(self.spread(functional.leaky_relu(hidden, 0.2)), 2)


@torch.no_grad()
def _repeat_weights(layer: nn.Conv1d | nn.Conv2d, n: int) -> None:
    """Let each ``n`` outputs in a row, which become neighbours, begin alike: no pattern that must be unlearned first.

    Source: Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution" (ICNR).
    """
    for values in (layer.weight, layer.bias):
        values.copy_(values[::n].repeat_interleave(n, dim=0))


class Generator(nn.Module):
    """Writes a spectrogram of 96 bands, 8 frames for each step of content.

    Per step a linear map of (sequence, pooled content, target) to the trunk, layers over time, a linear map to
    ``channels`` x 12 bands, three blocks that double bands and frames, tanh.

    Differs: the trunk's layers lie between the seed's linear map and its grid, and the trunk also gives a first
    draft of every band and frame to which the blocks add: both are matrix products at 32 steps, where a CPU
    learns most in a given time.

    Args:
        settings: see `GeneratorSettings`.
        n_target: width D of a target vector.
    """

    def __init__(self, settings: GeneratorSettings, n_target: int) -> None:
        super().__init__()
        self.settings, self.n_target = settings, n_target
        channels = settings.channels
        widths = (channels, channels // 2, channels // 4, settings.detail or 1)
        self.inputs = nn.Conv1d(2 * DIM + n_target, settings.trunk, 1)
        self.trunk = nn.ModuleList(_TrunkLayer(n_target, settings.trunk, 2 ** (i % 3)) for i in range(settings.n_trunk))
        self.grid = nn.Conv1d(settings.trunk, channels * _GRID_BANDS, 1)
        self.draft = nn.Conv1d(settings.trunk, N_MELS * STEP, 1)
        _repeat_weights(self.draft, STEP)
        self.blocks = nn.ModuleList(
            UpBlock(n_target, n_in, n_out, settings.kernels) for n_in, n_out in zip(widths, widths[1:], strict=False)
        )
        self.last = nn.Conv2d(settings.detail, 1, 3, padding=1) if settings.detail else nn.Identity()
        # Few channels on many places: a CPU needs a third less time in this order of memory.
        self.to(memory_format=torch.channels_last)

    def forward(self, content: Tensor, sequence: Tensor, target: Tensor) -> Tensor:
        """Write spectrograms.

        Args:
            content: [B, 128] of unit length.
            sequence: [B, 128, L], each step of unit length.
            target: [B, D] of unit length.

        Returns:
            [B, 96, 8 · L] in (-1, 1).
        """
        n_items, _, n_steps = sequence.shape
        # Coordinates of unit vectors are small; these have a standard deviation of about 1.
        condition = target * math.sqrt(self.n_target)
        constant = torch.cat([content * math.sqrt(DIM), condition], dim=1)[:, :, None].expand(-1, -1, n_steps)
        steps = self.inputs(torch.cat([sequence * math.sqrt(DIM), constant], dim=1))
        for layer in self.trunk:
            steps = layer(steps, condition)
        steps = functional.silu(steps)
        draft = self.draft(steps).reshape(n_items, N_MELS, STEP, n_steps).transpose(2, 3).flatten(2)
        grid = self.grid(steps).reshape(n_items, -1, _GRID_BANDS, n_steps).to(memory_format=torch.channels_last)
        for block in self.blocks:
            grid = block(grid, condition)
        return torch.tanh(draft + self.last(functional.leaky_relu(grid, 0.2) if self.settings.detail else grid)[:, 0])
