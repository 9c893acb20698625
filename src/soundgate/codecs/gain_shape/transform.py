"""Waveforms to gain and shape latents, and back; the part of the codec that quantises nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.audio.mdct import WindowName, imdct, mdct, mdct_basis
from soundgate.codecs.gain_shape.layout import N_BANDS, SUB_HOP, Layout

# Added to every band's mean square: silence reads as -100 dB re full scale instead of minus infinity.
FLOOR = 1e-5
# A gain latent is (ln RMS - centre) / scale: silence is -3.3, a loud band near +2.
GAIN_CENTRE = -5.0
GAIN_SCALE = 2.0


class GainShapeTransform(nn.Module):
    """Analysis and synthesis of gain and shape latents.

    Args:
        layout: index maps.
        window: MDCT window.
        fold_gain: amplitude of the folded high band.
        dtype: of the basis, and so of the computation.
    """

    def __init__(
        self, layout: Layout, window: WindowName, fold_gain: float, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.n_sub_frames = layout.n_sub_frames
        membership = functional.one_hot(torch.from_numpy(layout.band_of_bin), N_BANDS).to(dtype)
        fold = torch.where(torch.from_numpy(layout.is_folded), fold_gain, 1.0).to(dtype)
        self.register_buffer("basis", mdct_basis(SUB_HOP, window, dtype), persistent=False)
        self.register_buffer("band_mean", membership / membership.sum(0), persistent=False)
        self.register_buffer("band_of_bin", torch.from_numpy(layout.band_of_bin), persistent=False)
        self.register_buffer("keep", torch.from_numpy(layout.keep), persistent=False)
        self.register_buffer("take", torch.from_numpy(layout.take), persistent=False)
        self.register_buffer("fold", fold, persistent=False)

    def analyse(self, wav: Tensor) -> Tensor:
        """Turn waveforms into latents.

        In each band b of each MDCT frame, gain = (ln √(mean X² + floor²) − centre) / scale and shape = X /
        RMS_b, so that gain and shape of all 320 coefficients give X back exactly, floor or not.

        Args:
            wav: float [B, T], T a whole number of latent frames.

        Returns:
            float [B, L, D]: for each sub-frame its 22 gains, then its kept shapes.

        Source: Valin et al. 2012, RFC 6716 section 4.3 (band energies, unit-energy shapes).
        Differs: a shape has unit mean square over its whole band, kept or not, instead of unit norm.
        """
        coefficients = mdct(wav, self.basis)
        log_rms = 0.5 * torch.log(coefficients.square() @ self.band_mean + FLOOR**2)
        shapes = coefficients * torch.exp(-log_rms)[..., self.band_of_bin]
        gains = (log_rms - GAIN_CENTRE) / GAIN_SCALE
        values = torch.cat([gains, shapes], dim=-1).to(wav.dtype)
        return values.reshape(len(wav), -1, self.n_sub_frames * values.shape[-1])[..., self.keep]

    def synthesise(self, latents: Tensor) -> Tensor:
        """Turn latents into waveforms.

        Linear in the shapes (at fixed gains), exponential in the gains, and smooth in both: the only
        nonlinearity is exp. Folding is a copy, not renormalised, for the same reason.

        Args:
            latents: float [B, L, D].

        Returns:
            float [B, T], T = L · n_sub_frames · 320.
        """
        values = latents[..., self.take] * self.fold
        values = values.reshape(len(latents), -1, N_BANDS + SUB_HOP)
        gains, shapes = values.split([N_BANDS, SUB_HOP], dim=-1)
        rms = torch.exp(gains * GAIN_SCALE + GAIN_CENTRE)
        return imdct(shapes * rms[..., self.band_of_bin], self.basis)
