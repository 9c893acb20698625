"""Spectral continuity: whether each mel band moves in time as that of the reference does."""

from __future__ import annotations

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import square_root

# (n_fft, hop_length) in frames.
RESOLUTIONS = ((64, 16), (128, 32), (256, 64))
# Magnitudes below count as this: 0.4 dB of steady noise in a band. Silent bands would rule the logarithm else.
_SMALLEST_MAGNITUDE = 0.01


def mel_continuity(mel: Tensor, real: Tensor) -> Tensor:
    """Return the distance between the short-time spectra of two spectrograms' bands; lower is better.

    Every band is a signal over time. Of each of three resolutions: spectral convergence plus the mean absolute
    difference of log-magnitudes; then their mean.

    Args:
        mel: [B, M, F] in the models' scale, F > 128.
        real: the same shape; what it is measured against.

    Returns:
        [B]: 0 for equal inputs; differentiable in both.

    Source: Yamamoto et al. 2020, Parallel WaveGAN, eqs. 5-7; the resolutions are the seed's.
    """
    losses = []
    for n_fft, hop_length in RESOLUTIONS:
        fake_magnitude, real_magnitude = (_magnitudes(values, n_fft, hop_length) for values in (mel, real))
        difference = (fake_magnitude - real_magnitude).flatten(1).norm(dim=1)
        convergence = difference / real_magnitude.flatten(1).norm(dim=1).clamp(min=_SMALLEST_MAGNITUDE)
        logarithms = (fake_magnitude.log() - real_magnitude.log()).abs().flatten(1).mean(dim=1)
        losses.append(convergence + logarithms)
    return torch.stack(losses).mean(dim=0)


def _magnitudes(mel: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return [B, M · bins · frames], scaled so that white noise of standard deviation s has magnitudes about s."""
    window = torch.hann_window(n_fft, device=mel.device, dtype=mel.dtype)
    spectrum = torch.stft(
        mel.flatten(0, 1), n_fft, hop_length, window=window / window.norm(), return_complex=True, pad_mode="reflect"
    )
    # Of the square, because the gradient of |z| at 0 is not a number.
    power = spectrum.real.square() + spectrum.imag.square()
    return square_root(power.clamp(min=_SMALLEST_MAGNITUDE**2)).reshape(len(mel), -1)
