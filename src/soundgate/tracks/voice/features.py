"""What the track's models read of a recording: a log-mel spectrogram, and the fundamental frequency."""

from __future__ import annotations

import librosa
import numpy as np
import pandas as pd
import torchaudio
from pydantic import Field, model_validator
from scipy.ndimage import median_filter
from torch import Tensor, nn

from soundgate.audio.filters import pass_sections, run_sections
from soundgate.runtime.config import Section

# HiFi-GAN's smallest magnitude.
FLOOR = 1e-5
# A frame is voiced from this periodicity on, where it is no further below the loud frames, and no further, in octaves,
# from the median of the voiced frames around it.
_VOICED_CORRELATION, _VOICED_DB, _JUMP_OCTAVES = 0.5, -35.0, 0.4
_SMOOTHED_FRAMES, _AROUND_FRAMES = 3, 11
# Upper edges in which periods are looked for and in which they are checked, as multiples of the highest fundamental.
_SEARCHED, _CHECKED = 2.0, 5.0
_YIN_FRAME_S = 0.064


class FeatureSettings(Section):
    """Section ``voice.cache.features``.

    Args:
        sample_rate: Hz.
        n_fft: samples of the Hann window and of the transform.
        hop_length: samples from frame to frame.
        n_mels: bands, Slaney's scale and normalisation, from 0 Hz to half the sample rate.
        f0_min_hz: lowest fundamental that is looked for.
        f0_max_hz: highest one.
    """

    sample_rate: int = Field(ge=8_000)
    n_fft: int = Field(ge=64)
    hop_length: int = Field(ge=1)
    n_mels: int = Field(ge=8)
    f0_min_hz: float = Field(ge=40)
    f0_max_hz: float = Field(le=1_000)

    @model_validator(mode="after")
    def _rises(self) -> FeatureSettings:
        if self.f0_min_hz >= self.f0_max_hz:
            raise ValueError("f0_min_hz must lie below f0_max_hz")
        return self

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames so many samples have; frame ``l`` is centred on sample ``l · hop_length``."""
        return 1 + n_samples // self.hop_length


class LogMel(nn.Module):
    """Waveforms to natural logarithms of mel magnitudes; beyond its ends a recording is silent.

    Args:
        settings: see `FeatureSettings`.
        f_max_hz: upper edge of the highest band; None: half the sample rate.

    Source: Kong, Kim and Bae 2020, HiFi-GAN (scale and floor).
    Differs: HiFi-GAN mirrors a recording at its ends, which needs more samples than half a window.
    """

    def __init__(self, settings: FeatureSettings, f_max_hz: float | None = None) -> None:
        super().__init__()
        self.magnitude = torchaudio.transforms.MelSpectrogram(
            settings.sample_rate,
            n_fft=settings.n_fft,
            hop_length=settings.hop_length,
            f_max=f_max_hz,
            n_mels=settings.n_mels,
            power=1.0,
            norm="slaney",
            mel_scale="slaney",
            pad_mode="constant",
        )

    def forward(self, wav: Tensor) -> Tensor:
        """Return float32 [B, n_mels, 1 + T // hop_length] from float32 [B, T]; differentiable."""
        return self.magnitude(wav).clamp(min=FLOOR).log()


def log_mel(wav: Tensor, settings: FeatureSettings) -> Tensor:
    """Return the log-mel spectrogram of waveforms [B, T]; see `LogMel`, which is faster for many calls."""
    return LogMel(settings).to(wav.device)(wav)


def track_f0(wav: np.ndarray, settings: FeatureSettings) -> np.ndarray:
    """Find the fundamental frequency of a recording of one voice.

    A frame is voiced where the waveform repeats itself after the period found, and where it is not far quieter than
    the recording's loud frames; what leaps from the frames around it is taken for an error of the search.

    Args:
        wav: float32 [T] at the settings' rate.
        settings: see `FeatureSettings`.

    Returns:
        float32 [1 + T // hop_length], Hz, 0 where unvoiced.

    Source: de Cheveigné and Kawahara 2002, YIN (librosa), for the period; Boersma 1993 for the strength of voicing.
    """
    rate, hop = settings.sample_rate, settings.hop_length
    n_frames = settings.n_frames(len(wav))
    if not np.any(wav):
        return np.zeros(n_frames, np.float32)
    searched, checked = (
        run_sections(pass_sections("low", min(share * settings.f0_max_hz, 0.49 * rate), rate), wav)
        for share in (_SEARCHED, _CHECKED)
    )
    f0 = librosa.yin(
        searched, fmin=settings.f0_min_hz, fmax=settings.f0_max_hz, sr=rate, hop_length=hop,
        frame_length=round(_YIN_FRAME_S * rate),
    )[:n_frames]  # fmt: skip
    f0 = median_filter(f0, _SMOOTHED_FRAMES, mode="nearest")
    correlation, level_db = _periodicity(checked, rate / f0, hop, round(rate / settings.f0_min_hz))
    voiced = (correlation > _VOICED_CORRELATION) & (level_db > np.quantile(level_db, 0.95) + _VOICED_DB)
    octaves = pd.Series(np.log2(f0))
    around = octaves.where(voiced).rolling(_AROUND_FRAMES, center=True, min_periods=1).median()
    voiced &= ((octaves - around).abs() < _JUMP_OCTAVES).to_numpy()
    voiced = median_filter(voiced.astype(np.uint8), _SMOOTHED_FRAMES, mode="constant").astype(bool)
    return np.where(voiced, f0, 0).astype(np.float32)


def _periodicity(wav: np.ndarray, periods: np.ndarray, hop: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how well each frame repeats itself after its period, [-1, 1], and its level in dB; both [L]."""
    lags = np.rint(periods).astype(np.int64)
    padded = np.pad(wav, 2 * longest)
    starts = np.arange(len(periods)) * hop + 2 * longest - (longest + lags) // 2
    first = padded[starts[:, None] + np.arange(longest)]
    second = padded[(starts + lags)[:, None] + np.arange(longest)]
    powers = np.square(first).mean(axis=1), np.square(second).mean(axis=1)
    correlation = (first * second).mean(axis=1) / np.sqrt(powers[0] * powers[1] + 1e-12)
    return correlation, 10 * np.log10((powers[0] + powers[1]) / 2 + 1e-12)
