"""Comparisons by samples: where a passage lies, and which passages a third one is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft


def emphasised(wav: np.ndarray) -> np.ndarray:
    """Return a signal with its highs raised by a difference, float32 [T]: they tell positions and takes apart."""
    return np.diff(wav, prepend=np.float32(0)).astype(np.float32)


def passage(wav: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return ``wav[start:stop]``, zeros where it leaves the recording."""
    inside = wav[max(start, 0) : max(stop, 0)]
    if len(inside) == stop - start:  # A view: there are thousands of them.
        return inside
    whole, left = np.zeros(stop - start, wav.dtype), max(-start, 0)
    whole[left : left + len(inside)] = inside
    return whole


def exact_lags(wanted: np.ndarray, raw: np.ndarray, abouts: Sequence[int], reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Find where in a recording a passage lies, to the sample, near each of several places.

    Args:
        wanted: the passage [n].
        raw: the recording [N].
        abouts: about where the passage begins.
        reach: how far off these may be.

    Returns:
        int64 positions in the recording, and the correlations there in -1..1; one each.
    """
    length = len(wanted)
    places = np.stack([passage(raw, about - reach, about + length + reach) for about in abouts])
    size = next_fast_len(places.shape[1], real=True)
    products = irfft(rfft(places, size, axis=1) * np.conj(rfft(wanted, size)), size, axis=1)[:, : 2 * reach + 1]
    best = products.argmax(axis=1)
    found = np.stack([place[first : first + length] for place, first in zip(places, best, strict=True)])
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted)
    correlations = products[np.arange(len(best)), best] / np.maximum(norms, 1e-20)
    return np.asarray(abouts) - reach + best, correlations


def two_gains(mixture: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Fit the mixture by a non-negative multiple of each of two signals, by least squares.

    Returns:
        Both gains; (0, 0) where neither is there.
    """
    aa, bb, ab = float(first @ first), float(second @ second), float(first @ second)
    ma, mb = float(mixture @ first), float(mixture @ second)
    determinant = aa * bb - ab * ab
    if determinant > 1e-9 * max(aa * bb, 1e-30):
        a, b = (ma * bb - mb * ab) / determinant, (mb * aa - ma * ab) / determinant
        if a >= 0 and b >= 0:
            return a, b
    alone_a, alone_b = max(ma, 0) / aa if aa else 0.0, max(mb, 0) / bb if bb else 0.0
    return (alone_a, 0.0) if alone_a * ma >= alone_b * mb else (0.0, alone_b)
