"""How loud a recording sounds, and bringing it to a wished-for loudness."""

from __future__ import annotations

import numpy as np
from pyloudnorm import Meter

BLOCK_S = 0.4


def loudness_lufs(wav: np.ndarray, sample_rate: int) -> float | None:
    """Measure integrated loudness.

    Args:
        wav: mono samples [T].
        sample_rate: Hz.

    Returns:
        LUFS, always finite; None for silence.

    Raises:
        ValueError: ``wav`` is not one-dimensional or has no samples.

    Source: ITU-R BS.1770-4, by pyloudnorm.
    Differs: a signal shorter than the block of 0.4 s is repeated until it fills one. One that lies below the
        absolute gate (-70 LUFS) throughout, where the standard gives no value, is measured at a peak of 1 and
        the gain is subtracted.
    """
    if wav.ndim != 1 or len(wav) == 0:
        raise ValueError(f"expected samples [T], got shape {wav.shape}")
    peak = float(np.abs(wav).max())
    if peak == 0:
        return None
    samples = np.asarray(wav, np.float64)
    meter = Meter(sample_rate)
    samples = np.resize(samples, max(len(samples), int(np.ceil(BLOCK_S * sample_rate))))
    loudness = float(meter.integrated_loudness(samples))
    if not np.isfinite(loudness):
        loudness = float(meter.integrated_loudness(samples / peak)) + 20 * float(np.log10(peak))
    return loudness if np.isfinite(loudness) else None


def normalise_loudness(wav: np.ndarray, sample_rate: int, target_lufs: float) -> tuple[np.ndarray, float]:
    """Scale a recording to a loudness; its peak may then exceed 1.

    Args:
        wav: mono float32 samples [T].
        sample_rate: Hz.
        target_lufs: the loudness wished for.

    Returns:
        The scaled samples, float32 [T], and the gain in dB. Silence is returned as it is, with 0 dB.
    """
    loudness = loudness_lufs(wav, sample_rate)
    if loudness is None:
        return wav, 0.0
    gain_db = target_lufs - loudness
    return (wav * 10 ** (gain_db / 20)).astype(np.float32), gain_db
