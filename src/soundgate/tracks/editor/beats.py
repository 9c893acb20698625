"""Where the beats of a recording are, by a tracker."""

from __future__ import annotations

import librosa
import numpy as np

TRACKING_RATE = 22_050
_HOP = 512


def track_beats(wav: np.ndarray, sample_rate: int, tempo_bpm: float) -> np.ndarray:
    """Track the beats of a recording.

    Args:
        wav: mono float32 [T] at ``TRACKING_RATE``, or any rate close to it.
        sample_rate: Hz.
        tempo_bpm: centre of the tempo's log-normal prior.

    Returns:
        int64 [n] samples, rising; empty where the tracker finds none (silence, noise without onsets).

    Source: Ellis 2007, "Beat tracking by dynamic programming", by librosa.
    """
    if len(wav) < 2 * _HOP:
        return np.empty(0, np.int64)
    envelope = librosa.onset.onset_strength(y=wav, sr=sample_rate, hop_length=_HOP)
    if not envelope.any():
        return np.empty(0, np.int64)
    _, beats = librosa.beat.beat_track(
        onset_envelope=envelope, sr=sample_rate, hop_length=_HOP, start_bpm=tempo_bpm, units="samples"
    )
    return beats.astype(np.int64)
