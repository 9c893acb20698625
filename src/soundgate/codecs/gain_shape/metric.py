"""What quantising gain and shape latents minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soundgate.codecs.gain_shape.layout import Layout
from soundgate.codecs.gain_shape.transform import GAIN_SCALE


@dataclass(frozen=True)
class Metric:
    """How far a code is from a latent: plain in the gains, weighted by signal energy in the shapes.

    A shape's error times its band's energy is the error in the waveform (the MDCT is orthonormal), and the
    decoder's own quantised gains give that energy.

    Args:
        is_gain: bool [D].
        gain_of: int64 [D].
    """

    is_gain: Tensor
    gain_of: Tensor

    @classmethod
    def of(cls, layout: Layout) -> Metric:
        """Return the metric of a layout."""
        return cls(torch.from_numpy(layout.is_gain), torch.from_numpy(layout.gain_of))

    def active(self, stage: int, n_codebooks: int) -> Tensor:
        """Return bool [D]: gains for the first codebooks, one in four and at least one, shapes for the others."""
        return self.is_gain if stage < max(1, n_codebooks // 4) else ~self.is_gain

    def weights(self, quantised: Tensor) -> Tensor:
        """Return weights [N, D] from what is quantised so far, [N, D]; of shapes they have mean 1 a frame."""
        is_gain = self.is_gain.to(quantised.device)
        log_energy = 2 * GAIN_SCALE * quantised[:, self.gain_of.to(quantised.device)]
        log_energy = log_energy.masked_fill(is_gain, -torch.inf)
        energy = torch.softmax(log_energy, dim=-1) * (~is_gain).sum()
        return torch.where(is_gain, 1.0, energy)

    def target(self, latents: Tensor, quantised: Tensor) -> Tensor:
        """Return the latents with shapes relative to the quantised gains: shapes then mend gain errors."""
        gain_of = self.gain_of.to(latents.device)
        ratio = torch.exp(GAIN_SCALE * (latents - quantised)[:, gain_of])
        return torch.where(self.is_gain.to(latents.device), latents, latents * ratio)
