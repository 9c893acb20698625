"""Comparisons by samples: where a passage lies, and which passages a third one is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

# Lags are told in this part of a sample: an eighth leaves an error of -14 dB at half the rate, less below.
STEPS = 8
_HALF_TAPS = 16


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


class Shifted:
    """A recording that can be read between its samples.

    Args:
        wav: float32 [N].
    """

    def __init__(self, wav: np.ndarray) -> None:
        self.wav = wav
        self._shifted = {0: wav}

    def __len__(self) -> int:
        return len(self.wav)

    def at(self, start: float, length: int) -> np.ndarray:
        """Return ``length`` samples from ``start`` on, which counts to the eighth; zeros outside the recording."""
        whole = math.floor(start)
        part = round((start - whole) * STEPS)
        whole, part = whole + part // STEPS, part % STEPS
        if part not in self._shifted:
            taps = _fractional(part / STEPS).astype(np.float32)
            self._shifted[part] = np.convolve(self.wav, taps, "same") if len(self.wav) > len(taps) else self.wav
        return passage(self._shifted[part], whole, whole + length)


@cache
def _fractional(part: float) -> np.ndarray:
    """Return the taps [2 * _HALF_TAPS + 1] that read a signal ``part`` of a sample later."""
    offsets = np.arange(-_HALF_TAPS, _HALF_TAPS + 1) + part
    window = np.i0(6.0 * np.sqrt(np.maximum(1 - np.square(offsets / (_HALF_TAPS + 1)), 0)))
    taps = np.sinc(offsets) * window
    return taps / taps.sum()


def _peak_between(products: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many samples, to the eighth, the peaks of correlations lie off whole lags, and how high they are.

    Args:
        products: correlations by lag, [n, L].
        best: the whole lag next to each peak, [n].

    Returns:
        float64 [n] within -1..1, and [n].
    """
    padded = np.pad(products, ((0, 0), (_HALF_TAPS, _HALF_TAPS)))
    near = np.stack([row[first : first + 2 * _HALF_TAPS + 1] for row, first in zip(padded, best, strict=True)])
    parts = np.arange(-STEPS + 1, STEPS) / STEPS
    between = near @ np.stack([_fractional(-part) for part in parts]).T
    highest = between.argmax(axis=1)
    return parts[highest], between[np.arange(len(best)), highest]


def exact_lags(
    wanted: np.ndarray, raw: np.ndarray, abouts: Sequence[int], reach: int, either_sign: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Find where in a recording a passage lies, to an eighth of a sample, near each of several places.

    Args:
        wanted: the passage [n].
        raw: the recording [N].
        abouts: about where the passage begins.
        reach: how far off these may be.
        either_sign: whether it may lie there upside down.

    Returns:
        Positions in the recording, multiples of 1/8, and the correlations there in -1..1; one each.
    """
    length = len(wanted)
    places = np.stack([passage(raw, about - reach, about + length + reach) for about in abouts])
    size = next_fast_len(places.shape[1], real=True)
    # Twice as dense: of a sound that is nearly all highs no whole lag may show where its peak is.
    products = irfft(rfft(places, size, axis=1) * np.conj(rfft(wanted, size)), 2 * size, axis=1)[:, : 4 * reach + 1] * 2
    sizes = np.abs(products) if either_sign else products
    dense = sizes.argmax(axis=1)
    sign = np.sign(products[np.arange(len(dense)), dense])
    best = np.minimum((dense + 1) // 2, 2 * reach)
    between, highest = _peak_between(products[:, ::2] * sign[:, None], best)
    found = np.stack([place[first : first + length] for place, first in zip(places, best, strict=True)])
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted)
    return np.asarray(abouts) - reach + best + between, sign * highest / np.maximum(norms, 1e-20)


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
