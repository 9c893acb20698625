"""Waveforms to log band energies, and energies to noise that has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.audio.mdct import WindowName, imdct, mdct, mdct_basis
from soundgate.codecs.gain_shape.layout import N_BANDS, SUB_HOP, band_edges
from soundgate.codecs.gain_shape.transform import FLOOR, GAIN_CENTRE, GAIN_SCALE
from soundgate.runtime.randomness import keyed_generator

# Sub-frames after which the decoder's noise repeats: 3.4 s.
NOISE_PERIOD = 256


class BandsTransform(nn.Module):
    """Analysis into band energies and synthesis from them.

    Args:
        n_sub_frames: MDCT frames in a latent frame.
        window: MDCT window.
        dtype: of the basis, and so of the computation.
    """

    def __init__(self, n_sub_frames: int, window: WindowName, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.n_sub_frames = n_sub_frames
        band_of_bin = torch.from_numpy(np.repeat(np.arange(N_BANDS), np.diff(band_edges())))
        membership = functional.one_hot(band_of_bin, N_BANDS).to(dtype)
        signs = keyed_generator(0, "bands-noise").choice((-1.0, 1.0), size=(NOISE_PERIOD, SUB_HOP))
        self.register_buffer("basis", mdct_basis(SUB_HOP, window, dtype), persistent=False)
        self.register_buffer("band_mean", membership / membership.sum(0), persistent=False)
        self.register_buffer("band_of_bin", band_of_bin, persistent=False)
        self.register_buffer("signs", torch.from_numpy(signs).to(dtype), persistent=False)

    def analyse(self, wav: Tensor) -> Tensor:
        """Turn waveforms into latents: (ln √(mean X² + floor²) − centre) / scale in each band of each frame.

        Args:
            wav: float [B, T], T a whole number of latent frames.

        Returns:
            float [B, L, 22].
        """
        power = mdct(wav, self.basis).square() @ self.band_mean
        power = power.unflatten(1, (-1, self.n_sub_frames)).mean(2)
        return ((0.5 * torch.log(power + FLOOR**2) - GAIN_CENTRE) / GAIN_SCALE).to(wav.dtype)

    def synthesise(self, latents: Tensor) -> Tensor:
        """Turn latents into noise: MDCT coefficients of keyed signs and of each band's RMS.

        The MDCT is orthonormal, so that what is decoded has the energies it was decoded from.

        Args:
            latents: float [B, L, 22].

        Returns:
            float [B, T], T = L · n_sub_frames · 320.

        Source: Schulz 1996 (perceptual noise substitution).
        """
        rms = torch.exp(latents * GAIN_SCALE + GAIN_CENTRE).repeat_interleave(self.n_sub_frames, dim=1)
        steps = torch.arange(rms.shape[1], device=rms.device) % NOISE_PERIOD
        return imdct(rms[..., self.band_of_bin] * self.signs[steps], self.basis)
