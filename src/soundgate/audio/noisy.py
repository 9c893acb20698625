"""Signals with white noise at a known ratio."""

from __future__ import annotations

import numpy as np

from soundgate.audio.noise import coloured_noise
from soundgate.audio.snr import mix_at_snr


def with_white_noise(wav: np.ndarray, sample_rate: int, snr_db: float, seed: int) -> np.ndarray:
    """Return a signal in white noise, float32 [T]; see `mix_at_snr` for what the ratio is.

    Args:
        wav: float32 [T].
        sample_rate: Hz.
        snr_db: power of the signal over that of the noise, in the active frames.
        seed: at least 0; equal arguments give equal bytes.
    """
    return mix_at_snr(wav, coloured_noise("white", len(wav), sample_rate, seed), snr_db, sample_rate, len(wav))[0]
