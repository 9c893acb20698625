"""Files equally loud, none of them clipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soundgate.audio.io import write_audio
from soundgate.audio.loudness import loudness_lufs, normalise_loudness

_PEAK = 0.99


def write_matched(path: Path, wav: np.ndarray, sample_rate: int, wished_lufs: float) -> dict[str, float | int | None]:
    """Write a waveform at a loudness, or as near to it as goes without clipping.

    Args:
        path: of the file.
        wav: float32 [T].
        sample_rate: Hz.
        wished_lufs: the loudness.

    Returns:
        What was found and done: ``clipped_samples`` (at or beyond full scale as it came), ``gain_db``,
        ``loudness_lufs`` (of the file; None for silence), ``short_of_db`` (by how much its peak kept it from the
        loudness wished for), ``peak``.
    """
    matched, gain_db = normalise_loudness(wav, sample_rate, wished_lufs)
    over_db = max(0.0, 20 * float(np.log10(max(float(np.abs(matched).max(initial=0)), 1e-9) / _PEAK)))
    matched = (matched * 10 ** (-over_db / 20)).astype(np.float32)
    write_audio(path, matched, sample_rate)
    return {
        "clipped_samples": int(np.count_nonzero(np.abs(wav) >= 1)),
        "gain_db": gain_db - over_db,
        "loudness_lufs": loudness_lufs(matched, sample_rate),
        "short_of_db": over_db,
        "peak": float(np.abs(matched).max(initial=0)),
    }
