"""The converter's two networks: spectrograms to content, content and pitch to filters."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from soundgate.networks.convnext import KERNEL, ConvNeXtBlock
from soundgate.runtime.arithmetic import square_root
from soundgate.tracks.voice.model.settings import ContentSettings, DecoderSettings

# Natural logarithms of magnitudes: that of a harmonic at 0 Hz and how far it falls, that of noise; before training.
_HARMONIC, _FALL, _NOISE = -1.0, 4.0, -4.0
_LOUDEST = 6.0


class Moments(NamedTuple):
    """Mean and deviation over an utterance's frames, each [B, n_cepstra, 1]."""

    mean: Tensor
    deviation: Tensor


class ContentEncoder(nn.Module):
    """Log-mel frames to a narrow content: cepstra, instance norm over time, ConvNeXt blocks, bottleneck.

    The norm takes away a speaker's mean spectrum and its spread, the few cepstra the pitch.

    Source: Chou et al. 2019, AdaIN-VC (instance norm without a speaker's mean); Qian et al. 2019, AutoVC (bottleneck);
        Jaitly and Hinton 2013 (warped bands).

    Args:
        settings: see `ContentSettings`.
        n_mels: bands.
    """

    def __init__(self, settings: ContentSettings, n_mels: int) -> None:
        super().__init__()
        self.settings = settings
        self.embed = nn.Conv1d(settings.n_cepstra, settings.width, KERNEL, padding=KERNEL // 2)
        self.norm_in, self.norm_out = nn.LayerNorm(settings.width), nn.LayerNorm(settings.width)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock(settings.width, settings.n_blocks) for _ in range(settings.n_blocks))
        )
        self.bottleneck = nn.Linear(settings.width, settings.n_content)
        self.register_buffer("transform", _cosine_transform(settings.n_cepstra, n_mels), persistent=False)

    @property
    def context(self) -> int:
        """Frames to either side that a frame of content depends on, beside the moments."""
        return KERNEL // 2 * (self.settings.n_blocks + 1)

    def cepstra(self, mels: Tensor, warp: Tensor | None = None) -> Tensor:
        """Return [B, n_cepstra, L] of log-mel frames [B, n_mels, L], the bands stretched by ``warp`` [B] before."""
        return self.transform @ (mels if warp is None else _warped(mels, warp))

    def forward(self, cepstra: Tensor, moments: Moments) -> Tensor:
        """Return [B, L, n_content] from cepstra and their moments over the utterance."""
        hidden = self.norm_in(self.embed((cepstra - moments.mean) / moments.deviation).mT)
        return self.bottleneck(self.norm_out(self.blocks(hidden)))


class Filters(NamedTuple):
    """What an excitation's transform is multiplied by; natural logarithms of magnitudes, [B, L, n_bins] each.

    Args:
        harmonic: of the harmonics.
        turn: phase that the harmonics are turned by, in radians.
        noise: of the noise.
    """

    harmonic: Tensor
    turn: Tensor
    noise: Tensor


class Decoder(nn.Module):
    """Content, pitch and voice to filters: ConvNeXt blocks along time, each steered by the voice.

    Source: Siuzdak 2023, "Vocos", section 3.2 (backbone); Kaneko et al. 2022, iSTFTNet (head).

    Args:
        settings: see `DecoderSettings`.
        n_inputs: channels of content and pitch.
        n_bins: of the transform.
    """

    def __init__(self, settings: DecoderSettings, n_inputs: int, n_bins: int) -> None:
        super().__init__()
        self.settings = settings
        width, n_blocks, n_voice = settings.width, settings.n_blocks, settings.n_voice
        self.embed = nn.Conv1d(n_inputs, width, KERNEL, padding=KERNEL // 2)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, n_blocks, n_voice) for _ in range(n_blocks))
        self.head = nn.Linear(width, 3 * n_bins)
        with torch.no_grad():
            falling = _HARMONIC - _FALL * torch.linspace(0, 1, n_bins)
            self.head.bias.copy_(torch.cat([falling, torch.zeros(n_bins), torch.full((n_bins,), _NOISE)]))

    @property
    def context(self) -> int:
        """Frames to either side that a frame of the filters depends on."""
        return KERNEL // 2 * (self.settings.n_blocks + 1)

    def forward(self, inputs: Tensor, voice: Tensor) -> Filters:
        """Return filters from inputs [B, L, n_inputs] and projected voices [B, n_voice]."""
        hidden = self.norm_in(self.embed(inputs.mT).mT)
        for block in self.blocks:
            hidden = block(hidden, voice)
        harmonic, turn, noise = self.head(self.norm_out(hidden)).float().chunk(3, dim=-1)
        return Filters(harmonic.clamp(max=_LOUDEST), torch.pi * torch.tanh(turn), noise.clamp(max=_LOUDEST))


def moments(cepstra: Tensor) -> Moments:
    """Return an utterance's moments, float32 whatever the precision is."""
    cepstra = cepstra.float()
    return Moments(cepstra.mean(-1, keepdim=True), square_root(cepstra.var(-1, correction=0, keepdim=True) + 1e-2))


def _cosine_transform(n_cepstra: int, n_mels: int) -> Tensor:
    """Return the first rows of the orthonormal cosine transform, [n_cepstra, n_mels] (Davis and Mermelstein 1980)."""
    order, band = torch.arange(n_cepstra)[:, None], torch.arange(n_mels)
    rows = torch.cos(math.pi * order * (band + 0.5) / n_mels) * math.sqrt(2 / n_mels)
    rows[0] /= math.sqrt(2)
    return rows


def _warped(mels: Tensor, warp: Tensor) -> Tensor:
    """Read band ``(1 + warp) · m`` for band ``m``, straight between neighbours, the last one beyond the end."""
    n_mels = mels.shape[1]
    position = ((1 + warp[:, None]) * torch.arange(n_mels, device=mels.device)).clamp(max=n_mels - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=n_mels - 1)
    share = (position - low)[..., None].to(mels.dtype)
    rows = torch.arange(len(mels), device=mels.device)[:, None]
    return torch.lerp(mels[rows, low], mels[rows, high], share)
