"""Other recordings of the same music, made in the log-mel domain: equaliser, level, noise floor, band limit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from soundgate.audio.mel import from_model, to_model

# Nodes of the random equaliser over the bands, its largest gain, and the noise floors drawn from, in dB.
EQ_NODES = 6
EQ_DB = 12.0
NOISE_DB = (-75.0, -40.0)
# Widest running means of a blur, in bands and in frames.
BLUR_BANDS, BLUR_FRAMES = 7, 11


def rerecord(mels: Tensor) -> Tensor:
    """Return the same music as another chain might have recorded it; draws from PyTorch's generator.

    Args:
        mels: [B, n_mels, F] in the models' scale.

    Returns:
        The same shape, again relative to each clip's loudest value.
    """
    n_clips, n_mels, _ = mels.shape
    nodes = (torch.rand(n_clips, 1, EQ_NODES, device=mels.device) * 2 - 1) * EQ_DB
    equaliser = functional.interpolate(nodes, n_mels, mode="linear", align_corners=True)[:, 0, :, None]
    bands = torch.arange(n_mels, device=mels.device)[None, :, None]
    edge = n_mels * (0.5 + torch.rand(n_clips, 1, 1, device=mels.device))
    band_limit = -4.0 * (bands - edge).clamp(min=0)
    lowest, highest = NOISE_DB
    level = lowest + (highest - lowest) * torch.rand(n_clips, 1, 1, device=mels.device)
    noise = level + 3 * torch.randn_like(mels)
    decibels = _power_sum(from_model(mels) + equaliser + band_limit, noise)
    return to_model((decibels - decibels.amax(dim=(1, 2), keepdim=True)).clamp(min=-80.0))


def blur(mels: Tensor) -> Tensor:
    """Return spectrograms as a model might draw them, smoothed over bands and frames; draws from PyTorch's generator.

    Args:
        mels: [B, n_mels, F].

    Returns:
        The same shape: each clip's running mean over an odd number of bands and of frames.
    """
    smoothed = []
    for mel in mels:
        bands, frames = (2 * int(torch.randint(limit // 2 + 1, ())) + 1 for limit in (BLUR_BANDS, BLUR_FRAMES))
        padding = (frames // 2, frames // 2, bands // 2, bands // 2)
        padded = functional.pad(mel[None, None], padding, mode="replicate")
        smoothed.append(functional.avg_pool2d(padded, (bands, frames), stride=1)[0])
    return torch.cat(smoothed)


def _power_sum(first: Tensor, second: Tensor) -> Tensor:
    """Add powers given in dB."""
    scale = 10 / torch.log(torch.tensor(10.0))
    return scale.to(first.device) * torch.logaddexp(first / scale, second / scale)
