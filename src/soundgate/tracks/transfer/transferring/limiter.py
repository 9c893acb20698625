"""A limiter: peaks above a level are made quieter, all channels alike, and nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

import numpy as np
from scipy.ndimage import convolve1d, minimum_filter1d

from soundgate.audio.spooled import spooled
from soundgate.tracks.transfer.transferring.recordings import BLOCK

_HALF_S = 0.025


def limit(samples: np.ndarray, rate: int, peak: float) -> float:
    """Limit the magnitudes of [C, T] in place, block by block.

    Around each peak the gain falls and rises again within 25 ms, smoothly; where none is near it is 1.

    Args:
        samples: float32 [C, T].
        rate: Hz.
        peak: that no sample exceeds afterwards.

    Returns:
        The least gain in dB, 0 or below.

    Source: Giannoulis, Massberg, Reiss 2012, "Digital dynamic range compressor design" (feed-forward, look-ahead).
    Differs: the gain is the mean, by a Hann window, of the least that a window of its length needs.
    """
    total, half, least = samples.shape[1], max(1, round(_HALF_S * rate)), 1.0
    needed = spooled((1, total), np.dtype(np.float32), Path(gettempdir()))[0]
    for first in range(0, total, BLOCK):
        loudest = np.abs(samples[:, first : first + BLOCK]).max(axis=0)
        needed[first : first + BLOCK] = peak / np.maximum(loudest, peak)
    window = np.hanning(2 * half + 3)[1:-1]
    window /= window.sum()
    for first in range(0, total, BLOCK):
        stop, before = min(first + BLOCK, total), max(0, first - 2 * half)
        own = np.array(needed[before : stop + 2 * half], np.float64)
        if own.min() == 1:
            continue
        smooth = convolve1d(minimum_filter1d(own, 2 * half + 1, mode="nearest"), window, mode="nearest")
        gains = smooth[first - before : first - before + stop - first]
        samples[:, first:stop] *= np.minimum(gains, 1).astype(np.float32)
        least = min(least, float(gains.min()))
    return 20 * float(np.log10(least))
