"""Labels by plain dynamic time warping, for comparison: what a monotonic path can tell."""

from __future__ import annotations

import librosa
import numpy as np

from soundgate.tracks.editor.recovery.features import HOP, frames_of
from soundgate.tracks.editor.vocabulary import Label

_SLOW, _FAST = 0.5, 1.5


def labels_by_dtw(
    raw: np.ndarray, edit: np.ndarray, sample_rate: int, spans: np.ndarray, decimation: int
) -> np.ndarray:
    """Label beats by how fast the path goes through the edit while it crosses them.

    Args:
        raw: mono float32 [N].
        edit: mono float32 [T].
        sample_rate: Hz.
        spans: int64 [n, 2], beats of the raw recording.
        decimation: frames of 512 samples that become one; 1 is the full path.

    Returns:
        int64 [n]: CUT where the edit stands still, LOOP where it moves too fast, KEEP elsewhere.

    Source: Müller 2015, "Fundamentals of Music Processing", chapter 3, by librosa.
    """
    edit_frames, raw_frames = (_decimated(frames_of(wav, sample_rate).shape, decimation) for wav in (edit, raw))
    path = librosa.sequence.dtw(edit_frames.T, raw_frames.T, metric="cosine")[1][::-1]
    position = np.interp(np.arange(len(raw_frames) + 1), path[:, 1], path[:, 0])
    edges = np.clip(np.rint(spans / (HOP * decimation)).astype(int), 0, len(raw_frames))
    length = np.maximum(edges[:, 1] - edges[:, 0], 1)
    speed = (position[edges[:, 1]] - position[edges[:, 0]]) / length
    return np.select([speed < _SLOW, speed > _FAST], [Label.CUT, Label.LOOP], Label.KEEP).astype(np.int64)


def _decimated(frames: np.ndarray, decimation: int) -> np.ndarray:
    whole = frames[: len(frames) // decimation * decimation].reshape(-1, decimation, frames.shape[1])
    # The cosine of a row of zeros is not defined.
    return whole.mean(axis=1) + 1e-6
