"""How loud a recording is in each third of an octave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# Centres of the bands, Hz: thirds of an octave about 1 kHz (IEC 61260-1), as far as sound is heard.
CENTRES = 1000 * 2.0 ** (np.arange(-15, 14) / 3)
_HALF = 2 ** (1 / 6)
_WINDOW_S = 0.1
_SMALLEST = 1e-20


class Spectrum(NamedTuple):
    """A long-term spectrum.

    Args:
        power: float64 [n], mean square in each bin, averaged over channels.
        rate: Hz; the last bin lies at half of it.
    """

    power: np.ndarray
    rate: int

    @property
    def hz(self) -> np.ndarray:
        """The bins' frequencies."""
        return np.linspace(0, self.rate / 2, len(self.power))

    def levels_db(self) -> np.ndarray:
        """Return the power in each band of ``CENTRES``, in dB, float64 [29]; nan above half the rate."""
        total = np.concatenate([[0.0], np.cumsum(self.power)])
        edges = (np.arange(len(total)) - 0.5) * (self.rate / 2 / (len(self.power) - 1))
        bands = np.interp(CENTRES * _HALF, edges, total) - np.interp(CENTRES / _HALF, edges, total)
        inside = CENTRES * _HALF <= self.rate / 2
        return np.where(inside, 10 * np.log10(np.maximum(bands, _SMALLEST)), np.nan)


def window_samples(rate: int) -> int:
    """Return the samples of a frame at a rate in Hz, a power of two of about 0.1 s."""
    return 2 ** round(np.log2(_WINDOW_S * rate))


def spectrum(blocks: Iterable[np.ndarray], rate: int) -> Spectrum:
    """Measure a long-term spectrum; one block is in memory at a time.

    Args:
        blocks: float32 [t, C] each, one after another.
        rate: Hz.

    Source: Welch 1967, "The use of fast Fourier transform for the estimation of power spectra" (Hann, half overlap).
    """
    size = window_samples(rate)
    hop, window = size // 2, np.hanning(size + 1)[:-1, None]
    power, count, kept = np.zeros(size // 2 + 1), 0, None
    for block in blocks:
        kept = block if kept is None else np.concatenate([kept, block])
        n_frames = max(0, (len(kept) - size) // hop + 1)
        for first in range(0, n_frames * hop, hop):
            power += np.square(np.abs(np.fft.rfft(kept[first : first + size] * window, axis=0))).mean(axis=1)
        count, kept = count + n_frames, kept[n_frames * hop :]
    if count == 0:
        padded = np.zeros((size, kept.shape[1]))
        # In the middle: a window is 0 where it begins.
        first = (size - len(kept)) // 2
        padded[first : first + len(kept)] = kept
        power, count = np.square(np.abs(np.fft.rfft(padded * window, axis=0))).mean(axis=1), 1
    return Spectrum(2 * power / count / np.square(window).sum() / size, rate)


def wanted_levels(spectra: Iterable[Spectrum]) -> np.ndarray:
    """Return the mean over recordings of the levels by band, each less its median; nan where none reaches."""
    levels = [one.levels_db() for one in spectra]
    relative = np.stack([own - np.median(own[audible(own)]) for own in levels])
    known = np.isfinite(relative)
    return np.where(known.any(axis=0), np.nansum(relative, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def band_distance_db(levels: np.ndarray, wanted: np.ndarray) -> float:
    """Return the mean distance of band levels, both less their median; bands that either lacks are left out.

    Args:
        levels: dB, see `Spectrum.levels_db`.
        wanted: likewise.
    """
    both = audible(levels) & audible(wanted)
    if not both.any():
        return float("nan")
    difference = levels[both] - wanted[both]
    return float(np.abs(difference - np.median(difference)).mean())


def audible(levels: np.ndarray) -> np.ndarray:
    """Return which bands are within 70 dB of the loudest, bool [29]."""
    return levels > np.nanmax(levels) - 70
