"""Recordings without their silent ends, cut into windows of equal length."""

from __future__ import annotations

import numpy as np
from librosa.effects import trim as librosa_trim

FRAME_S = 0.04
HOP_S = 0.01


def trim(wav: np.ndarray, sample_rate: int, top_db: float = 40.0) -> tuple[np.ndarray, tuple[int, int]]:
    """Cut off the ends that are silent by the recording's own measure.

    Args:
        wav: mono samples [T].
        sample_rate: Hz.
        top_db: frames this many dB or more below the loudest frame are silent.

    Returns:
        The samples from the first to the last frame that is not silent, [T'], and where they lay: ``wav[start:stop]``.
        A recording of zeros is all silence: nothing is left of it.
    """
    if not wav.any():
        return wav[:0], (0, 0)
    # librosa takes everything below -100 dB of full scale for equally quiet.
    _, (start, stop) = librosa_trim(
        wav / np.abs(wav).max(),
        top_db=top_db,
        frame_length=round(FRAME_S * sample_rate),
        hop_length=round(HOP_S * sample_rate),
    )
    return wav[start:stop], (int(start), int(stop))


def cut(wav: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a recording into windows, one after the other but for the last, which ends where the recording ends.

    So windows are full, and the last repeats a part of the one before it; only a recording shorter than a window is
    padded, with zeros.

    Args:
        wav: mono samples [T].
        samples: length of a window.

    Returns:
        The windows, ``[ceil(T / samples), samples]`` of the type of ``wav``, and how many samples of each are
        the recording's, int64 ``[n]``.

    Raises:
        ValueError: ``samples`` is not positive.
    """
    if samples < 1:
        raise ValueError(f"windows of {samples} samples")
    n_windows = -(-len(wav) // samples)
    windows = np.zeros((n_windows, samples), wav.dtype)
    for number, window in enumerate(windows):
        start = max(min(number * samples, len(wav) - samples), 0)
        window[: len(wav)] = wav[start : start + samples]
    return windows, np.full(n_windows, min(len(wav), samples), np.int64)
