"""The discriminators: of waveforms folded at several periods, and of complex spectrograms at several resolutions."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from soundgate.tracks.voice.model.converter import levels
from soundgate.training.adversarial import Verdict

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (2048, 1024, 512)
_PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
_SPECTRUM_CHANNELS = 32
_SLOPE = 0.1


def scaled(n_channels: int, width: float) -> int:
    """Return channels times width, at least 2."""
    return max(2, round(n_channels * width))


class _Judge(nn.Module):
    """Convolutions with a leaky ReLU, and one that scores every position.

    Source: He et al. 2015, "Delving deep into rectifiers", eq. 15 (weights that keep activations at their size: a
        judge of few channels has to be of use after few steps).
    """

    def __init__(self, layers: list[nn.Conv2d], size: tuple[int, int]) -> None:
        super().__init__()
        padding = size[0] // 2, size[1] // 2
        logit = nn.Conv2d(layers[-1].out_channels, 1, size, padding=padding)
        for layer in (*layers, logit):
            nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
        self.layers, self.logit = nn.ModuleList(weight_norm(layer) for layer in layers), weight_norm(logit)

    def forward(self, planes: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            planes = functional.leaky_relu(layer(planes), _SLOPE)
            features.append(planes)
        return self.logit(planes)[:, 0], features


class Mpd(nn.Module):
    """Multi-period discriminator.

    Source: Kong, Kim and Bae 2020, HiFi-GAN, section 2.3.

    Args:
        width: factor of the channels 32, 128, 512, 1024, 1024.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        self.judges = nn.ModuleList(_period_judge(width) for _ in PERIODS)

    def forward(self, wav: Tensor) -> Verdict:
        """Judge waveforms [B, T], whatever their level."""
        wav = wav / levels(wav)
        return _verdict(judge(_folded(wav, period)) for period, judge in zip(PERIODS, self.judges, strict=True))


class Mrd(nn.Module):
    """Multi-resolution discriminator of complex spectrograms, hops a quarter of the window.

    Source: Défossez et al. 2022, EnCodec, section 3.4; Kumar et al. 2023, "High-fidelity audio compression with
        improved RVQGAN" (resolutions).

    Args:
        width: factor of the 32 channels.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        self.judges = nn.ModuleList(_spectrum_judge(width) for _ in RESOLUTIONS)
        for n_fft in RESOLUTIONS:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, wav: Tensor) -> Verdict:
        """Judge waveforms [B, T], whatever their level."""
        wav = wav / levels(wav)
        return _verdict(
            judge(self._spectrum(wav, n_fft)) for n_fft, judge in zip(RESOLUTIONS, self.judges, strict=True)
        )

    def _spectrum(self, wav: Tensor, n_fft: int) -> Tensor:
        """Return [B, 2, frames, bins]: real and imaginary parts, normalised by the window's energy."""
        window = getattr(self, f"window_{n_fft}")
        transform = torch.stft(
            wav.float(), n_fft, n_fft // 4, window=window, pad_mode="constant", normalized=True, return_complex=True
        )
        return torch.stack([transform.real.mT, transform.imag.mT], dim=1)


def _period_judge(width: float) -> _Judge:
    sizes = [1, *(scaled(channels, width) for channels in _PERIOD_CHANNELS)]
    strides = [3] * (len(_PERIOD_CHANNELS) - 1) + [1]
    layers = [
        nn.Conv2d(sizes[index], sizes[index + 1], (5, 1), (stride, 1), padding=(2, 0))
        for index, stride in enumerate(strides)
    ]
    return _Judge(layers, (3, 1))


def _spectrum_judge(width: float) -> _Judge:
    channels = scaled(_SPECTRUM_CHANNELS, width)
    layers = [nn.Conv2d(2, channels, (3, 9), padding=(1, 4))]
    layers += [
        nn.Conv2d(channels, channels, (3, 9), (1, 2), padding=(dilation, 4), dilation=(dilation, 1))
        for dilation in (1, 2, 4)
    ]
    layers.append(nn.Conv2d(channels, channels, 3, padding=1))
    return _Judge(layers, (3, 3))


def _folded(wav: Tensor, period: int) -> Tensor:
    """Return [B, 1, T / period, period]; the last turn is filled up with silence."""
    return functional.pad(wav, (0, -wav.shape[1] % period)).unflatten(1, (-1, period))[:, None]


def _verdict(parts: Iterable[tuple[Tensor, list[Tensor]]]) -> Verdict:
    judged = list(parts)
    return Verdict([logits for logits, _ in judged], [layer for _, features in judged for layer in features])
