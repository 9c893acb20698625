"""Log spectra changed as recordings differ, for trainings that are to hear none of it."""

from __future__ import annotations

import math

import torch
from pydantic import Field, field_validator
from torch import Tensor

from soundgate.runtime.config import Section
from soundgate.runtime.processes import n_processes
from soundgate.training.distribution import own_share

_N_COSINES = 3


class AugmentSettings(Section):
    """How recordings are changed for training.

    Args:
        speeds: at which every speaker counts as one more; whole percents of 1.
        equaliser: deviation of a random curve over the bands, nepers, see `equalise`.
        mask_bands: bands hidden at a time, fewer than this.
        mask_frames: frames hidden at a time, fewer than this.
    """

    speeds: list[float] = Field(min_length=1)
    equaliser: float = Field(ge=0)
    mask_bands: int = Field(ge=1)
    mask_frames: int = Field(ge=1)

    @field_validator("speeds")
    @classmethod
    def _small_whole_numbers(cls, speeds: list[float]) -> list[float]:
        percents = [round(100 * speed) for speed in speeds]
        if any(not 50 <= percent <= 200 for percent in percents) or len(set(percents)) < len(percents):
            raise ValueError("different whole percents between 0.5 and 2")
        return [percent / 100 for percent in percents]

    def spectrum(self, spectrum: Tensor) -> Tensor:
        """Return log spectra [B, bands, L] with other curves, and with bands and frames hidden.

        Of several processes each has its own share; draws are those of the whole batch.
        """
        return mask(equalise(spectrum, self.equaliser), self.mask_bands, self.mask_frames)


def equalise(spectrum: Tensor, strength: float) -> Tensor:
    """Add a smooth curve over the bands to each item, as a microphone or an equaliser does.

    Args:
        spectrum: natural logarithms [B, bands, L].
        strength: deviation of each of the curve's three half cosines, nepers.
    """
    position = torch.linspace(0, math.pi, spectrum.shape[1])
    cosines = torch.cos(position * torch.arange(1, _N_COSINES + 1)[:, None])
    n_items, own = _shared(spectrum)
    curve = strength * torch.randn(n_items, _N_COSINES)[own] @ cosines
    return spectrum + curve[..., None].to(spectrum.device)


def mask(spectrum: Tensor, most_bands: int, most_frames: int) -> Tensor:
    """Replace a run of bands and a run of frames of each item by its mean.

    Args:
        spectrum: [B, bands, L].
        most_bands: the run of bands is shorter than this.
        most_frames: the run of frames is shorter than this.

    Source: Park et al. 2019, SpecAugment, section 2 (frequency and time masking).
    """
    n_items, own = _shared(spectrum)
    _, n_bands, n_frames = spectrum.shape
    bands, frames = _runs(n_items, n_bands, most_bands)[own], _runs(n_items, n_frames, most_frames)[own]
    hidden = (bands[:, :, None] | frames[:, None, :]).to(spectrum.device)
    return torch.where(hidden, spectrum.mean(dim=(1, 2), keepdim=True), spectrum)


def _shared(share: Tensor) -> tuple[int, slice]:
    """Return how many items the whole batch has, and which of them this share is."""
    n_items = len(share) * n_processes()
    return n_items, own_share(n_items)


def _runs(n_items: int, length: int, most: int) -> Tensor:
    """Draw one run inside [0, length) for each item, bool [B, length]."""
    lengths = torch.randint(max(1, min(most, length)), (n_items, 1))
    starts = (torch.rand(n_items, 1) * (length - lengths + 1)).long()
    at = torch.arange(length)
    return (at >= starts) & (at < starts + lengths)
